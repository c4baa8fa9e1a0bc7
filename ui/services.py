"""What this process has once, whatever the number of tabs: the hub of live chains.

Modules are imported once a process and the file watcher is off, so a guarded module variable is
the one hub (`st.cache_resource` would leave old ones behind).
"""

from __future__ import annotations

import threading

from cai_core.pipeline.interactive import load_live, run_live, warm_up_demo
from cai_core.pipeline.live import LiveHub
from cai_core.workspace.files import get_workspace

_lock = threading.Lock()
_hub: LiveHub | None = None


def hub() -> LiveHub:
    """The process's chains; made at the first call."""
    global _hub
    with _lock:
        if _hub is None:
            _hub = LiveHub(run_live, load_live)
        return _hub


def warm_up() -> None:
    """Start the demo model's server in the background, so that the first chain finds it up."""
    threading.Thread(
        target=warm_up_demo, args=(get_workspace(),), name="warm-up", daemon=True
    ).start()


def close() -> None:
    """Stop what runs; the next call of `hub` makes a new one."""
    global _hub
    with _lock:
        closing, _hub = _hub, None
    if closing is not None:
        closing.close()
