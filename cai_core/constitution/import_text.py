"""Constitutions out of lists that people keep: plain text, Markdown, and tables of votes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from cai_core.constitution.imported import Collector, has_surrogates
from cai_core.errors import ImportFormatError

ITEM = re.compile(r"^\s*(?:[-*+•–]|\(?\d{1,3}[.):]|\(?[a-z][.)])\s+(?:\[[ xX]\]\s+)?")
_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_RULER = re.compile(r"^\s*(?:[-*_=]\s*){3,}$")
# Headers of Polis exports, as Collective Constitutional AI used them, and of tables like them.
_COLUMNS = {
    "statement": ("statement", "comment-body", "comment", "text", "principle"),
    "agree": ("agree", "agrees", "agreed", "agree-count", "yes"),
    "disagree": ("disagree", "disagrees", "disagreed", "disagree-count", "no"),
    "pass": ("pass", "passes", "passed", "pass-count", "unsure", "skip"),
    "moderated": ("moderated",),
}
_REJECTED = "-1"


def read_list(text: str, taken: Collector, *, markdown: bool) -> str:
    """A principle for each item of a list, or for each line where there are no items.

    A first heading is the description; the headings below it are tags of what follows them.

    Returns:
        The description.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    items = any(ITEM.match(line) and not _RULER.match(line) for line in lines)
    description, fenced = "", False
    tags: tuple[str, ...] = ()
    held: tuple[int, list[str]] | None = None

    def finish() -> None:
        nonlocal held
        if held is not None:
            taken.add(" ".join(" ".join(held[1]).split()), f"line {held[0]}", tags=tags)
        held = None

    for number, line in enumerate(lines, start=1):
        place = f"line {number}"
        if markdown and (_FENCE.match(line) or fenced):
            fenced = fenced != bool(_FENCE.match(line))
            finish()
            taken.leave_out(place, "it is in a block of code")
        elif not line.strip() or _RULER.match(line):
            finish()
        elif markdown and (heading := _HEADING.match(line)):
            finish()
            if len(heading[1]) == 1 and not description and not taken.principles:
                description = heading[2]
            else:
                tags = (heading[2].lower(),) if heading[2].strip() else ()
        elif found := ITEM.match(line):
            finish()
            held = (number, [line[found.end() :]])
        elif held is not None and (line[:1].isspace() or not items):
            held[1].append(line)
        elif items:
            finish()
            taken.leave_out(place, f"not an item of the list: {line.strip()[:60]!r}")
        else:
            taken.add(line.strip(), place)
    finish()
    return "" if has_surrogates(description) else description


def read_votes(text: str, taken: Collector) -> None:
    """A principle for each statement that was voted on; one that most reject is switched off.

    Columns are found by their names: statement (or comment-body), agree, disagree, and pass.

    Raises:
        ImportFormatError: no header that names them, or no CSV.
    """
    header_line = text.lstrip("\n").partition("\n")[0]
    delimiter = max(",;\t", key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = next((row for row in reader if any(cell.strip() for cell in row)), [])
        columns = _find_columns(header, taken)
        for place, row in _list_rows(reader):
            _read_vote(row, columns, place, taken)
    except csv.Error as error:
        raise ImportFormatError(
            f"{taken.source}: line {reader.line_num}: broken CSV: {error}. Save the table again."
        ) from error


def _find_columns(header: list[str], taken: Collector) -> dict[str, int]:
    names = [cell.strip().lower().replace("_", "-").replace(" ", "-") for cell in header]
    columns = {}
    for column, aliases in _COLUMNS.items():
        found = [names.index(alias) for alias in aliases if alias in names]
        if found:
            columns[column] = found[0]
    missing = [c for c in ("statement", "agree", "disagree") if c not in columns]
    if missing:
        raise ImportFormatError(
            f"{taken.source}: no column {' and no column '.join(missing)} in "
            f"{', '.join(header)[:200]!r}. Name the columns statement, agree, disagree and pass."
        )
    for place, name in enumerate(header):
        if place not in columns.values() and name.strip():
            taken.warn("the header", f"left out: the column {name.strip()[:80]!r}")
    return columns


def _list_rows(reader: Iterator[list[str]]) -> Iterator[tuple[str, list[str]]]:
    line = getattr(reader, "line_num", 0)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield f"line {line + 1}", row
        line = getattr(reader, "line_num", 0)


def _read_vote(row: list[str], columns: dict[str, int], place: str, taken: Collector) -> None:
    cells = {c: row[n].strip() if n < len(row) else "" for c, n in columns.items()}
    statement = " ".join(cells["statement"].split())
    if cells.get("moderated") == _REJECTED:
        taken.leave_out(place, f"it was moderated out: {statement[:60]!r}")
        return
    votes: dict[str, int] = {}
    for column in ("agree", "disagree", "pass"):
        told = cells.get(column, "")
        if column == "pass" and not told:
            continue
        if not re.fullmatch(r"\d{1,9}", told):
            taken.leave_out(place, f"its {column} is {told[:40]!r}, not a number of people")
            return
        votes[column] = int(told)
    liked = votes["agree"] > votes["disagree"] or not (votes["agree"] + votes["disagree"])
    taken.add(statement, place, enabled=liked, votes=votes)
    if statement and not liked:
        taken.warn(
            place,
            f"switched off: {votes['agree']} agree and {votes['disagree']} disagree with "
            f"{statement[:60]!r}",
        )
