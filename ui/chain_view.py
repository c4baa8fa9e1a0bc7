"""The live view of one chain: step cards that fill in while the model writes."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cai_core.errors import CaiError
from cai_core.pipeline.interactive import build_chain_row_id, build_run_id
from cai_core.pipeline.live import (
    LiveChain,
    LiveRequest,
    LiveStep,
    Snapshot,
)
from cai_core.pipeline.live_task import ChainState
from cai_core.records import Finding, StepKind
from ui import services
from ui.chain_compare import build_side_title
from ui.chain_marks import mark_toggles, note_form, show_mark_failure, show_notes
from ui.diff import build_diff
from ui.explorer_links import find_chain_place, show_link
from ui.harm import (
    NOTHING,
    HeldBack,
    find_held_back,
    hold_back,
    hold_removed,
    show_harmful_toggle,
)
from ui.look import Thing, build_badge, build_card, build_error, build_icon, escape
from ui.reasoning import build_reasoning

TICK_SECONDS = 0.3

_FINDINGS = {
    Finding.FOUND: build_badge("problem found"),
    Finding.NOT_TOUCHED: build_badge("principle not touched", quiet=True),
    Finding.UNPARSED: build_badge("unparsed", quiet=True, dashed=True),
}
_THINGS: dict[StepKind, Thing] = {
    StepKind.RESPONSE: "response",
    StepKind.CRITIQUE: "critique",
    StepKind.REVISION: "revision",
}


def show_chains(chains: Sequence[LiveChain], live: Sequence[bool]) -> None:
    """Render one chain, or two side by side, and keep rendering those that are live.

    Args:
        live: for each chain whether the page is drawn for one that may still grow.
    """
    shown = show_harmful_toggle()
    if len(chains) == 1:
        show_chain(chains[0], live=live[0], show_harmful=shown)
        return
    for number, column in enumerate(st.columns(2, gap="small")):
        chain, other = chains[number], chains[1 - number]
        with column:
            title = build_side_title(chain.request, other.request)
            st.html(f'<h2 class="cai-side">{escape(title)}</h2>')
            show_chain(chain, live=live[number], show_harmful=shown, side=("_a", "_b")[number])


def show_chain(chain: LiveChain, *, live: bool, show_harmful: bool, side: str = "") -> None:
    """Render the chain, and keep rendering it until it has ended.

    Args:
        live: whether the rest of the page is drawn for a chain that may still grow.
        show_harmful: False blurs what `ui.harm` holds back.
        side: tells the widgets of two chains on one page apart.
    """

    def cards() -> None:
        snapshot = chain.snapshot()
        _show_status(chain, snapshot, side)
        with_diff = bool(st.session_state.get(f"diff{side}"))
        held = NOTHING if show_harmful else build_held_back(chain.request, snapshot)
        for card in build_cards(chain.request, snapshot, with_diff=with_diff, held=held):
            st.html(card)
        if live and not snapshot.state.is_live:
            st.rerun()  # the whole page: this ends the ticking and frees the Run button

    st.fragment(cards, run_every=TICK_SECONDS if live else None)()
    if not live:
        _show_marks(chain, side)


def _show_marks(chain: LiveChain, side: str) -> None:
    """What people say of an ended chain; nothing for one that wrote nothing."""
    if not chain.snapshot().kept:
        return
    row_id = build_chain_row_id(chain.id, chain.request.prompt)
    run = build_run_id(chain.id)
    try:
        if services.index().get_chain(row_id) is None:
            # It has ended this very moment; a long look under way is not worth a wait.
            services.index().ingest(patience=0.5)
        view = services.index().get_chain(row_id)
    except CaiError as error:
        st.html(build_error("This chain cannot be marked now", str(error)))
        return
    if view is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", key=f"marks{side}"):
        mark_toggles(row_id, run, view.marks, at=f"page{side}")
        notes = len(view.marks.notes)
        with st.popover(f"Notes ({notes})" if notes else "Note", icon=":material/sticky_note_2:"):
            show_notes(view.marks)
            note_form(row_id, run, at=f"page{side}")
        show_link(find_chain_place(row_id), "Open in Critiques", icon=":material/rate_review:")
    show_mark_failure()


def build_held_back(request: LiveRequest, snapshot: Snapshot) -> HeldBack:
    """Which texts of the chain stay blurred, as far as it has been written."""
    drafts: list[tuple[str, Finding | None]] = []
    for step in snapshot.steps:
        if step.kind is not StepKind.CRITIQUE:
            drafts.append((step.text, None))
        elif drafts:
            drafts[-1] = (drafts[-1][0], step.finding)
    return find_held_back(request.prompt.kind.value, drafts)


def show_empty(*, forgotten: bool) -> None:
    """What stands where a chain will be; `forgotten`: the address names one that is not here."""
    if forgotten:
        st.html(
            build_card(
                "note",
                "No such chain here",
                "The address names a chain that this workspace does not hold. Check that the "
                "address is whole, or run the prompt again.",
            )
        )
    rows: list[tuple[Thing, str]] = [
        ("response", "The model answers the prompt: the initial response."),
        ("principle", "A principle is drawn from the constitution."),
        ("critique", "The model critiques its own answer against that principle."),
        ("revision", "It revises the answer. Then the next round begins."),
    ]
    steps = "".join(
        f'<li class="cai-{thing}" style="color:var(--cai)">{build_icon(thing)}'
        f'<span style="color:light-dark(#1b2030,#e7e9f0)">{escape(text)}</span></li>'
        for thing, text in rows
    )
    st.html(f'<div class="cai-empty"><b>The chain will appear here.</b><ol>{steps}</ol></div>')


def build_cards(
    request: LiveRequest, snapshot: Snapshot, *, with_diff: bool, held: HeldBack
) -> list[str]:
    """The transcript, top to bottom, as one piece of HTML a card."""
    cards = [build_card("prompt", "Prompt", escape(request.prompt.text))]
    draft, round_shown = "", 0
    for step in snapshot.steps:
        if step.round > round_shown:
            round_shown = step.round
            cards.append(_principle_card(request, step))
        if step.text or step.done or snapshot.state.is_live:
            cards.append(_step_card(step, draft, snapshot.state, with_diff, held))
        if step.kind is not StepKind.CRITIQUE and step.done:
            draft = step.text
    if snapshot.error is not None:
        cards.append(build_error("The chain stopped on an error", snapshot.error))
    return cards


def build_status(request: LiveRequest, snapshot: Snapshot) -> str:
    """Where the chain is, and how far.

    Screen readers say it whenever it changes. So it holds no clock: see `build_clock`.
    """
    steps, kept, total = snapshot.steps, snapshot.kept, request.recipe.rows_per_chain
    all_of = "step" if total == 1 else "steps"
    match snapshot.state:
        case ChainState.STARTING:
            words, more = "Waiting for the model", ""
        case ChainState.RUNNING:
            words, more = f"Writing {_title(steps[-1]).lower()}", f"step {len(steps)} of {total}"
        case ChainState.FINISHED:
            words, more = "Finished", f"{kept} {all_of}"
        case ChainState.STOPPED:
            words, more = "Stopped", f"{kept} of {total} {all_of} kept"
        case ChainState.FAILED:
            words, more = "Failed", f"{kept} of {total} {all_of} kept"
    mark = {"finished": "✓", "stopped": "■", "failed": "✕"}.get(snapshot.state, "●")
    return (
        f'<div role="status"><b><span aria-hidden="true">{mark}</span> {escape(words)}</b> '
        f'<span class="cai-quiet">{escape(more)}</span></div>'
    )


def build_clock(snapshot: Snapshot) -> str:
    """For how long the chain has been, or was, at work."""
    return f'<span class="cai-quiet cai-clock">{snapshot.seconds:.1f} s</span>'


def _show_status(chain: LiveChain, snapshot: Snapshot, side: str) -> None:
    key = f"chain_status{side}"
    with st.container(horizontal=True, vertical_alignment="center", key=key):
        st.html(build_status(chain.request, snapshot), width="content")
        st.html(build_clock(snapshot), width="stretch")
        if any(step.kind is StepKind.REVISION for step in snapshot.steps):
            st.toggle("Show changes", key=f"diff{side}", persist_state="session")
        if snapshot.state.is_live:
            st.button("Stop", key=f"stop{side}", icon=":material/stop_circle:", on_click=chain.stop)


def _principle_card(request: LiveRequest, step: LiveStep) -> str:
    name = step.principle_id or ""
    text = next((p.text for p in request.constitution.principles if p.id == name), "")
    badge = f'<span class="cai-quiet">{escape(name)}</span>'
    title = f"Round {step.round}: principle"
    return build_card("principle", title, escape(text), badges=badge, slim=True)


def _step_card(
    step: LiveStep, draft: str, state: ChainState, with_diff: bool, held: HeldBack
) -> str:
    body, badges = escape(step.text), ""
    if step.finding is not None:
        badges += _FINDINGS[step.finding]
    if step.done and step.kind is StepKind.REVISION:
        if step.text == draft:
            badges += build_badge("unchanged", quiet=True)
        elif with_diff:
            body = build_diff(draft, step.text)
            body = hold_removed(body) if held.holds_removed(draft) else body
    held_back = step.kind is not StepKind.CRITIQUE and held.holds(step.text)
    if held_back:
        body = hold_back(body)
    body = build_reasoning(step.reasoning, held=held_back) + body
    if step.cut_short:
        badges += build_badge("cut at the token limit", quiet=True, dashed=True)
    if not step.done and not state.is_live:
        badges += build_badge("unfinished, not kept", quiet=True, dashed=True)
    writing = not step.done and state.is_live
    return build_card(_THINGS[step.kind], _title(step), body, badges=badges, writing=writing)


def _title(step: LiveStep) -> str:
    if step.kind is StepKind.RESPONSE:
        return "Initial response"
    return f"{step.kind.value.capitalize()} {step.round}"
