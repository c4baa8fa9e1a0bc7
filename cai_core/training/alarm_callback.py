"""Joins a trainer's log and the probe, tells what rings, and ends the run where that stops it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from cai_core.errors import AlarmRaised
from cai_core.training.alarm_limits import AlarmLimits
from cai_core.training.alarms import ALARMS, WATCHED_LOGS, Alarm, History, look
from cai_core.training.probe import Probe
from cai_core.training.probe_measures import PROBES, ProbeLine, read_probes
from cai_core.workspace.journal import append_records, read_journal


class AlarmCallback(TrainerCallback):
    """Probes before step 1, every so many steps and after the last; looks then and at each log.

    An alarm that stops has the step saved, and then raises AlarmRaised out of `trainer.train()`.
    Put it behind `Watching`, whose seconds are then the steps' alone.
    """

    def __init__(self, run_folder: Path, limits: AlarmLimits, probe: Probe | None) -> None:
        """
        Args:
            run_folder: gets probe.jsonl and alarms.jsonl.
            probe: None to watch the trainer's log alone.
        """
        self._folder = run_folder
        self._limits = limits
        self._probe = probe
        self._probes: list[ProbeLine] = []
        self._logs: list[Mapping[str, Any]] = []
        self._ringing: set[tuple[str, str | None]] = set()
        self._stopping: Alarm | None = None

    @property
    def seconds(self) -> float:
        """Spent in the probe."""
        return self._probe.seconds if self._probe is not None else 0.0

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **_: Any,
    ) -> None:
        """Take up what the run told up to this step, and probe where it has no start yet."""
        self._probes = read_probes(self._folder, until=state.global_step)
        self._logs = [
            record
            for record in read_journal(self._folder / "metrics.jsonl").records
            if isinstance(record.get("step"), int) and record["step"] <= state.global_step
        ]
        append_records(
            self._folder / ALARMS, [{"step": state.global_step, "limits": self._limits.as_dict()}]
        )
        if not self._probes:
            self._ask(model, state.global_step)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **_: Any,
    ) -> None:
        """Probe where it is time."""
        last = state.global_step >= state.max_steps
        if self._probe is None or not (last or state.global_step % self._probe.every == 0):
            return
        self._ask(model, state.global_step)
        self._look(control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Look at what the trainer says."""
        told = {name: logs[name] for name in WATCHED_LOGS if name in logs} if logs else {}
        if told:
            self._logs.append({"step": state.global_step, **told})
            self._look(control)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """After the last checkpoint.

        Raises:
            AlarmRaised: an alarm ended the training.
        """
        if self._stopping is not None:
            words = self._stopping.words
            raise AlarmRaised(
                f"alarm: {self._stopping.name} at step {self._stopping.step}: {words} The last "
                "step is saved. Look at the probe's answers; to go on regardless, clone the run "
                "with another limit.",
                alarm=self._stopping.name,
                step=self._stopping.step,
            )

    def _ask(self, model: PreTrainedModel | None, step: int) -> None:
        if self._probe is None or model is None:
            return
        start = self._probes[0].answers if self._probes else None
        line = self._probe.ask(getattr(model, "module", model), step, start)
        self._probes.append(line)
        append_records(self._folder / PROBES, [line.as_dict()])

    def _look(self, control: TrainerControl) -> None:
        ringing = look(History(logs=self._logs, probes=self._probes), self._limits)
        # What went on ringing since the last look is told once.
        new = [alarm for alarm in ringing if (alarm.name, alarm.kind) not in self._ringing]
        self._ringing = {(alarm.name, alarm.kind) for alarm in ringing}
        if new:
            append_records(self._folder / ALARMS, [alarm.as_dict() for alarm in new])
        if self._stopping is None:
            self._stopping = next((alarm for alarm in ringing if alarm.stops), None)
        if self._stopping is not None:
            control.should_save = control.should_training_stop = True
