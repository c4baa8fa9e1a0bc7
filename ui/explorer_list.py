"""The explorer's list: one card a critique–revision round, and the way from page to page."""

from __future__ import annotations

import streamlit as st

from cai_core.records import Finding
from cai_core.workspace.index.views import RoundFilter, RoundPage, RoundView
from ui import services
from ui.explorer_filter import WORDS, clear_filter
from ui.explorer_links import CHAIN, PLAYGROUND
from ui.harm import hold_back
from ui.look import Thing, build_badge, build_icon, escape

PAGE_SIZE = 25
# More than its lines show; the rest is one click away.
EXCERPT = 600
TICK_SECONDS = 3
_NEWER = "critiques_newer"
FINDING_BADGES = {
    Finding.FOUND: build_badge("problem found"),
    Finding.NOT_TOUCHED: build_badge("principle not touched", quiet=True),
    Finding.UNPARSED: build_badge("unparsed", quiet=True, dashed=True),
    None: build_badge("direct revision", quiet=True),
}
STYLE = """<style>
.st-key-filter_text_row > :first-child, .st-key-filter_selects > * { flex: 1 1 9.5rem;
  min-width: 0; }
.st-key-filter_text_row > :first-child { flex-basis: 18rem; }
[class*="st-key-round_"] { padding: 0.7rem 1rem 0.8rem; border-radius: 0.5rem;
  border: 1px solid light-dark(#d6dae3, #343948); background: light-dark(#ffffff, #171a23); }
.cai-round-head { display: flex; align-items: center; gap: 0.5rem; min-width: 0; }
.cai-round-head .cai-icon, .cai-round-meta .cai-icon { color: var(--cai); font-size: 1.1rem; }
.cai-line { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap;
  min-width: 0; max-width: 90ch; }
.cai-round-meta { display: flex; flex-wrap: wrap; align-items: center; gap: 0.25rem 0.6rem;
  margin-top: 0.25rem; font-size: 0.85rem; color: light-dark(#5b6270, #a3aab8); }
.cai-round-meta > span { min-width: 0; overflow-wrap: anywhere; }
.cai-round-meta .cai-principle { display: inline-flex; align-items: center; gap: 0.3rem;
  color: var(--cai); font-weight: 600; }
.cai-round-texts { display: grid; gap: 0.5rem 1.5rem; margin-top: 0.55rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.cai-excerpt { border-left: 3px solid var(--cai); padding-left: 0.7rem; min-width: 0;
  max-width: 75ch; }
.cai-excerpt b { display: flex; align-items: center; gap: 0.4rem; font-size: 0.8rem;
  font-weight: 600; color: var(--cai); }
.cai-excerpt .cai-clamp { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3;
  overflow: hidden; overflow-wrap: anywhere; font-size: 0.9rem; line-height: 1.45; }
.cai-total { font-variant-numeric: tabular-nums; }
</style>"""


def build_total(page: RoundPage) -> str:
    """How many rounds match, in words."""
    if page.total_is_least:
        return f"{page.total:,}+ rounds"
    return "1 round" if page.total == 1 else f"{page.total:,} rounds"


def build_round(round_: RoundView, *, show_harmful: bool) -> str:
    """One round as HTML: what was asked, what the critique found, what became of the text."""
    blurred = round_.objected and not show_harmful
    prompt = escape(_shorten(round_.prompt, 300))
    return (
        f'<div role="article" aria-label="Round {round_.round}: {prompt}">'
        f'<div class="cai-round-head cai-prompt">{build_icon("prompt")}'
        f'<span class="cai-line">{prompt}</span></div>'
        f'<div class="cai-round-meta">{_facts(round_)}</div>'
        f'<div class="cai-round-texts">{_critique(round_)}{_revision(round_, blurred)}</div></div>'
    )


def show_rounds(page: RoundPage, *, show_harmful: bool) -> None:
    """The cards of one page, each with its button."""
    for round_ in page.rounds:
        place = f"{round_.chain}_{round_.round}"
        with st.container(horizontal=True, wrap=False, key=f"round_{place}"):
            st.html(build_round(round_, show_harmful=show_harmful))
            st.button(
                "Open chain",
                key=f"open_{place}",
                icon=":material/right_panel_open:",
                on_click=open_chain,
                args=(round_.chain,),
            )


