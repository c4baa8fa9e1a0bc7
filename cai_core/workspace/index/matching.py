"""The rows and lines behind a page of a list, whole, as the run folders' files hold them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.workspace.index.chains import load_record
from cai_core.workspace.index.comparison_views import ComparisonView
from cai_core.workspace.index.prepare import build_chain_key
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.views import RoundView

# A run and a chain in it.
ChainPlace = tuple[str, str]
_ROWS = """
select n.run, r.chain, n.folder || '/rows/' || r.file, r.position, r.length
from rows r join runs n on n.number = r.run_number
where r.chain_key in (select unnest(?::bigint[])) and r.chain in (select unnest(?::varchar[]))
order by n.run, r.chain, r.epoch, r.position
"""
_LINES = """
select n.run, c.place, n.folder || '/outputs/' || c.file, c.position, c.length
from comparisons c join runs n on n.number = c.run_number
where n.run in (select unnest(?::varchar[])) and c.place in (select unnest(?::integer[]))
"""


def load_chain_records(
    con: Connection, rounds: Iterable[RoundView]
) -> dict[ChainPlace, list[dict[str, Any]]]:
    """Every row of the rounds' chains, in the order in which they were written.

    A row that cannot be read any more is left out.
    """
    places = {(one.run, one.chain) for one in rounds}
    chains = sorted({chain for _, chain in places})
    keys = [build_chain_key(chain) for chain in chains]
    found: dict[ChainPlace, list[dict[str, Any]]] = defaultdict(list)
    for run, chain, path, position, length in con.execute(_ROWS, [keys, chains]).fetchall():
        if (run, chain) in places and (record := _load(path, position, length)) is not None:
            found[run, chain].append(record)
    return found


def load_lines(con: Connection, shown: Sequence[ComparisonView]) -> list[dict[str, Any] | None]:
    """The comparisons' lines in their order; None for one that cannot be read any more."""
    runs, places = sorted({one.run for one in shown}), sorted({one.place for one in shown})
    found = con.execute(_LINES, [runs, places]).fetchall()
    lines = {(run, place): where for run, place, *where in found}
    return [_load(*where) if (where := lines.get((one.run, one.place))) else None for one in shown]


def _load(path: str, position: int, length: int) -> dict[str, Any] | None:
    try:
        return load_record(Path(path), position, length)
    except (CaiError, OSError, ValueError):
        return None  # deleted or made anew since the list was read
