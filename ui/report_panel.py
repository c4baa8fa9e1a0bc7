"""The report on some evaluations as a download; built when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.actions.reports import ReportFormat, download_report
from cai_core.records import AccessRole
from ui import services

_FORMATS: dict[ReportFormat, tuple[str, str, str]] = {
    "html": ("Report", "html", "text/html"),
    "markdown": ("Report as Markdown", "md", "text/markdown"),
}


def show_report(runs: Sequence[str]) -> None:
    """Render a download button for each format.

    Args:
        runs: ids of evaluations that share prompts, the baseline first. With fewer than two, or
            for who may not export, the buttons are off and say why.
    """
    # Who asks is told now: the file is built outside of the page's run.
    actor, workspace, names = services.actor(), services.workspace(), tuple(runs)
    why = None
    if len(names) < 2:
        why = "Choose a baseline and a candidate."
    elif not actor.role.includes(AccessRole.REVIEWER):
        why = services.explain(AccessRole.REVIEWER)
    with st.container(horizontal=True, key="report"):
        for format, (label, ending, mime) in _FORMATS.items():
            st.download_button(
                label,
                lambda format=format: download_report(actor, workspace, names, format),
                file_name=f"report-{names[-1] if names else 'none'}.{ending}",
                mime=mime,
                icon=":material/description:" if format == "html" else None,
                type="secondary" if format == "html" else "tertiary",
                on_click="ignore",
                disabled=why is not None,
                help=why or "One file that opens without a network and prints.",
                key=f"report_{format}",
            )
