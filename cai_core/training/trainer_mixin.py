"""What each trainer here adds to TRL's: finite losses, whole checkpoints, a count that goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cai_core.errors import ModelError
from cai_core.training.checkpoints import KEPT_CHECKPOINTS, list_steps, seal_checkpoint

if TYPE_CHECKING:
    from transformers import Trainer as _Trainer
else:
    _Trainer = object


class FiniteMixin(_Trainer):
    """Stands before a transformers trainer: `class MyTrainer(FiniteMixin, DPOTrainer)`.

    A loss that is not a number ends the run before the optimizer moves; checkpoints are whole or
    not there, the newest KEPT_CHECKPOINTS of them; the count of tokens goes on over a resume.
    """

    # Of TRL's trainers; those that generate count in the trainer's state alone.
    _total_train_tokens: int = 0

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One micro-batch.

        Raises:
            ModelError: its loss is not a number; the weights are as they were before the step.
        """
        # TRL begins at 0 at each start, the state is that of the checkpoint.
        self._total_train_tokens = max(self._total_train_tokens, self.state.num_input_tokens_seen)
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss is {loss.item()} in step {self.state.global_step + 1}. The checkpoint "
                "before it is kept. Lower the learning rate, or look at the examples."
            )
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
            raise ModelError(
                f"weights are not finite after step {self.state.global_step}; that checkpoint is "
                "not kept. Lower the learning rate."
            )
        seen = self.state.num_input_tokens_seen
        self.state.num_input_tokens_seen = max(seen, self._total_train_tokens)
        super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir))
        seal_checkpoint(folder / f"checkpoint-{self.state.global_step}")
        for step in list_steps(folder)[KEPT_CHECKPOINTS:]:
            shutil.rmtree(folder / f"checkpoint-{step}")
