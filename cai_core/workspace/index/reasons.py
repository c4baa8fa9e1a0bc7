"""What a feedback model wrote before it preferred a response, so that it can be searched.

All answers about one comparison are one text: a search means any of them. They are read from the
run's files when its label is indexed; by then every answer has been.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from cai_core.workspace.index.prepare_labels import PreparedAnswer, PreparedComparison
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.sources import SeenRun
from cai_core.workspace.journal import parse_line
from cai_core.workspace.runs import RowFile

# Run number, and the comparison's place in the run.
_Place = tuple[int, int]
# Path, epoch, and where in the file.
_Spot = tuple[Path, int, int, int]
_HELD = """
select run_number, place, file, epoch, position, length from answers
where run_number in (select unnest(?::integer[])) and place in (select unnest(?::integer[]))
"""


def load_reasons(
    con: Connection,
    compared: Sequence[tuple[SeenRun, RowFile, PreparedComparison]],
    answers: Iterable[tuple[SeenRun, RowFile, PreparedAnswer]],
) -> list[str | None]:
    """The reasons of each comparison, in their order; None where nobody gave any.

    Args:
        answers: those that the index does not have yet.
    """
    folders = {
        (seen.number, one.place): seen.run.path / "rows"
        for seen, _, one in compared
        if one.reasoned
    }
    if not folders:
        return [None] * len(compared)
    spots: dict[_Place, list[_Spot]] = defaultdict(list)
    for seen, file, answer in answers:
        place = (seen.number, answer.place)
        if place in folders:
            spots[place].append((file.path, file.epoch, answer.position, answer.length))
    runs, places = ({place[at] for place in folders} for at in (0, 1))
    for number, at, name, *where in con.execute(_HELD, [list(runs), list(places)]).fetchall():
        if (number, at) in folders:
            spots[number, at].append((folders[number, at] / name, *where))
    texts = _read(spots)
    return [texts.get((seen.number, one.place)) for seen, _, one in compared]


def _read(spots: dict[_Place, list[_Spot]]) -> dict[_Place, str]:
    """Each place's texts as one, as they were written; of two rows with one id the first counts."""
    asked: dict[Path, list[tuple[int, int, int, _Place]]] = defaultdict(list)
    for place, some in spots.items():
        for path, epoch, position, length in some:
            asked[path].append((position, length, epoch, place))
    found: dict[_Place, dict[str, tuple[int, int, str]]] = defaultdict(dict)
    for path, wanted in asked.items():
        try:
            with path.open("rb") as file:
                for position, length, epoch, place in sorted(wanted):
                    file.seek(position)
                    record = parse_line(file.read(length)).record or {}
                    text, row_id = record.get("text"), str(record.get("row_id"))
                    told = found[place].get(row_id)
                    if isinstance(text, str) and (told is None or (epoch, position) < told[:2]):
                        found[place][row_id] = (epoch, position, text)
        except OSError:
            continue  # deleted since; the run is read anew at the next look
    return {
        place: "\n\n".join(text for _, _, text in sorted(rows.values()))
        for place, rows in found.items()
        if rows
    }
