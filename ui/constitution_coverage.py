"""Principles × kinds of harm: what each kind is covered by, and the holes with a prompt to try."""

from __future__ import annotations

import streamlit as st

from cai_core.constitution.coverage import Coverage, Hole, compute_coverage
from cai_core.jobs.coverage_study import Citations, count_citations
from cai_core.records import Constitution
from ui import services
from ui.constitution_address import describe_count
from ui.look import build_badge, build_card, escape
from ui.runs_words import build_facts

_NAMED, _MATRIX = 3, 40
_WHY = {
    "no principle": "no principle is about it",
    "general only": "general principles alone",
    "never cited": "no critique found anything",
}


def show_coverage(text: Constitution) -> None:
    """Render how a text covers the kinds of harm, from its tags and from its runs' critiques."""
    citations = count_citations(services.workspace(), text.hash)
    coverage = compute_coverage(text, cited=citations.found if citations.runs else None)
    holes = {hole.category: hole for hole in coverage.holes}
    st.html(
        build_facts(
            [
                ("kinds of harm", str(len(coverage.categories))),
                ("have a principle of their own", str(_count_own(coverage))),
                ("principles about harm as a whole", str(len(coverage.general))),
                ("holes", str(len(holes))),
            ]
        )
    )
    st.html(f'<p class="cai-quiet">{escape(_tell_sources(citations))}</p>')
    st.html(_build_table(coverage, holes, with_runs=bool(citations.runs)))
    if len(coverage.principles) <= _MATRIX:
        with st.expander("Every principle beside every kind"):
            st.html(_build_matrix(coverage))


def _count_own(coverage: Coverage) -> int:
    return sum(coverage.count_tagged(category) > 0 for category in coverage.categories)


def _tell_sources(citations: Citations) -> str:
    words = "A principle is about a kind of harm where its tags say so."
    if not citations.runs:
        return f"{words} No run of this text has told what its critiques find yet."
    count = describe_count(len(citations.runs), "run")
    return f"{words} What critiques found is counted over {count} of this text."


def _build_table(coverage: Coverage, holes: dict[str, Hole], *, with_runs: bool) -> str:
    head = ["Kind of harm", "Principles", *(["Critiques"] if with_runs else []), "Hole"]
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    order = [*holes, *(name for name in coverage.categories if name not in holes)]
    rows = "".join(
        _build_row(coverage, name, holes.get(name), with_runs=with_runs) for name in order
    )
    return (
        '<div class="cai-scroll"><table class="cai-table cai-holes">'
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _build_row(coverage: Coverage, category: str, hole: Hole | None, *, with_runs: bool) -> str:
    column = coverage.categories.index(category)
    names = [
        name
        for name, row in zip(coverage.principles, coverage.cells, strict=True)
        if row[column].tagged
    ]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    cells = [escape(category), escape(", ".join(names[:_NAMED]) + more) or "—"]
    if with_runs:
        cells.append(str(coverage.count_cited(category)))
    if hole is None:
        cells.append("")
    else:
        prompt = f'<div class="cai-quiet">Try: {escape(hole.prompt)}</div>'
        cells.append(build_badge(_WHY[hole.why], dashed=True) + prompt)
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _build_matrix(coverage: Coverage) -> str:
    """A row for each principle that has a tag or a citation; ● a tag, a number what was found."""
    rows = []
    for name, cells in zip(coverage.principles, coverage.cells, strict=True):
        told = [
            f"{'● ' if cell.tagged else ''}{category}" + (f" ({cell.cited})" if cell.cited else "")
            for category, cell in zip(coverage.categories, cells, strict=True)
            if cell.tagged or cell.cited
        ]
        general = " about harm as a whole" if name in coverage.general else ""
        words = ", ".join(told) or "no kind by name"
        badge = build_badge(general.strip(), quiet=True) if general else ""
        rows.append(build_card("principle", name, escape(words), badges=badge, slim=True))
    return f'<div class="cai-list">{"".join(rows)}</div>'
