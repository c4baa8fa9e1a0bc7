"""Texts of models and people, made safe to be written into a file. Pure."""

from __future__ import annotations

import html
import re
import unicodedata

# Signs that turn the direction of what follows could make a text read as another one.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|~&#$])")
_BULLET, _NUMBER = re.compile(r"^([-+=:])"), re.compile(r"^(\d+)([.)])")
_TICKS = re.compile(r"`+")


def make_visible(text: str) -> str:
    """The text with a sign in the place of each that is invisible and does something."""
    told = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n")
    return "".join(
        "\ufffd"
        if sign in _TURNING or (unicodedata.category(sign) == "Cc" and sign not in "\n\t")
        else sign
        for sign in told
    )


def escape_html(text: str) -> str:
    """For an element's text or a quoted attribute."""
    return html.escape(make_visible(text))


def escape_cell(text: str) -> str:
    """For a table's cell of Markdown, or inside a line: no sign is markup, no line ends."""
    return _MARKDOWN.sub(r"\\\1", " ".join(make_visible(text).split()))


def escape_line(text: str) -> str:
    """For a line of Markdown: it does not begin a list or a heading either."""
    return _NUMBER.sub(r"\1\\\2", _BULLET.sub(r"\\\1", escape_cell(text)))


def fence_markdown(text: str) -> str:
    """A text of many lines as code, whatever it holds."""
    told = make_visible(text)
    longest = max((len(ticks) for ticks in _TICKS.findall(told)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{told}\n{fence}"
