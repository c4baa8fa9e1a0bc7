"""A queue's votes as files: exported with a data card, imported again, used in recipes."""

from __future__ import annotations

from functools import partial

import streamlit as st

from cai_core.actions.vote_files import export_votes, import_votes
from cai_core.errors import CaiError
from cai_core.evaluation.review_critique_export import CritiqueFormat
from cai_core.evaluation.review_export import VoteFormat, VotesRead
from cai_core.jobs.label_study import LabelStudy
from cai_core.pipeline.human_labels import Disputed
from cai_core.records import AccessRole
from cai_core.workspace.review_queues import QueueKind
from ui import services
from ui.constitution_address import describe_count
from ui.look import build_card, build_error, escape
from ui.review_data import QueueView
from ui.runs_words import build_table

# Label, format, what becomes of disputed ones, the file's ending and its kind.
_File = tuple[str, VoteFormat | CritiqueFormat, Disputed, str, str]
_JSONL, _CSV = "application/jsonl", "text/csv"
_FILES: dict[QueueKind, tuple[_File, ...]] = {
    "comparisons": (
        ("JSONL", "jsonl", "drop", "jsonl", _JSONL),
        ("CSV", "csv", "drop", "csv", _CSV),
        ("Human labels, disputed left out", "human", "drop", "human.jsonl", _JSONL),
        ("Human labels, disputed as ties", "human", "tie", "human-ties.jsonl", _JSONL),
    ),
    "critiques": (
        ("JSONL", "jsonl", "drop", "jsonl", _JSONL),
        ("CSV", "csv", "drop", "csv", _CSV),
        ("People’s revisions, to fine-tune on", "sft", "drop", "sft.jsonl", _JSONL),
    ),
}
_READ, _UPLOAD = "review_import_read", "review_upload"
_MOST_REFUSED = 100


def show_files(view: QueueView, study: LabelStudy | None) -> None:
    """Render the view.

    Args:
        study: of the run of a queue of comparisons; None where that is gone.
    """
    _show_export(view, study)
    _show_import(view)
    _show_use(view)


def _show_export(view: QueueView, study: LabelStudy | None) -> None:
    # Who asks is told now: the file is built outside of the page's run.
    actor, workspace, queue = services.actor(), services.workspace(), view.queue
    may = actor.role.includes(AccessRole.REVIEWER)
    st.html('<h2 class="cai-part">Export</h2>')
    st.html(
        f'<div class="cai-quiet">{describe_count(len(view.votes), "vote")}, discards too.</div>'
    )
    for number, (name, format, disputed, ending, mime) in enumerate(_FILES[queue.kind]):

        def export(
            part: int, format: VoteFormat | CritiqueFormat = format, disputed: Disputed = disputed
        ) -> bytes | str:
            return export_votes(
                actor,
                workspace,
                queue=queue.queue_id,
                format=format,
                study=study,
                disputed=disputed,
            )[part]

        with st.container(horizontal=True, vertical_alignment="center"):
            st.download_button(
                name,
                partial(export, 0),
                file_name=f"{queue.queue_id}-votes.{ending}",
                mime=mime,
                on_click="ignore",
                disabled=not may or not view.votes,
                help=services.explain(AccessRole.REVIEWER) or None,
                key=f"review_download_{number}",
            )
            st.download_button(
                f"Data card of {name}",
                partial(export, 1),
                file_name=f"{queue.queue_id}-votes.{ending}.md",
                mime="text/markdown",
                type="tertiary",
                on_click="ignore",
                disabled=not may or not view.votes,
                key=f"review_card_{number}",
            )


def _show_import(view: QueueView) -> None:
    st.html('<h2 class="cai-part">Import</h2>')
    if not services.actor().role.includes(AccessRole.EDITOR):
        why = services.explain(AccessRole.EDITOR)
        words = f"Importing others’ votes takes the role editor. {why}"
        st.html(build_card("note", "Not yours to import", words, slim=True))
        return
    file = st.file_uploader("An export of this queue’s votes", ["jsonl", "csv"], key=_UPLOAD)
    st.button(
        "Import the votes",
        key="review_import",
        type="primary",
        disabled=file is None,
        on_click=_import,
        args=(view.queue.queue_id,),
    )
    read = st.session_state.get(_READ)
    if read is None or read[0] != view.queue.queue_id:
        return
    if isinstance(read[2], str):
        st.html(build_error(f"{read[1]} was not imported", read[2]))
        return
    _show_read(read[1], read[2])


def _show_read(name: str, read: VotesRead) -> None:
    words = (
        f"{describe_count(len(read.votes), 'vote')} taken, {read.known:,} were here already, "
        f"{describe_count(len(read.refused), 'line')} refused."
    )
    st.html(build_card("note", f"{name} is imported", escape(words)))
    if read.refused:
        rows = [[f"{one.line:,}", one.reason] for one in read.refused[:_MOST_REFUSED]]
        st.html(build_table(["line", "why it was refused"], rows))
        if (more := len(read.refused) - _MOST_REFUSED) > 0:
            st.html(f'<div class="cai-quiet">and {more:,} more</div>')


def _show_use(view: QueueView) -> None:
    if view.queue.kind == "critiques":
        st.html('<h2 class="cai-part">Use the votes</h2>')
        st.html(
            '<div class="cai-quiet">A person’s revision stands beside the model’s; the chain is '
            "not changed. The export to fine-tune on has a conversation a line that ends in the "
            "person’s text, in the form that fine-tuning takes; prompts that are held out are left "
            "out. Verdicts count in a constitution’s view Effect, too.</div>"
        )
        return
    st.html('<h2 class="cai-part">Use the votes in a recipe</h2>')
    st.html(
        '<div class="cai-quiet">In the plan of a reward model or DPO run on these labels. The run '
        "keeps a copy of the votes as they stand when it is handed in. In a plan of labels "
        "<code>human</code> alone puts people’s verdicts in the place of the model’s.</div>"
    )
    st.code(
        f"human: queue:{view.queue.queue_id}\n"
        "use_human: true       # where more than half agree, that is the label\n"
        "drop_disputed: true   # leave out what people disagree about",
        language="yaml",
        wrap_lines=True,
    )


def _import(queue: str) -> None:
    file = st.session_state.get(_UPLOAD)
    if file is None:
        return
    result: VotesRead | str
    try:
        result = import_votes(
            services.actor(),
            services.workspace(),
            queue=queue,
            content=file.getvalue(),
            file=file.name,
        )
    except CaiError as error:
        result = str(error)
    st.session_state[_READ] = (queue, file.name, result)
