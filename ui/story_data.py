"""What the story shows, read once for each state of its files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from cai_core.jobs.story import StoryChains, find_stages, load_chains
from cai_core.jobs.story_outcome import Outcome, load_outcome
from cai_core.workspace.files import get_recordings
from ui import services

_Stamp = tuple[tuple[str, int, int], ...]


def load_told() -> StoryChains | None:
    """The chains to tell the story with; None where there are none.

    Raises:
        CaiError: a run that is there cannot be read.
    """
    return _load_told(services.workspace(), get_recordings(), _stamp())


def load_ending() -> Outcome | None:
    """What training changed; None where nothing was trained.

    Raises:
        CaiError: a run that is there cannot be read.
    """
    return _load_ending(services.workspace(), _stamp())


def _stamp() -> _Stamp:
    """The runs of the story as they are now."""
    found = []
    for run in find_stages(services.workspace()).values():
        stat = (run.path / "status.json").stat()
        found.append((run.run_id, stat.st_mtime_ns, stat.st_size))
    return tuple(sorted(found))


@lru_cache(maxsize=4)
def _load_told(workspace: Path, recordings: Path, _now: _Stamp) -> StoryChains | None:
    return load_chains(workspace, recordings)


@lru_cache(maxsize=4)
def _load_ending(workspace: Path, _now: _Stamp) -> Outcome | None:
    return load_outcome(workspace)
