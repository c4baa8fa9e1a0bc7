"""The runs that evaluations rest on, from left to right, as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cai_core.reports.charts import open_svg, shorten, write_text
from cai_core.reports.report import LineageRun

_BOX, _HEIGHT, _ACROSS, _DOWN = 210, 42, 250, 56


def draw_lineage(runs: Sequence[LineageRun]) -> str:
    """A box for each run, arrows from what it was made from."""
    columns = place_runs(runs)
    rows: dict[int, int] = {}
    places: dict[str, tuple[int, int]] = {}
    # Parents stand last in a lineage: drawn from the back, the oldest are at the top.
    for one in reversed(runs):
        column = columns[one.run]
        row = rows.get(column, 0)
        rows[column] = row + 1
        places[one.run] = (4 + column * _ACROSS, 4 + row * _DOWN)
    parts = [
        _draw_arrow(places[parent], places[one.run])
        for one in runs
        for parent in one.parents
        if parent in places
    ]
    for one in runs:
        x, y = places[one.run]
        told = ", ".join(word for word in (one.kind or "not here any more", one.state) if word)
        style = "box asked" if one.kind == "evaluate" else "box"
        parts.append(
            f'<rect x="{x}" y="{y}" width="{_BOX}" height="{_HEIGHT}" rx="6" class="{style}"/>'
        )
        parts.append(write_text(x + 9, y + 18, shorten(one.run, 24), "head"))
        parts.append(write_text(x + 9, y + 34, shorten(told, 28), "label"))
    width = 8 + _BOX + max(columns.values(), default=0) * _ACROSS
    return open_svg(width, 8 + max(rows.values(), default=1) * _DOWN, parts)


def place_runs(runs: Sequence[LineageRun]) -> Mapping[str, int]:
    """Run → its column: one to the right of the last of its parents."""
    known = {one.run: one for one in runs}
    columns: dict[str, int] = {}

    def find(run: str, below: frozenset[str]) -> int:
        if run not in columns:
            parents = [name for name in known[run].parents if name in known and name not in below]
            columns[run] = 1 + max((find(name, below | {run}) for name in parents), default=-1)
        return columns[run]

    for one in runs:
        find(one.run, frozenset({one.run}))
    return columns


def _draw_arrow(parent: tuple[int, int], child: tuple[int, int]) -> str:
    x1, y1 = parent[0] + _BOX, parent[1] + _HEIGHT / 2
    x2, y2 = child[0], child[1] + _HEIGHT / 2
    bend = (x1 + x2) / 2
    return (
        f'<path d="M{x1:g} {y1:g} C{bend:g} {y1:g} {bend:g} {y2:g} {x2 - 7:g} {y2:g}" '
        f'class="edge"/><path d="M{x2 - 8:g} {y2 - 4:g} L{x2 - 1:g} {y2:g} '
        f'L{x2 - 8:g} {y2 + 4:g} Z" class="tip"/>'
    )
