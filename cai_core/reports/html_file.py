"""A report as one HTML file: no script, no request, nothing of anybody's text is markup. Pure."""

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
    Section,
    Table,
    Words,
)
from cai_core.reports.signs import escape_html
from cai_core.reports.style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_SHOW = "Hidden: it may be harmful. Open to read."
# Of a cell; coloured like the verdict.
_VERDICTS = frozenset({"pass", "warn", "fail"})
# Letters from which a cell may break anywhere, so that a hash does not make its table wide.
_LONG, _LONG_STYLE = 24, ' class="long"'


def write_html(document: Document) -> str:
    """The file's text."""
    links = "".join(
        f'<li><a href="#{one.name}">{escape_html(one.title)}</a></li>' for one in document.sections
    )
    sections = "\n".join(_write_section(one) for one in document.sections)
    title = escape_html(document.title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>
{STYLE}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="quiet">{escape_html(document.lead)}</p>
</header>
<nav aria-label="Parts"><ul>{links}</ul></nav>
<main>
{sections}
</main>
</body>
</html>
"""


def _write_section(section: Section) -> str:
    blocks = "\n".join(map(_write_block, section.blocks))
    title = escape_html(section.title)
    return f'<section id="{section.name}">\n<h2>{title}</h2>\n{blocks}\n</section>'


def _write_block(block: Block) -> str:
    match block:
        case Words(text, tone):
            style = "" if tone == "plain" else f' class="{tone}"'
            return f"<p{style}>{escape_html(text)}</p>"
        case Heading(text):
            return f"<h3>{escape_html(text)}</h3>"
        case Items(items):
            return "<ul>" + "".join(f"<li>{escape_html(one)}</li>" for one in items) + "</ul>"
        case Table():
            return _write_table(block)
        case Picture(alt, svg):
            # What it shows is told to who cannot see it; the keyboard scrolls what is too wide.
            name = escape_html(alt)
            return (
                f'<figure><div class="wide" role="img" tabindex="0" aria-label="{name}">{svg}</div>'
                "</figure>"
            )
        case Quote():
            return f'<div class="card">{escape_html(block.text)}</div>'
        case Beside(quotes):
            return f'<div class="beside">{"".join(map(_write_quote, _mark_turns(quotes)))}</div>'
        case Fold(title, blocks):
            inner = "\n".join(map(_write_block, blocks))
            return f"<details><summary>{escape_html(title)}</summary>\n{inner}\n</details>"


def _write_table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape_html(name)}</th>' for name in table.header)
    rows = "\n".join(
        "<tr>" + "".join(_write_cell(number, cell) for number, cell in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    # A region that scrolls has to be reached by the keyboard.
    name = escape_html(table.caption)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{name}"><table>'
        f"<caption>{name}</caption><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody>"
        "</table></div>"
    )


def _write_cell(number: int, cell: str) -> str:
    if number == 0:
        return f'<th scope="row"{_LONG_STYLE if len(cell) > _LONG else ""}>{escape_html(cell)}</th>'
    style = f' class="{cell}"' if cell in _VERDICTS else _LONG_STYLE if len(cell) > _LONG else ""
    return f"<td{style}>{escape_html(cell)}</td>"


def _mark_turns(quotes: tuple[Quote, ...]) -> list[tuple[Quote, bool]]:
    """Each with whether it stands alone: the last two are the answers."""
    return [(quote, number < len(quotes) - 2) for number, quote in enumerate(quotes)]


def _write_quote(told: tuple[Quote, bool]) -> str:
    quote, turn = told
    said = f'<p class="said">{escape_html(quote.text)}</p>'
    if quote.hidden:
        said = f"<details><summary>{_SHOW}</summary>{said}</details>"
    style = ' class="turn"' if turn else ""
    return f'<div{style}><p class="who">{escape_html(quote.label)}</p>{said}</div>'
