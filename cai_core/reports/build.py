"""A report as a file's text. Pure: the same inputs give the same file."""

from __future__ import annotations

from cai_core.reports.blocks import Document
from cai_core.reports.examples import build_examples
from cai_core.reports.headline import build_changes, build_headline, build_verdicts
from cai_core.reports.html_file import write_html
from cai_core.reports.markdown_file import write_markdown
from cai_core.reports.record import (
    build_cards,
    build_constitutions,
    build_costs,
    build_doubts,
    build_labels,
    build_lineage,
    build_provenance,
)
from cai_core.reports.report import Report

_PARTS = (
    build_verdicts,
    build_headline,
    build_changes,
    build_examples,
    build_doubts,
    build_lineage,
    build_constitutions,
    build_labels,
    build_costs,
    build_cards,
    build_provenance,
)


def build_document(report: Report) -> Document:
    """The report in blocks."""
    baseline, *candidates = (one.label for one in report.sides)
    suite = report.sides[0].metrics["suite"]
    return Document(
        title=f"{', '.join(candidates)} against {baseline}",
        lead=f"Suite {suite['name']}, {suite['prompts']} prompts. {report.made[:10]}, CAI "
        f"Workbench {report.version}.",
        sections=tuple(build(report) for build in _PARTS),
    )


def build_html(report: Report) -> str:
    """One file that asks for nothing, runs nothing, and prints."""
    return write_html(build_document(report))


def build_markdown(report: Report) -> str:
    """The same in GitHub's Markdown; of a chart what it shows."""
    return write_markdown(build_document(report))
