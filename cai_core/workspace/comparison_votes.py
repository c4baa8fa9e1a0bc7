"""What people say of each comparison, over all review queues, and how it stands to the AI label."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from cai_core.records import Verdict
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.review_queues import get_queue_folder, is_queue_id
from cai_core.workspace.review_votes import Vote, read_votes_in

# Nobody has judged it; most see it as the label does; they see it otherwise, or differ.
OPEN, AGREES, DISPUTED = "open", "agrees", "disputed"
STATES = (OPEN, AGREES, DISPUTED)
Votes = Mapping[str, tuple[Vote, ...]]
_Stamp = tuple[object, ...]
_lock = threading.Lock()
_MOST_HELD = 16
_held: dict[Path, tuple[_Stamp, Votes]] = {}


def read_comparison_votes(workspace: Path) -> Votes:
    """Comparison → each person's newest vote of it in any queue, the oldest first.

    The same mapping is given as long as nothing changes.
    """
    path = get_journal_path(workspace, Topic.REVIEWS)
    queues = sorted(
        file.stem for file in get_queue_folder(workspace).glob("*.json") if is_queue_id(file.stem)
    )
    try:
        stat = path.stat()
        stamp: _Stamp = (stat.st_ino, stat.st_size, *queues)
    except OSError:
        stamp = ()
    with _lock:
        held = _held.get(path)
    if held is not None and held[0] == stamp:
        return held[1]
    votes = _collect(read_votes_in(workspace, queues))
    with _lock:
        if len(_held) >= _MOST_HELD and path not in _held:
            _held.clear()
        _held[path] = (stamp, votes)
    return votes


def settle_state(votes: Iterable[Vote], verdict: Verdict | None) -> str:
    """One of STATES: whether the verdict of more than half is the label's.

    Votes that put a comparison aside say nothing. `disputed` is what a recipe's `drop_disputed`
    leaves out.

    Args:
        verdict: the label's; without one there is nothing to agree with, and it is `open`.
    """
    told = Counter(vote.verdict for vote in votes if vote.verdict is not None)
    if not told or verdict is None:
        return OPEN
    (most, count), *_ = told.most_common(1)
    return AGREES if 2 * count > told.total() and most is verdict else DISPUTED


def _collect(votes: Iterable[Vote]) -> Votes:
    """Of votes, the oldest first, each person's newest of each comparison."""
    newest: dict[tuple[str, str], Vote] = {}
    for vote in votes:
        place = (vote.comparison, vote.reviewer)
        newest.pop(place, None)
        newest[place] = vote
    found: dict[str, list[Vote]] = {}
    for vote in newest.values():
        found.setdefault(vote.comparison, []).append(vote)
    return {comparison: tuple(some) for comparison, some in found.items()}
