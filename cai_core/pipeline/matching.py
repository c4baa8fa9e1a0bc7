"""Every record that an explorer's filter leaves, one page of the index after another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from cai_core.errors import WorkspaceError
from cai_core.pipeline.exports import ExportTally, note
from cai_core.pipeline.label_records import LabelRecord
from cai_core.pipeline.round_records import RoundRecord, build_round
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.views import RoundFilter
from cai_core.workspace.rows import Row, parse_row

# Each page costs a look through the index: a few thousand rows are worth it, and fit in memory.
_PAGE = 2000
GONE, NO_RESPONSE, NO_LABEL = "no longer there", "no initial response", "no label yet"


def read_matching_rounds(
    index: WorkspaceIndex, asked: RoundFilter, tally: ExportTally
) -> Iterator[RoundRecord]:
    """The rounds that match, in the list's order; memory does not grow with them.

    Args:
        tally: what cannot be given is counted in it.

    Raises:
        WorkspaceError: the indexes are closed, or cannot be read.
    """
    after = None
    while True:
        page = index.list_rounds(asked, after=after, limit=_PAGE, facets=False)
        chains = {
            place: _parse_rows(records)
            for place, records in index.load_chain_records(page.rounds).items()
        }
        for one in page.rounds:
            rows = chains.get((one.run, one.chain))
            if not rows:
                tally.leave_out(GONE)
            elif (found := build_round(rows, one.round)) is None:
                tally.leave_out(NO_RESPONSE)
            else:
                yield found
        if (after := page.next_key) is None:
            return


def read_matching_labels(
    index: WorkspaceIndex, asked: ComparisonFilter, tally: ExportTally
) -> Iterator[LabelRecord]:
    """The labels of the comparisons that match, in the list's order.

    A comparison without a label has none; it is counted in the tally.

    Args, raises: as `read_matching_rounds`.
    """
    after = None
    while True:
        page = index.list_comparisons(asked, after=after, limit=_PAGE, facets=False)
        for one, line in zip(page.comparisons, index.load_lines(page.comparisons), strict=True):
            if one.verdict is None or not one.source:
                tally.leave_out(NO_LABEL)
            elif line is None:
                tally.leave_out(GONE)
            elif "label_source" not in line:
                tally.leave_out(NO_LABEL)
            else:
                note(tally.runs, one.run)
                yield _parse(line, one.run)
        if (after := page.next_key) is None:
            return


def _parse_rows(records: Iterable[dict[str, Any]]) -> list[Row]:
    """A chain's rows; none where one of them is none any more."""
    try:
        return [parse_row(record) for record in records]
    except ValueError:
        return []


def _parse(line: dict[str, object], run: str) -> LabelRecord:
    try:
        return LabelRecord.parse(line)
    except (ValueError, TypeError, KeyError) as error:
        raise WorkspaceError(
            f"{run}: a label cannot be read: {error!r}. Delete its labels.jsonl and resume the "
            "run; it is made anew from the rows."
        ) from error
