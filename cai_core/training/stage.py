"""One start of a training run: what every trainer shares, whatever it trains.

A stage is `run_training(run, work)`, where `work` gets an `Attempt`: it freezes its dataset, loads
its base, makes its trainer, and has `Attempt.run_steps` train, or go on, to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerState

from cai_core.errors import CaiError, Cancelled, ModelError, RecipeError, RunMismatchError
from cai_core.training.callbacks import SFT_SHOWN, StopFlag, Watching, stoppable
from cai_core.training.checkpoints import KEPT_CHECKPOINTS, clear_broken, find_last_good
from cai_core.training.sampling import Sampling
from cai_core.workspace.files import check_disk
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import explain_stop
from cai_core.workspace.writer import RunWriter

CHECKPOINTS = "checkpoints"
# Weights and Adam's two moments.
_CHECKPOINT_COPIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a finished run made.

    Attributes:
        model: the folder that the bundled server and vLLM load.
        steps: optimizer steps in all.
        loss: of the last log line, in the trainer's unit; None where there was none.
        seconds: in this start's steps alone; `sample_seconds` in samples.
    """

    model: Path
    steps: int
    loss: float | None
    seconds: float
    sample_seconds: float


class Attempt:
    """One start of a run, while its lock is held.

    Attributes:
        checkpoints: the folder for the trainer's `output_dir`.
    """

    def __init__(self, run: Run, writer: RunWriter, stop: StopFlag) -> None:
        self.run = run
        self.checkpoints = run.path / CHECKPOINTS
        self._writer, self._stop = writer, stop

    def heed_stop(self) -> None:
        """Call it between what takes long.

        Raises:
            Cancelled: the run is to stop.
        """
        if self._stop.is_set:
            raise Cancelled("Stopped before a step was done; resume to go on.")

    def watch(
        self,
        on_log: Callable[[Mapping[str, Any]], None] | None = None,
        shown: tuple[str, ...] = SFT_SHOWN,
    ) -> Watching:
        """The callback that writes metrics and status and heeds the stop flag.

        Args:
            on_log: gets each line of metrics.jsonl.
            shown: names of TRL's log that go into it.
        """
        return Watching(self._writer, self._stop, on_log, shown)

    def run_steps(self, trainer: Trainer, watching: Watching, sampling: Sampling) -> TrainerState:
        """Train to the last step, from the last whole checkpoint where there is one.

        Args:
            trainer: with `watching` and `sampling` among its callbacks.

        Raises:
            Cancelled: stopped; the last step is saved.
            ModelError: the loss, a gradient or a weight is not a number.
            WorkspaceError: the disk is full.
        """
        resumed = self._find_start()
        model: Any = trainer.model
        check_disk(self.run.path, self._count_bytes(model))
        if resumed is None:
            sampling.sample(model, 0)
        trainer.train(resume_from_checkpoint=resumed)
        state = trainer.state
        watching.tell(state)
        if state.global_step < state.max_steps:
            raise Cancelled("Stopped. The last step is saved; resume to go on.")
        sampling.sample(model, state.global_step)
        return state

    def _find_start(self) -> str | None:
        """The checkpoint to go on from; broken ones are deleted, and that is told."""
        for broken in clear_broken(self.checkpoints):
            line = {"event": f"checkpoint-{broken.step} left out: {broken.damage}"}
            self._writer.append_metrics(line)
        found = find_last_good(self.checkpoints)
        return str(found.path) if found is not None else None

    def _count_bytes(self, model: Any) -> int:
        """What is still to be written: checkpoints beside those that are there, and the model."""
        trained: int = sum(p.numel() for p in model.parameters() if p.requires_grad)
        whole: int = sum(p.numel() for p in model.parameters())
        held = sum(file.stat().st_size for file in self.checkpoints.glob("*/*") if file.is_file())
        # One more than is kept: the newest is there before the oldest goes.
        wanted = trained * 4 * _CHECKPOINT_COPIES * (KEPT_CHECKPOINTS + 1) + whole * 4
        return max(0, wanted - held)


def run_training(run: Run, work: Callable[[Attempt], TrainingResult]) -> TrainingResult:
    """Do a start's work under the run's lock, and settle its status.

    The run ends `succeeded`; `cancelled` when a person stops it (SIGTERM or SIGINT), `interrupted`
    when the system does; `failed` where going on would fail
    again (a loss that is not a number, an example too long); `interrupted` where the disk gives up.

    Raises:
        Cancelled: it was stopped.
        CaiError, OSError: from `work`; WorkspaceError also where another process writes the run.
    """
    with RunWriter(run) as writer, stoppable() as stop:
        try:
            result = work(Attempt(run, writer, stop))
        except Cancelled:
            state, reason = explain_stop(run.path)
            writer.set_status(state, reason=reason)
            raise
        except (ModelError, RecipeError, RunMismatchError) as error:
            writer.set_status(RunState.FAILED, reason=str(error))
            raise
        except (OSError, CaiError) as error:
            writer.set_status(RunState.INTERRUPTED, reason=str(error))
            raise
        counts = {"steps_done": result.steps, "steps_total": result.steps}
        writer.set_status(RunState.SUCCEEDED, counts=counts)
    return result
