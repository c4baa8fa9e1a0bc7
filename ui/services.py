"""What this process has once, whatever the number of tabs: the chains that run, and the indexes.

Modules are imported once a process and the file watcher is off, so a guarded module variable is
the one of its kind (`st.cache_resource` would leave old ones behind).
"""

from __future__ import annotations

import threading
from pathlib import Path

from cai_core.jobs.launch import ensure_dispatcher
from cai_core.jobs.queue import load_queue
from cai_core.pipeline.interactive import load_live, run_live, warm_up_demo
from cai_core.pipeline.live import LiveHub
from cai_core.pipeline.ways_interactive import load_live_ways, run_live_ways
from cai_core.pipeline.ways_live import WaysHub
from cai_core.records import LOCAL_ACTOR, Actor
from cai_core.workspace.files import get_recordings, get_workspace
from cai_core.workspace.index.owner import WorkspaceIndex

_lock = threading.Lock()
_hub: LiveHub | None = None
_ways: WaysHub | None = None
_index: WorkspaceIndex | None = None


def workspace() -> Path:
    """The workspace that this process works on."""
    return get_workspace()


def actor() -> Actor:
    """Who sits before the page."""
    return LOCAL_ACTOR


def hub() -> LiveHub:
    """The process's chains; made at the first call."""
    global _hub
    with _lock:
        if _hub is None:
            _hub = LiveHub(run_live, load_live)
        return _hub


def ways_hub() -> WaysHub:
    """The process's comparisons of ways; made at the first call."""
    global _ways
    with _lock:
        if _ways is None:
            _ways = WaysHub(run_live_ways, load_live_ways)
        return _ways


def index() -> WorkspaceIndex:
    """The workspace's indexes, which this process owns from the first call on.

    Raises:
        WorkspaceOwnedError: another process owns them.
    """
    global _index
    with _lock:
        if _index is None:
            _index = WorkspaceIndex.open(get_workspace(), recordings=get_recordings())
            _index.start()
        return _index


def warm_up() -> None:
    """Start the demo model's server in the background, so that the first chain finds it up."""
    threading.Thread(
        target=warm_up_demo, args=(get_workspace(),), name="warm-up", daemon=True
    ).start()


def go_on_with_queue() -> None:
    """Runs that wait are begun without anybody asking: after a restart of the machine, say."""
    if load_queue(get_workspace()):
        ensure_dispatcher(get_workspace())


def close() -> None:
    """Stop what runs and let go of the indexes; the next call makes new ones."""
    global _hub, _ways, _index
    with _lock:
        closing_hub, _hub = _hub, None
        closing_ways, _ways = _ways, None
        closing_index, _index = _index, None
    if closing_hub is not None:
        closing_hub.close()
    if closing_ways is not None:
        closing_ways.close()
    if closing_index is not None:
        closing_index.close()
