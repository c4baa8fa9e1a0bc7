"""Who looks at which item of a queue right now: leases, so that no two take one place.

queues/<id>.claims.json    reviewer → item and until when; not journalled, free to be deleted
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cai_core.workspace.files import replace_file
from cai_core.workspace.locks import hold_lock
from cai_core.workspace.review_queues import get_queue_folder

# As long as the longest look at one item: ours. Whatever a reviewer does renews it.
LEASE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A reviewer's lease of one comparison or critique, until a Unix time in seconds."""

    item: str
    until: float


def read_claims(workspace: Path, queue_id: str, *, now: float) -> dict[str, Claim]:
    """The live leases of a queue, by reviewer: each holds at most one."""
    try:
        held = json.loads(_get_path(workspace, queue_id).read_bytes())
        claims = {str(who): Claim(str(told[0]), float(told[1])) for who, told in held.items()}
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        # There are none, or a hand was at the file: at worst somebody is given a place twice.
        return {}
    return {who: claim for who, claim in claims.items() if claim.until > now}


@contextmanager
def hold_claims(workspace: Path, queue_id: str, *, now: float) -> Iterator[dict[str, Claim]]:
    """The live leases, to be changed in place; nobody else changes them meanwhile.

    Only `cai_core.actions` calls this.

    Raises:
        WorkspaceError: the file or its lock cannot be written.
    """
    with hold_lock(get_queue_folder(workspace), f".{queue_id}.lock"):
        claims = read_claims(workspace, queue_id, now=now)
        before = dict(claims)
        yield claims
        if claims != before:
            told = {who: [claim.item, claim.until] for who, claim in claims.items()}
            replace_file(_get_path(workspace, queue_id), [json.dumps(told).encode()])


def let_go(workspace: Path, queue_id: str, reviewer: str, item: str) -> None:
    """End a reviewer's lease, if it is this one. Only `cai_core.actions` calls this.

    Raises:
        WorkspaceError: as `hold_claims`.
    """
    with hold_claims(workspace, queue_id, now=time.time()) as claims:
        mine = claims.get(reviewer)
        if mine is not None and mine.item == item:
            del claims[reviewer]


def _get_path(workspace: Path, queue_id: str) -> Path:
    return get_queue_folder(workspace) / f"{queue_id}.claims.json"