def show_no_rounds(*, filtered: bool) -> None:
    """What stands where the list would be, with the one way on."""
    if filtered:
        st.html('<div class="cai-empty"><b>No round matches these filters.</b></div>')
        st.button("Show all rounds", key="empty_clear", type="primary", on_click=clear_filter)
        return
    st.html(
        '<div class="cai-empty"><b>Nothing to read yet.</b> Every critique and revision that a '
        "model writes here, in the playground or in a run, is listed on this page.</div>"
    )
    if st.button("Run a first chain", key="empty_run", type="primary"):
        st.switch_page(PLAYGROUND)


def show_total(chosen: RoundFilter, shown: RoundPage) -> None:
    """How many rounds match, kept up to date while the page stands."""

    def total() -> None:
        now = services.index().list_rounds(chosen, limit=1, facets=False)
        newer = now.total - shown.total
        more = f" · {newer:,} new: reload to see them" if newer > 0 else ""
        st.html(f'<div class="cai-quiet cai-total" role="status">{build_total(now)}{more}</div>')

    st.fragment(total, run_every=TICK_SECONDS)()


def show_paging(page: RoundPage, after: str | None) -> None:
    """Buttons to the newer and the older rounds; nothing where one page holds all."""
    if after is None and page.next_key is None:
        return
    newer: dict[str, str | None] = st.session_state.setdefault(_NEWER, {})
    with st.container(horizontal=True, horizontal_alignment="center", key="paging"):
        st.button("Newest", key="page_first", disabled=after is None, on_click=_go, args=(None,))
        st.button(
            "Newer",
            key="page_newer",
            icon=":material/chevron_left:",
            # An address that somebody sent says where it stands, not what came before.
            disabled=after is None or after not in newer,
            on_click=_go,
            args=(newer.get(after or ""),),
        )
        st.button(
            "Older",
            key="page_older",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=page.next_key is None,
            on_click=_go_older,
            args=(after, page.next_key),
        )


def open_chain(chain: str) -> None:
    """Put the chain into the address; the page then opens its drawer."""
    st.query_params[CHAIN] = chain


def _go(after: str | None) -> None:
    if after is None:
        st.query_params.pop("after", None)
    else:
        st.query_params["after"] = after


def _go_older(here: str | None, after: str) -> None:
    st.session_state.setdefault(_NEWER, {})[after] = here
    _go(after)


def _facts(round_: RoundView) -> str:
    principle = f"{build_icon('principle')}<span>{escape(round_.principle)}</span>"
    badges = [build_badge(WORDS["kind"].get(round_.kind, round_.kind), quiet=True)]
    badges += [build_badge(name) for name in _list_marks(round_)]
    if round_.recorded:
        badges.append(build_badge("recorded", quiet=True, dashed=True))
    names = (f"Round {round_.round}", round_.constitution, round_.model, round_.run)
    others = "".join(f"<span>{escape(name)}</span>" for name in names)
    finding = FINDING_BADGES[round_.finding]
    return f'<span class="cai-principle">{principle}</span>{finding}{"".join(badges)}{others}'


def _critique(round_: RoundView) -> str:
    if round_.critique is None:
        return ""
    return _excerpt("critique", "Critique", round_.critique)


def _revision(round_: RoundView, blurred: bool) -> str:
    if round_.revision is None:
        return _excerpt("revision", "No revision", "The chain ended before it.")
    title = "Revision" if round_.changed else "Revision: unchanged"
    return _excerpt("revision", title, round_.revision, blurred=blurred)


def _excerpt(thing: Thing, title: str, text: str, *, blurred: bool = False) -> str:
    body = f'<div class="cai-clamp">{escape(_shorten(text, EXCERPT))}</div>'
    return (
        f'<div class="cai-excerpt cai-{thing}"><b>{build_icon(thing)}{title}</b>'
        f"{hold_back(body) if blurred else body}</div>"
    )


def _list_marks(round_: RoundView) -> list[str]:
    marks = round_.marks
    notes = len(marks.notes)
    named = {"saved": marks.saved, "flagged": marks.flagged}
    found = [name for name, is_set in named.items() if is_set]
    return [*found, f"{notes} {'note' if notes == 1 else 'notes'}"] if notes else found


def _shorten(text: str, length: int) -> str:
    line = " ".join(text[: 2 * length].split())
    return line if len(line) <= length else f"{line[:length]}…"
