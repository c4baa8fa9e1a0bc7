"""TRL's trainer of direct preference optimization, with a soft label for each pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer

from cai_core.training.soft_labels import PROB, add_probs, compute_soft_extra
from cai_core.training.trainer_mixin import FiniteMixin


@dataclass
class SoftDpoCollator(DataCollatorForPreference):
    """TRL's batch, and each pair's probability."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """One batch."""
        return add_probs(super().torch_call(examples), examples)


class SoftDpoTrainer(FiniteMixin, DPOTrainer):
    """TRL's trainer, whose loss is −[p·log σ(βΔ) + (1−p)·log σ(−βΔ)] for a pair labelled p.

    For one p for all pairs this is conservative DPO (arXiv 2305.18290, appendix; TRL's
    `label_smoothing`). The reference's log-probabilities must be precomputed.
    """

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[no-untyped-call]
        columns: Any = self._signature_columns
        if PROB not in columns:
            columns.append(PROB)

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """Of a batch; its labels are not the model's business."""
        told = {name: value for name, value in inputs.items() if name != PROB}
        return super().compute_ref_log_probs(model, told)  # type: ignore[no-untyped-call]

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        probs = inputs.pop(PROB)
        seen: list[torch.Tensor] = []

        def remember(**given: Any) -> Any:
            outputs = model(**given)
            seen.append(outputs.log_probs)
            return outputs

        told = super()._compute_loss(remember, inputs, return_outputs)  # type: ignore[no-untyped-call]
        # TRL's is −log σ(βΔ); soft labels add (1−p)·βΔ to it.
        chosen, rejected = seen[0].sum(dim=1).chunk(2)
        margins = (chosen - inputs["ref_chosen_logps"]) - (rejected - inputs["ref_rejected_logps"])
        extra = compute_soft_extra(self.beta * margins, probs)
        return (told[0] + extra, told[1]) if return_outputs else told + extra
