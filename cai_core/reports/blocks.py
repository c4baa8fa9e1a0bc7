"""What a report consists of, before anybody writes it as HTML or Markdown. Pure.

Texts are plain: whoever writes them escapes them. Only a picture holds markup, which `charts` and
`lineage_chart` make.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "quiet", "pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list; never empty."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row is as long as the header."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing with what it shows in words; `svg` is markup of our own."""

    alt: str
    svg: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What somebody said, word by word; `hidden` until asked for."""

    label: str
    text: str
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Beside:
    """Quotes that are read side by side."""

    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks behind a line that opens them."""

    title: str
    blocks: tuple[Block, ...]


Block = Words | Heading | Items | Table | Picture | Quote | Beside | Fold


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report; `name` is its address in the file."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    lead: str
    sections: tuple[Section, ...]
