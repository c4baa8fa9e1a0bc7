"""One visual language: the same icon and colour for the same thing on every page.

Text of models and users only ever reaches `st.html` through `html.escape`. The `--st-*` variables
are empty there, so colours follow the theme through CSS `light-dark()`.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Literal

import streamlit as st

Thing = Literal["prompt", "response", "principle", "critique", "revision", "label", "error", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How one kind of thing is drawn: a Material Symbols name, and a colour for each theme."""

    icon: str
    light: str
    dark: str

    @property
    def colour(self) -> str:
        """The CSS colour that follows the theme."""
        return f"light-dark({self.light}, {self.dark})"


# Every colour has a contrast of at least 4.5 : 1 on its theme's background.
LOOKS: dict[Thing, Look] = {
    "prompt": Look(icon="person", light="#5b6270", dark="#a3aab8"),
    "response": Look(icon="chat_bubble", light="#475569", dark="#b3c0d3"),
    "principle": Look(icon="gavel", light="#4f46e5", dark="#a5b4fc"),
    "critique": Look(icon="rate_review", light="#a04a06", dark="#fbbf4d"),
    "revision": Look(icon="edit_note", light="#0f766e", dark="#5eead4"),
    "label": Look(icon="balance", light="#6d28d9", dark="#c4b5fd"),
    "error": Look(icon="error", light="#b42318", dark="#fda29b"),
    "note": Look(icon="info", light="#a04a06", dark="#fbbf4d"),
}

_ARTICLE = 'role="article"'
_ROLES: dict[Thing, str] = {"error": 'role="alert"', "note": 'role="note" aria-live="polite"'}

