"""The list of pairs, page by page, and the ways from a pair to its chains or labels."""

from __future__ import annotations

import streamlit as st

from cai_core.workspace.index.side_views import SideFilter, SidePage, SidePair
from ui.explorer_links import show_link
from ui.explorer_list import open_chain
from ui.look import escape, escape_markdown
from ui.review_address import find_label_place
from ui.side_address import AFTER, PLAIN, STEPS, change, is_set
from ui.side_labels import build_label_pair
from ui.side_pairs import build_chain_pair
from ui.side_recipes import name_side

PAGE_SIZE = 10
_BACK = "side_back"


def show_names(page: SidePage) -> None:
    """What stands on either side, in sight however long the list is."""
    names = (name_side(page.left, page.right), name_side(page.right, page.left))
    cells = "".join(
        f"<span><b>{side}</b> {escape(name)}</span>"
        for side, name in zip(("Left", "Right"), names, strict=True)
    )
    with st.container(key="side_names"):
        st.html(f'<div class="cai-two cai-side-names">{cells}</div>')


def show_pairs(page: SidePage, *, show_harmful: bool) -> None:
    """The pairs of one page, each with the ways on."""
    with_diff, opened = not is_set(PLAIN), is_set(STEPS)
    for number, pair in enumerate(page.pairs):
        with st.container(key=f"pair_{number}"):
            if page.holds == "chains":
                body = build_chain_pair(
                    pair, with_diff=with_diff, show_harmful=show_harmful, opened=opened
                )
            else:
                body = build_label_pair(
                    pair,
                    (page.left.recipe, page.right.recipe),
                    with_diff=with_diff,
                    show_harmful=show_harmful,
                    opened=opened,
                )
            st.html(body)
            _show_ways(page, pair, number)


def show_no_pairs(chosen: SideFilter) -> None:
    """What stands where the list would be."""
    st.html('<div class="cai-empty"><b>No pair matches these filters.</b></div>')
    st.button(
        "Show all pairs",
        key="side_clear",
        type="primary",
        disabled=not (chosen.show or chosen.kind or chosen.change or chosen.text),
        on_click=change,
        kwargs={"show": "", "kind": "", "change": "", "q": ""},
    )


def show_side_paging(page: SidePage, after: str | None) -> None:
    """Buttons from page to page; nothing where one page holds all."""
    if after is None and page.next_key is None:
        return
    back: dict[str, str | None] = st.session_state.setdefault(_BACK, {})
    with st.container(horizontal=True, horizontal_alignment="center", key="paging"):
        st.button("First", key="page_first", disabled=after is None, on_click=_go, args=("",))
        st.button(
            "Back",
            key="page_back",
            icon=":material/chevron_left:",
            # An address that somebody sent says where it stands, not what came before.
            disabled=after is None or after not in back,
            on_click=_go,
            args=(back.get(after or "") or "",),
        )
        st.button(
            "Next",
            key="page_next",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=page.next_key is None,
            on_click=_go_on,
            args=(after, page.next_key or ""),
        )


def _show_ways(page: SidePage, pair: SidePair, number: int) -> None:
    with st.container(horizontal=True, key=f"ways_{number}"):
        chains = (pair.left_chain, pair.right_chain)
        labels = (pair.left_label, pair.right_label)
        sides = zip(("left", "right"), (page.left, page.right), chains, labels, strict=True)
        for side, run, chain, label in sides:
            if chain is not None:
                st.button(
                    f"Open {side} chain",
                    key=f"open_{side}_{number}",
                    icon=":material/right_panel_open:",
                    help=escape_markdown(run.run.run),
                    on_click=open_chain,
                    args=(chain.chain,),
                )
            elif label is not None:
                place = find_label_place(run.run.run, label.comparison)
                show_link(place, f"Open {side} label", icon=":material/balance:")


def _go(after: str) -> None:
    change(**{AFTER: after})


def _go_on(here: str | None, after: str) -> None:
    st.session_state.setdefault(_BACK, {})[after] = here
    _go(after)
