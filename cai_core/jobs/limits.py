"""What a dispatcher allows: workers at once, and for how long nothing may happen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from cai_core.jobs.heartbeat import HANG_SECONDS, read_hang_seconds
from cai_core.jobs.schedule import ACCELERATOR_SLOTS, REMOTE_SLOTS, Slot

IDLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the dispatcher allows.

    Attributes:
        slots: workers at once, by kind of slot.
        hang_seconds: a worker without a sign of life for that long is killed.
        idle_seconds: with nothing to do for that long, it leaves.
    """

    slots: Mapping[Slot, int] = field(
        default_factory=lambda: {"accelerator": ACCELERATOR_SLOTS, "remote": REMOTE_SLOTS}
    )
    hang_seconds: float = HANG_SECONDS
    idle_seconds: float = IDLE_SECONDS

    @classmethod
    def from_environment(cls) -> Self:
        """CAI_JOB_SLOTS (of the accelerator), CAI_JOB_HANG_SECONDS, CAI_DISPATCHER_IDLE."""
        accelerator = int(os.environ.get("CAI_JOB_SLOTS") or ACCELERATOR_SLOTS)
        return cls(
            slots={"accelerator": accelerator, "remote": REMOTE_SLOTS},
            hang_seconds=read_hang_seconds(),
            idle_seconds=float(os.environ.get("CAI_DISPATCHER_IDLE") or IDLE_SECONDS),
        )
