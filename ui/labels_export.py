"""The labels page's export: a file in a format that a person chooses, and its data card."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.actions.exports import ENDINGS
from cai_core.actions.labels import download_labels
from cai_core.evaluation.label_quality import measure_examined
from cai_core.evaluation.label_traits import ExaminedLabel, LabelFilter
from cai_core.jobs.label_study import LabelStudy
from cai_core.pipeline.label_export import (
    ExportFormat,
    build_data_card,
    count_trl,
)
from cai_core.records import AccessRole
from ui import services
from ui.constitution_address import describe_count
from ui.explorer_export import FORMATS
from ui.labels_words import list_measured


def show_export(study: LabelStudy, found: Sequence[ExaminedLabel], chosen: LabelFilter) -> None:
    """Buttons behind a popover; files are built when somebody asks for them."""
    # Who asks is told now: the file is built outside of the page's run.
    actor = services.actor()
    may = actor.role.includes(AccessRole.REVIEWER)
    run, selection = study.run.run_id, chosen.describe()
    labels = [one.label for one in found]
    with st.popover("Export", icon=":material/download:", disabled=not labels):
        told = "All" if not selection else "The"
        some = describe_count(len(labels), "label")
        st.html(f'<div class="cai-quiet">{told} {some} of the list.</div>')
        for format, (name, mime) in FORMATS.items():
            ending = ENDINGS[format]
            st.download_button(
                name,
                lambda format=format: download_labels(
                    actor, services.workspace(), run, labels, format, selection=selection
                ),
                file_name=f"{run}-labels.{ending}",
                mime=mime,
                on_click="ignore",
                disabled=not may,
                help=services.explain(AccessRole.REVIEWER) or None,
                key=f"labels_download_{format}",
            )
            st.download_button(
                f"Data card of {name}",
                lambda format=format: build_card(study, found, format, selection),
                file_name=f"{run}-labels.{ending}.md",
                mime="text/markdown",
                type="tertiary",
                on_click="ignore",
                key=f"labels_card_{format}",
            )
        rows = count_trl(labels)
        st.html(
            f'<div class="cai-quiet">TRL’s columns take {rows.rows:,}: without {rows.ties:,} ties, '
            f"{rows.unparsed:,} unparsed, {rows.held_out:,} held out.</div>"
        )


def build_card(
    study: LabelStudy, found: Sequence[ExaminedLabel], format: ExportFormat, selection: str
) -> str:
    """The data card of what the list holds."""
    return build_data_card(
        [one.label for one in found],
        format,
        run=study.run.run_id,
        recipe=study.run.recipe,
        selection=selection,
        run_labels=len(study.examined),
        measured=list_measured(measure_examined(found)),
    )
