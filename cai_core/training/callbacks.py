"""What happens beside the training steps: log lines, status, stopping."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cai_core.errors import ModelError
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

_STATUS_SECONDS = 1.0
# Of TRL's log in fine-tuning, what a page shows; the rest is its own bookkeeping.
SFT_SHOWN = ("loss", "grad_norm", "learning_rate", "mean_token_accuracy", "entropy", "num_tokens")


class StopFlag:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.is_set = False

    def set(self, *_: object) -> None:
        """Ask."""
        self.is_set = True


@contextmanager
def stoppable() -> Iterator[StopFlag]:
    """SIGTERM and SIGINT set the flag while the block runs; a second one does as before."""
    flag = StopFlag()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        flag.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Watching(TrainerCallback):
    """Writes metrics.jsonl and the status, and ends the training when it is asked to.

    Args:
        shown: names of TRL's log that go into metrics.jsonl.

    Attributes:
        seconds: spent between the steps' beginnings and ends, i.e. in training alone.
        loss: of the last log line; None before the first.
    """

    def __init__(
        self,
        writer: RunWriter,
        stop: StopFlag,
        on_log: Callable[[Mapping[str, Any]], None] | None,
        shown: Collection[str] = SFT_SHOWN,
    ) -> None:
        self.seconds = 0.0
        self.loss: float | None = None
        self._writer = writer
        self._stop = stop
        self._on_log = on_log
        self._shown = shown
        self._began = 0.0
        self._told_at = -_STATUS_SECONDS
        self._tokens_at: tuple[float, float] | None = None

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Stop the clock; tell how far it is; stop where that is asked for."""
        now = time.perf_counter()
        self.seconds += now - self._began
        if now - self._told_at >= _STATUS_SECONDS:
            self._told_at = now
            self.tell(state)
        self._heed(control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """One line of metrics.jsonl."""
        logs = logs or {}
        if "loss" not in logs:
            return
        self.loss = float(logs["loss"])
        if not math.isfinite(float(logs.get("grad_norm", 0.0))):
            raise ModelError(
                f"the gradient is not finite in step {state.global_step}. The checkpoint before "
                "it is kept. Lower the learning rate, or look at the examples."
            )
        line = {"step": state.global_step, **{key: logs[key] for key in self._shown if key in logs}}
        tokens, before = logs.get("num_tokens"), self._tokens_at
        if tokens is not None:
            self._tokens_at = (float(tokens), self.seconds)
            if before is not None and self.seconds > before[1]:
                line["tokens_per_second"] = (tokens - before[0]) / (self.seconds - before[1])
        self._writer.append_metrics(line)
        if self._on_log is not None:
            self._on_log(line)
        # A line comes between a step and the checkpoint after it: not one step more.
        self._heed(control)

    def _heed(self, control: TrainerControl) -> None:
        if self._stop.is_set:
            control.should_save = control.should_training_stop = True

    def tell(self, state: TrainerState) -> None:
        """The status: steps done and in all."""
        counts = {"steps_done": state.global_step, "steps_total": state.max_steps}
        self._writer.set_status(RunState.RUNNING, counts=counts)
