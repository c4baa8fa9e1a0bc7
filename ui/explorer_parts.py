"""What the explorers' lists share: cards, counts, and the way from page to page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import streamlit as st

from ui.explorer_fields import Explorer, clear_filter
from ui.harm import hold_back
from ui.look import Thing, build_icon, escape

PAGE_SIZE = 25
# More than its lines show; the rest is one click away.
EXCERPT = 600
TICK_SECONDS = 3
AFTER = "after"
_NEWER = "{page}_newer"
STYLE = """<style>
/* Two charts beside each other where both can be read, else one below the other. */
.st-key-pictures_steps > *, .st-key-pictures_bins > * { flex: 1 1 20rem; min-width: 0; }
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
.cai-human { --cai: light-dark(#2f5db8, #8ab4f8); color: var(--cai); }
@media (max-width: 640px) { [class*="st-key-round_"] { flex-direction: column !important; }
  [class*="st-key-round_"] > * { width: 100% !important; } }
.cai-total { font-variant-numeric: tabular-nums; }
</style>"""


class Counted(Protocol):
    """A page of a list, as far as this module looks at it."""

    @property
    def total(self) -> int: ...
    @property
    def total_is_least(self) -> bool: ...
    @property
    def next_key(self) -> str | None: ...


def build_total(explorer: Explorer, page: Counted) -> str:
    """How many rows match, in words."""
    if page.total_is_least:
        return f"{page.total:,}+ {explorer.rows}"
    return f"1 {explorer.row}" if page.total == 1 else f"{page.total:,} {explorer.rows}"


def show_total(explorer: Explorer, shown: Counted, ask: Callable[[], Counted]) -> None:
    """How many rows match, kept up to date while the page stands.

    Args:
        ask: counts again; an error of it is the caller's.
    """

    def total() -> None:
        now = ask()
        newer = now.total - shown.total
        more = f" · {newer:,} new: reload to see them" if newer > 0 else ""
        words = f"{build_total(explorer, now)}{more}"
        st.html(f'<div class="cai-quiet cai-total" role="status">{words}</div>')

    st.fragment(total, run_every=TICK_SECONDS)()


def show_paging(explorer: Explorer, page: Counted, after: str | None) -> None:
    """Buttons to the newer and the older rows; nothing where one page holds all."""
    if after is None and page.next_key is None:
        return
    newer: dict[str, str | None] = st.session_state.setdefault(_newer(explorer), {})
    with st.container(horizontal=True, horizontal_alignment="center", key="list_paging"):
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
            args=(explorer, after, page.next_key),
        )


def show_no_match(explorer: Explorer) -> None:
    """What stands where the list would be when the filter leaves nothing, with the one way on."""
    words = f"No {explorer.row} matches these filters."
    st.html(f'<div class="cai-empty"><b>{words}</b></div>')
    label = f"Show all {explorer.rows}"
    st.button(label, key="empty_clear", type="primary", on_click=clear_filter)


def build_row(label: str, prompt: str, facts: str, texts: str) -> str:
    """One row as HTML: what was asked, what is known of it, and excerpts.

    Args:
        label: for screen readers, before the prompt.
        facts, texts: HTML.
    """
    shown = escape(shorten(prompt, 300))
    return (
        f'<div role="article" aria-label="{escape(label)}: {shown}">'
        f'<div class="cai-round-head cai-prompt">{build_icon("prompt")}'
        f'<span class="cai-line">{shown}</span></div>'
        f'<div class="cai-round-meta">{facts}</div>'
        f'<div class="cai-round-texts">{texts}</div></div>'
    )


def build_excerpt(thing: Thing, title: str, text: str, *, blurred: bool = False) -> str:
    """The beginning of a text under its name, as HTML."""
    body = f'<div class="cai-clamp">{escape(shorten(text, EXCERPT))}</div>'
    return (
        f'<div class="cai-excerpt cai-{thing}"><b>{build_icon(thing)}{escape(title)}</b>'
        f"{hold_back(body) if blurred else body}</div>"
    )


def build_principle(name: str) -> str:
    """A principle's id as HTML; nothing where there is none."""
    if not name:
        return ""
    return (
        f'<span class="cai-principle">{build_icon("principle")}<span>{escape(name)}</span></span>'
    )


def shorten(text: str, length: int) -> str:
    """One line of at most so many characters."""
    line = " ".join(text[: 2 * length].split())
    return line if len(line) <= length else f"{line[:length]}…"


def _newer(explorer: Explorer) -> str:
    return _NEWER.format(page=explorer.page)


def _go(after: str | None) -> None:
    if after is None:
        st.query_params.pop(AFTER, None)
    else:
        st.query_params[AFTER] = after


def _go_older(explorer: Explorer, here: str | None, after: str) -> None:
    st.session_state.setdefault(_newer(explorer), {})[after] = here
    _go(after)