_BASE = """
.st-key-playground { max-width: 80rem; }
[data-testid="stMain"] h1 { padding: 0.1rem 0 1rem; }
/* The chosen one of several: the theme's colour is too dim on a dark ground to be read. */
[data-testid="stButtonGroup"] button[data-selected="true"],
[data-testid="stButtonGroup"] button[data-selected="true"] p {
  color: light-dark(#4338ca, #c7d2fe); }
.cai-link { color: light-dark(#4338ca, #a5b4fc); }
.cai-lead { margin: 0; color: light-dark(#5b6270, #a3aab8); }
[data-testid="stMainBlockContainer"] { padding: 3.9rem clamp(1rem, 4vw, 4rem) 4rem; }
.cai-card {
  border: 1px solid light-dark(#d6dae3, #343948); border-left: 4px solid var(--cai);
  border-radius: 0.5rem; padding: 0.65rem 1rem 0.8rem;
  background: light-dark(#ffffff, #171a23);
}
.cai-card.cai-slim { border-width: 0 0 0 4px; border-radius: 0; padding: 0.1rem 1rem;
  background: none; }
.cai-head { display: flex; flex-wrap: wrap; align-items: center; gap: 0.15rem 0.5rem;
  font-size: 0.9rem; font-weight: 600; color: var(--cai); }
.cai-title { display: inline-flex; align-items: center; gap: 0.5rem; min-width: 0; }
.cai-icon { flex: none; font-family: "Material Symbols Rounded"; font-size: 1.2rem; line-height: 1;
  font-weight: 400; width: 1.2rem; overflow: hidden; white-space: nowrap;
  font-feature-settings: "liga"; user-select: none; }
.cai-text { margin-top: 0.3rem; max-width: 75ch; line-height: 1.55; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.cai-text code { font-size: 0.9em; padding: 0.05em 0.3em; border-radius: 3px;
  background: light-dark(#f0f1f5, #262a36); }
/* A long prompt must not push what the model makes of it, or an error, off the screen. */
.cai-card.cai-prompt .cai-text { max-height: 9.3em; overflow-y: auto; }
.cai-list { display: grid; gap: 1rem; }
.cai-list .cai-text { font-size: 0.9rem; line-height: 1.45; margin-top: 0.1rem; }
.cai-clock { font-variant-numeric: tabular-nums; }
.cai-quiet { color: light-dark(#5b6270, #a3aab8); font-weight: 400; font-size: 0.85rem; }
.st-key-world_note .cai-text { font-size: 0.9rem; line-height: 1.45; }
.st-key-world_note button { min-height: 2rem; padding: 0.2rem 0.75rem; }
.st-key-world_note button, .st-key-world_note button * { justify-content: flex-start;
  text-align: left; }
.st-key-numbers { flex-wrap: nowrap; }
.st-key-numbers > *, .st-key-more > * { flex: 1 1 0; min-width: 0; }
.st-key-more > * { min-width: 8rem; }
/* Stop and the state stay in reach however long the chain grows, and the row keeps its height. */
[class*="st-key-chain_status"] { min-height: 2.5rem; }
[data-testid="stLayoutWrapper"]:has(> [class*="st-key-chain_status"]) { position: sticky;
  top: 3.75rem; z-index: 5; background: light-dark(#ffffff, #12141b); }
/* Streamlit's own Stop cuts a page in half; its hint on Ctrl+Enter is not what Run does. */
[data-testid="stStatusWidget"], .st-key-prompt_text [data-testid="InputInstructions"] {
  display: none; }
.cai-badge { border: 1px solid currentColor; border-radius: 999px; padding: 0 0.5rem;
  font-size: 0.75rem; font-weight: 500; line-height: 1.35rem; white-space: nowrap; }
.cai-badge.cai-grey { color: light-dark(#5b6270, #a3aab8); }
.cai-badge.cai-dashed { border-style: dashed; }
.cai-writing .cai-text::after { content: "▍"; color: var(--cai);
  animation: cai-blink 1.1s steps(2, start) infinite; }
@keyframes cai-blink { 50% { opacity: 0; } }
@media (prefers-reduced-motion: reduce) { .cai-writing .cai-text::after { animation: none; } }
.cai-text ins { text-decoration: none; border-radius: 3px; padding: 0 1px;
  background: light-dark(#c9f0e4, #0d4a43); }
.cai-text del { border-radius: 3px; padding: 0 1px; color: light-dark(#8f1d14, #ffb4ab);
  background: light-dark(#fde3e0, #4b1b18); }
.st-key-compare [role="radiogroup"] { flex-wrap: wrap; overflow: visible; }
h2.cai-side { font-size: 1rem; font-weight: 600; margin: 0; padding: 0; overflow-wrap: anywhere; }
.cai-blur { filter: blur(0.4em); user-select: none; overflow: hidden; }
.cai-text > .cai-blur { padding: 0.2em; }
.cai-reasoning { margin: 0 0 0.5rem; font-size: 0.875rem; white-space: normal; }
.cai-reasoning > summary { cursor: pointer; color: light-dark(#5b6270, #a3aab8); }
.cai-reasoning > div { white-space: pre-wrap; margin-top: 0.35rem; padding-left: 0.75rem;
  border-left: 2px solid light-dark(#d5d9e2, #3a4150); color: light-dark(#3d4452, #c5cad6); }
.cai-said { border-left: 3px solid light-dark(#3b6fd4, #8ab4f8); padding-left: 0.8rem;
  margin: 0.6rem 0; }
.cai-said p { margin: 0.1rem 0 0; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 75ch; }
.cai-empty { border: 1px dashed light-dark(#b9bfcc, #454b5c); border-radius: 0.5rem;
  padding: 1.5rem; line-height: 1.6; }
.cai-empty ol { margin: 0.75rem 0 0; padding: 0; list-style: none; }
.cai-empty li { display: flex; gap: 0.6rem; align-items: baseline; margin: 0.35rem 0; }
.cai-empty .cai-icon { align-self: center; flex: none; }
.cai-demo { display: flex; width: fit-content; align-items: center; gap: 0.35rem;
  font-size: 0.85rem; font-weight: 600; padding: 0.1rem 0.7rem; border-radius: 999px;
  border: 1px solid currentColor; color: light-dark(#a04a06, #fbbf4d); }
.cai-h2 { font-size: 1.2rem; font-weight: 600; margin: 0; padding: 0; overflow-wrap: anywhere; }
.cai-h2 .cai-badge { vertical-align: 0.2em; }
.cai-quiet code { font-size: 0.95em; }
/* Ids and tags are a person's own words, and may be one word of any length. */
.cai-title > span, .cai-head .cai-badge { white-space: normal; overflow-wrap: anywhere; }
.cai-title > .cai-icon { white-space: nowrap; overflow-wrap: normal; }
.cai-wrap { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 75ch; margin: 0.2rem 0; }
.cai-field { display: block; margin-top: 0.5rem; font-size: 0.8rem; font-weight: 600;
  color: light-dark(#5b6270, #a3aab8); }
.cai-body { display: block; }
.cai-more { margin-top: 0.4rem; }
.cai-more summary { cursor: pointer; font-size: 0.85rem; color: light-dark(#5b6270, #a3aab8); }
.cai-problem { color: var(--cai); font-size: 0.85rem; overflow-wrap: anywhere; }
/* A row of the constitutions page: a name to press, and what is known of it below. */
[class*="st-key-cn_row"] { border-left: 3px solid transparent; padding: 0.15rem 0 0.15rem 0.7rem; }
[class*="st-key-cn_row_on"] { border-left-color: light-dark(#4f46e5, #a5b4fc); }
[class*="st-key-cn_row"] button { min-height: 1.75rem; padding: 0; }
[class*="st-key-cn_row"] button, [class*="st-key-cn_row"] button * { justify-content: flex-start;
  text-align: left; overflow-wrap: anywhere; }
"""


