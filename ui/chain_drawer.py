"""The drawer that shows one chain whole, and takes what people say of it."""

from __future__ import annotations

import json
import re
from typing import Any

import streamlit as st

from cai_core.pipeline.replay_targets import build_chain_target
from cai_core.records import StepKind
from cai_core.workspace.index.views import ChainView, StepView
from ui import services
from ui.chain_marks import mark_toggles, note_form, show_mark_failure, show_notes
from ui.chain_reviews import STYLE as REVIEW_STYLE
from ui.chain_reviews import find_focus, find_latest, review_fields
from ui.explorer_held import find_held
from ui.explorer_lineage import Alike, show_lineage
from ui.explorer_links import CHAIN, find_live_id, find_run_place, show_link
from ui.explorer_transcript import (
    STYLE,
    build_chain_facts,
    build_chain_head,
    build_parts,
    build_step_facts,
    title_of,
)
from ui.harm import NOTHING, hold_back, show_harmful_toggle
from ui.look import build_card, build_error, escape, escape_markdown, make_showable
from ui.replay import forget_replay, replay_button, show_replay
from ui.side_address import find_compare_place

_ROW_ID = re.compile(r"[0-9a-f]{32}")
_MOST_ALIKE = 4


def close_drawer() -> None:
    """Take the chain out of the address, and its replay."""
    st.query_params.pop(CHAIN, None)
    forget_replay()


# A card's text is 75 characters wide; more would be empty.
@st.dialog("Chain", width=820, position="right", on_dismiss=close_drawer)
def show_drawer(chain_id: str) -> None:
    """Render the chain of that id in a drawer; the id comes from an address and may be anything."""
    st.html(STYLE + REVIEW_STYLE)
    chain = _find(chain_id)
    if chain is None:
        st.html(
            build_card(
                "note",
                "No such chain here",
                "The address names a chain that this workspace does not hold. Check that the "
                "address is whole, or close this and look for the chain in the list.",
            )
        )
        return
    st.html(build_chain_head(chain))
    show_harmful = _controls(chain)
    _transcript(chain, show_harmful=show_harmful)
    _notes(chain)
    show_lineage(
        chain.run,
        constitution=chain.constitution,
        version=chain.constitution_hash,
        alike=_list_alike(chain),
    )
    _replay(chain, show_harmful=show_harmful)
    _made_by(chain, show_harmful=show_harmful)


def _find(chain_id: str) -> ChainView | None:
    if not _ROW_ID.fullmatch(chain_id):
        return None
    index = services.index()
    if (chain := index.get_chain(chain_id)) is not None:
        return chain
    # It may have been written since the index last looked.
    index.ingest()
    return index.get_chain(chain_id)


def _controls(chain: ChainView) -> bool:
    with st.container(horizontal=True, key="drawer_controls"):
        mark_toggles(chain.chain, chain.run, chain.marks, at="drawer")
        st.toggle("Show changes", key="diff", persist_state="session")
        show_harmful = show_harmful_toggle("drawer_show_harmful")
    show_mark_failure()
    return show_harmful


def _transcript(chain: ChainView, *, show_harmful: bool) -> None:
    """The chain's texts; below each critique, what people say of it."""
    with_diff = bool(st.session_state.get("diff"))
    parts = build_parts(chain, with_diff=with_diff, show_harmful=show_harmful)
    said = services.index().list_reviews(chain.chain)
    rounds = [part.critique.round for part in parts if part.critique is not None]
    focus, latest = find_focus(rounds, said), find_latest(said)
    for part in parts:
        st.html(part.body)
        if part.critique is not None:
            round_ = part.critique.round
            mine = tuple(review for review in said if review.round == round_)
            review_fields(
                chain.chain, chain.run, round_, mine, with_keys=round_ == focus, latest=latest
            )


def _notes(chain: ChainView) -> None:
    notes = chain.marks.notes
    st.subheader(f"Notes ({len(notes)})" if notes else "Notes", anchor=False)
    show_notes(chain.marks)
    note_form(chain.chain, chain.run, at="drawer")


def _replay(chain: ChainView, *, show_harmful: bool) -> None:
    """Run it again with the same settings, and what differs."""
    st.html('<h3 class="cai-part">Replay</h3>')
    target = build_chain_target(chain)
    replay_button(target, at="drawer")
    held = NOTHING if show_harmful else find_held(chain)
    show_replay(target, held=held, show_harmful=show_harmful)


def _made_by(chain: ChainView, *, show_harmful: bool) -> None:
    st.html('<h3 class="cai-part">What made it</h3>')
    st.html(build_chain_facts(chain))
    for step in chain.steps:
        with st.expander(escape_markdown(title_of(step))):
            _show_step(step, blurred=not show_harmful and _is_held(chain, step))
    with st.expander("Recipe of the run"):
        st.code(_as_json(chain.recipe), language="json", wrap_lines=True)
    st.caption("Open this chain elsewhere: add this to the workbench's address.")
    st.code(f"critiques?{CHAIN}={chain.chain}", language=None, wrap_lines=True)
    if st.button("Compare its run side by side", icon=":material/view_column_2:"):
        place = find_compare_place(chain.run)
        st.switch_page(place.page, query_params=place.params)
    if find_live_id(chain.run):
        show_link(
            find_run_place(chain.run), "Open in the playground", icon=":material/play_circle:"
        )


def _list_alike(chain: ChainView) -> list[Alike]:
    """The chains under the same principles, and those of the same critic."""
    steps = [step for step in chain.steps if step.kind is not StepKind.RESPONSE]
    principles = dict.fromkeys(step.principle for step in steps if step.principle)
    models = dict.fromkeys(str(step.record.get("model_id") or "") for step in steps)
    alike: list[Alike] = [
        ({"principle": name}, f"All under {name}", ":material/gavel:")
        for name in list(principles)[:_MOST_ALIKE]
    ]
    return alike + [
        ({"model": name}, f"All of {name}", ":material/smart_toy:")
        for name in list(models)[:_MOST_ALIKE]
        if name
    ]


def _is_held(chain: ChainView, step: StepView) -> bool:
    return step.kind.value != "critique" and find_held(chain).holds(step.text)


def _show_step(step: StepView, *, blurred: bool) -> None:
    if step.error is not None:
        st.html(build_error("No text", step.error))
    st.html(build_step_facts(step))
    if blurred:
        st.html(build_card("response", "Raw text", hold_back(escape(step.raw))))
    elif step.raw:
        st.caption("Raw text")
        st.code(make_showable(step.raw), language=None, wrap_lines=True)


def _as_json(recipe: dict[str, Any]) -> str:
    return make_showable(json.dumps(recipe, indent=2, ensure_ascii=False, default=str))
