"""A report as GitHub's Markdown: nothing of anybody's text is markup. Pure."""

from __future__ import annotations

from cai_core.reports.blocks import (
    Beside,
    Block,
    Document,
    Fold,
    Heading,
    Items,
    Picture,
    Quote,
    Table,
    Words,
)
from cai_core.reports.signs import escape_cell, escape_html, escape_line, fence_markdown


def write_markdown(document: Document) -> str:
    """The file's text; charts are told in words."""
    parts = [f"# {escape_cell(document.title)}", escape_line(document.lead)]
    for section in document.sections:
        parts.append(f"## {escape_cell(section.title)}")
        parts += map(_write_block, section.blocks)
    return "\n\n".join(parts) + "\n"


def _write_block(block: Block) -> str:
    match block:
        case Words(text, tone):
            line = escape_line(text)
            return f"**{line}**" if tone in ("pass", "warn", "fail") else line
        case Heading(text):
            return f"### {escape_cell(text)}"
        case Items(items):
            return "\n".join(f"- {escape_line(one)}" for one in items)
        case Table():
            return _write_table(block)
        case Picture(alt, _):
            return f"*{escape_cell(alt)}*"
        case Quote():
            return _write_quote(block)
        case Beside(quotes):
            return "\n\n".join(map(_write_quote, quotes))
        case Fold(title, blocks):
            return _fold(title, "\n\n".join(map(_write_block, blocks)))


def _write_table(table: Table) -> str:
    lines = [table.header, ("---",) * len(table.header), *table.rows]
    rows = "\n".join(
        "| " + " | ".join(cells if number == 1 else map(escape_cell, cells)) + " |"
        for number, cells in enumerate(lines)
    )
    return f"{escape_line(table.caption)}:\n\n{rows}"


def _write_quote(quote: Quote) -> str:
    said = fence_markdown(quote.text)
    if quote.hidden:
        return _fold(f"{quote.label}: hidden, it may be harmful", said)
    return f"{escape_line(quote.label)}:\n\n{said}"


def _fold(title: str, inner: str) -> str:
    line = escape_html(" ".join(title.split()))
    return f"<details><summary>{line}</summary>\n\n{inner}\n\n</details>"