def build_style(*, theme: str | None = None) -> str:
    """The style sheet that every page carries.

    Args:
        theme: "dark" or "light", as the browser shows it. Popovers and drawers hang outside the
            app's element, where `light-dark()` would know the system's choice alone.
    """
    scheme = f":root {{ color-scheme: {theme}; }}" if theme in ("light", "dark") else ""
    colours = "\n".join(
        f".cai-{thing} {{ --cai: {look.colour}; }}" for thing, look in LOOKS.items()
    )
    return f"<style>{_BASE}{colours}{scheme}</style>"


def build_read_only() -> str:
    """What stands above every page of a read-only demo."""
    return (
        '<div class="cai-demo" role="note"><span class="cai-icon" aria-hidden="true">lock</span>'
        "Read-only demo</div>"
    )


def show_title(title: str, lead: str) -> None:
    """The head of a page: its name, and what it is for in one sentence."""
    with st.container(gap=None):
        st.title(title, anchor=False)
        st.html(f'<p class="cai-lead">{escape(lead)}</p>')


def build_icon(thing: Thing) -> str:
    """The icon as HTML; hidden from screen readers, the words beside it say the same."""
    return f'<span class="cai-icon" aria-hidden="true">{LOOKS[thing].icon}</span>'


def build_card(
    thing: Thing,
    title: str,
    body: str,
    *,
    badges: str = "",
    writing: bool = False,
    slim: bool = False,
) -> str:
    """One card. `title` is escaped here; `body` and `badges` are HTML, escaped by the caller."""
    classes = ["cai-card", f"cai-{thing}"]
    classes += ["cai-writing"] if writing else []
    classes += ["cai-slim"] if slim else []
    label = escape(title)
    return (
        f'<div class="{" ".join(classes)}" {_ROLES.get(thing, _ARTICLE)} aria-label="{label}">'
        f'<div class="cai-head"><span class="cai-title">{build_icon(thing)}'
        f"<span>{label}</span></span>"
        f"{badges}</div>"
        f'<div class="cai-text">{body}</div></div>'
    )


def build_error(title: str, message: str) -> str:
    """An error's card. Messages are plain text in which `backticks` mark what is to be typed."""
    return build_card("error", title, re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(message)))


def build_badge(text: str, *, quiet: bool = False, dashed: bool = False) -> str:
    """A small pill beside a title; always words, never colour alone."""
    classes = "cai-badge" + (" cai-grey" if quiet else "") + (" cai-dashed" if dashed else "")
    return f'<span class="{classes}">{escape(text)}</span>'


def escape(text: str) -> str:
    """Text made inert for `st.html`."""
    return html.escape(make_showable(text), quote=True)


def escape_markdown(text: str) -> str:
    """Text made inert where Streamlit insists on Markdown, as in a button's label."""
    special = set("\\`*_{}[]()<>#+-.!|~:$&@/\"'=^")
    shown = make_showable(text)
    return "".join(f"\\{c}" if c in special else " " if c.isspace() else c for c in shown)


def make_showable(text: str) -> str:
    """The text without halves of characters, which no browser can be sent."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
