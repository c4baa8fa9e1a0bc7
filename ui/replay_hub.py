"""The replays of this process, whatever the number of tabs."""

from __future__ import annotations

import threading

from cai_core.pipeline.replay import run_replay
from cai_core.pipeline.replay_live import ReplayHub

_lock = threading.Lock()
_hub: ReplayHub | None = None


def hub() -> ReplayHub:
    """The process's replays; made at the first call."""
    global _hub
    with _lock:
        if _hub is None:
            _hub = ReplayHub(run_replay)
        return _hub


def close() -> None:
    """Stop them; the next call makes a new hub."""
    global _hub
    with _lock:
        closing, _hub = _hub, None
    if closing is not None:
        closing.close()
