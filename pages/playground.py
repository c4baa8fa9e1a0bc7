"""Playground: watch a chain, prompt → response → (critique → revision) × n, or compare ways."""

from collections.abc import Sequence

import streamlit as st

from cai_core.actions.chains import start_chain
from cai_core.actions.ways import start_ways
from cai_core.errors import CaiError
from cai_core.pipeline.live import LiveChain, LiveRequest
from cai_core.pipeline.ways_live import LiveWays, WaysRequest
from cai_core.records import AccessRole
from ui import services
from ui.chain_form import chain_form, is_outside_demo_world, restore_form
from ui.chain_prompt import is_outside, note_was_seen
from ui.chain_view import show_chains, show_empty
from ui.look import build_card, build_error, escape, show_title
from ui.ways_form import find_mode, mode_field, restore_ways, ways_form
from ui.ways_view import show_no_ways, show_ways

SIDES = ("run", "with")
LEADS = {
    False: "Watch a model answer, critique its own answer against a constitution, and revise it.",
    True: "Answer one prompt in several ways side by side, without training anything.",
}


def run_chains(requests: list[LiveRequest]) -> None:
    """Start the chains and put them into the address; or say why not."""
    started: list[LiveChain] = []
    try:
        for request in requests:
            started += [
                start_chain(services.actor(), services.workspace(), services.hub(), request)
            ]
    except CaiError as error:
        for chain in started:
            chain.stop()
        st.html(build_error("Not started", str(error)))
        return
    go_to({side: c.id for side, c in zip(SIDES, started, strict=False)}, SIDES)


def run_ways(request: WaysRequest) -> None:
    """Start the comparison and put it into the address; or say why not."""
    try:
        ways = start_ways(services.actor(), services.workspace(), services.ways_hub(), request)
    except CaiError as error:
        st.html(build_error("Not started", str(error)))
        return
    go_to({"ways": ways.id, "mode": "ways"}, ("ways", "mode"))


def go_to(address: dict[str, str], names: Sequence[str]) -> None:
    """Put `address` in the place of those names; what the other mode shows stays in it."""
    held = {k: v for k, v in st.query_params.to_dict().items() if k not in names}
    st.query_params.from_dict({**held, **address})
    st.rerun()


def run_button(*, outside: bool, disabled: bool, why: str) -> bool:
    """Render the button, with why it may not be pressed; whether it was."""
    return st.button(
        "Run anyway" if outside else "Run",
        key="run_chain",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=disabled,
        shortcut="Mod+Enter",
        help=why or None,
    )


asked = [st.query_params.get(side, "") for side in SIDES]
found = [services.hub().get(chain_id) for chain_id in asked]
chains = [chain for chain in found if chain is not None]
asked_ways = st.query_params.get("ways", "")
ways: LiveWays | None = services.ways_hub().get(asked_ways)
# Asked once: a chain that ends while the page is drawn is live on the whole page, or nowhere on it.
live = [chain.snapshot().state.is_live for chain in chains]
live_ways = ways is not None and ways.snapshot().state.is_live
if chains:
    restore_form(*(chain.request for chain in chains))
if ways is not None:
    restore_ways(ways.request)

comparing = find_mode() == "ways"
show_title("Playground", LEADS[comparing])
is_wide = comparing or len(chains) > 1
with st.container(key="playground_wide" if is_wide else "playground"):
    left, right = st.columns([0.28, 0.72] if is_wide else [0.35, 0.65], gap="medium")
    with left:
        mode = mode_field()
        wanted = chain_form() if mode == "chain" else ways_form()
        if isinstance(wanted, WaysRequest):
            outside = is_outside(wanted.prompt.text, wanted.recipe.model)
        else:
            outside = isinstance(wanted, list) and any(map(is_outside_demo_world, wanted))
        running = live_ways if mode == "ways" else any(live)
        refused = services.explain(AccessRole.REVIEWER)
        clicked = run_button(outside=outside, disabled=running or bool(refused), why=refused)
        if clicked and isinstance(wanted, str):
            st.html(build_card("note", "Not yet", escape(wanted)))
        elif clicked and (not outside or note_was_seen()):
            if isinstance(wanted, WaysRequest):
                run_ways(wanted)
            elif isinstance(wanted, list):
                run_chains(wanted)
    with right:
        if mode == "ways":
            if ways is not None:
                show_ways(ways, live=live_ways)
            else:
                show_no_ways(forgotten=bool(asked_ways))
        elif chains:
            show_chains(chains, live)
        else:
            show_empty(forgotten=any(asked))
