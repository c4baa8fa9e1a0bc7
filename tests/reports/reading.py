"""An HTML file as a reader of it: its tags, its texts, its tables."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

# Everything that a report may consist of.
_TAGS = """html head meta title style body header nav main section h1 h2 h3 p ul li a div figure
    svg line rect circle polygon path text table caption thead tbody tr th td details summary"""
_ATTRIBUTES = """lang charset name content http-equiv class id href aria-label aria-hidden role
    tabindex scope focusable viewbox width height x y x1 y1 x2 y2 cx cy r rx d points"""
TAGS, ATTRIBUTES = frozenset(_TAGS.split()), frozenset(_ATTRIBUTES.split())
_VOID = {"meta", "line", "rect", "circle", "polygon", "path"}


class Reader(HTMLParser):
    """What a file holds; `open` is empty when every tag was closed in order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.hidden: list[str] = []
        self.rows: list[list[str]] = []
        self.style = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.style += data
            return
        self.texts.append(data)
        if "details" in self.open:
            self.hidden.append(data)
        if self.open[-1:] in (["td"], ["th"]):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def check_inert(text: str) -> Reader:
    """The file read, and that it asks for nothing and runs nothing."""
    reader = Reader(text)
    assert reader.open == []
    assert set(reader.tags) <= TAGS
    assert {name for _, name, _ in reader.attributes} <= ATTRIBUTES
    assert all(value.startswith("#") for _, name, value in reader.attributes if name == "href")
    equiv = [value for _, name, value in reader.attributes if name == "http-equiv"]
    assert equiv == ["Content-Security-Policy"]
    assert "url(" not in reader.style and "@import" not in reader.style
    return reader
