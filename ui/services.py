"""What this process has once, whatever the number of tabs: the chains that run, and the indexes.

A read-only demo (CAI_DEMO) keeps its indexes in a temporary folder, starts nothing, and everybody
before its pages is a viewer; `cai_core.actions` refuses whatever a page still asks for.

Modules are imported once a process and the file watcher is off, so a guarded module variable is
the one of its kind (`st.cache_resource` would leave old ones behind).
"""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from cai_core.jobs.launch import ensure_dispatcher
from cai_core.jobs.queue import load_queue
from cai_core.jobs.schedules import has_active
from cai_core.pipeline.interactive import load_live, run_live, warm_up_demo
from cai_core.pipeline.live import LiveHub
from cai_core.pipeline.ways_interactive import load_live_ways, run_live_ways
from cai_core.pipeline.ways_live import WaysHub
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.files import get_recordings, get_workspace
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.read_only import is_read_only

# What stands where something would be changed.
READ_ONLY = "Read-only demo"
_DEMO_ACTOR = Actor(name="demo", role=AccessRole.VIEWER)
_lock = threading.Lock()
_hub: LiveHub | None = None
_ways: WaysHub | None = None
_index: WorkspaceIndex | None = None
_home: TemporaryDirectory[str] | None = None


def workspace() -> Path:
    """The workspace that this process works on."""
    return get_workspace()


def actor() -> Actor:
    """Who sits before the page."""
    return _DEMO_ACTOR if is_read_only() else LOCAL_ACTOR


def explain(role: AccessRole) -> str:
    """Why who sits before the page may not do what takes that role; empty where they may."""
    if actor().role.includes(role):
        return ""
    return READ_ONLY if is_read_only() else f"Ask an admin for the role {role}."


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

    A read-only demo makes its own beside whoever owns the workspace, which it only reads.

    Raises:
        WorkspaceOwnedError: another process owns them.
    """
    global _index, _home
    with _lock:
        if _index is None:
            home = None
            if is_read_only():
                _home = TemporaryDirectory(prefix="cai-demo-")
                home = Path(_home.name)
            _index = WorkspaceIndex.open(get_workspace(), recordings=get_recordings(), home=home)
            _index.start()
        return _index


def warm_up() -> None:
    """Start the demo model's server in the background, so that the first chain finds it up."""
    if is_read_only():
        return
    threading.Thread(
        target=warm_up_demo, args=(get_workspace(),), name="warm-up", daemon=True
    ).start()


def go_on_with_queue() -> None:
    """Runs that wait are begun without anybody asking: after a restart of the machine, say.

    Schedules need the same dispatcher.
    """
    if is_read_only():
        return
    if load_queue(get_workspace()) or has_active(get_workspace()):
        ensure_dispatcher(get_workspace())


def close() -> None:
    """Stop what runs and let go of the indexes; the next call makes new ones."""
    global _hub, _ways, _index, _home
    with _lock:
        closing_hub, _hub = _hub, None
        closing_ways, _ways = _ways, None
        closing_index, _index = _index, None
        closing_home, _home = _home, None
    if closing_hub is not None:
        closing_hub.close()
    if closing_ways is not None:
        closing_ways.close()
    if closing_index is not None:
        closing_index.close()
    if closing_home is not None:
        closing_home.cleanup()
