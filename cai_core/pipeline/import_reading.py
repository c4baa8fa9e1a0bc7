"""From files to what they become, one record at a time, and what a first look finds in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from cai_core.constitution.model import NAME_PATTERN, with_hash
from cai_core.errors import CaiError, ImportFormatError
from cai_core.pipeline.import_formats import (
    COLUMNS,
    FORMAT_TABLE,
    describe_formats,
    find_format,
    list_headers,
)
from cai_core.pipeline.import_pairs import SEVERAL_TURNS
from cai_core.pipeline.import_records import (
    Imported,
    ImportedChain,
    ImportedPair,
    ImportFormat,
    ImportKind,
    ImportSettings,
    QuotedRequests,
    RejectedLine,
    SourceRecord,
)
from cai_core.pipeline.import_sources import Reading, SourceFile, find_reading, read_records
from cai_core.pipeline.import_text import check_encoding
from cai_core.records import Constitution, Principle, StepKind, Verdict, content_hash

HELD_OUT = "split:held-out"
FIRST_SHOWN = 10
# Beyond so many refused lines a look holds their number alone; a run's file lists all of them.
MOST_HELD = 1000
_LOOKED_AT = 1000
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSource:
    """Files, and how each is read. `read` gives the same every time.

    Attributes:
        kind: what the files hold; None where no format was found in any.
        formats: by a file's name; a file without one is refused record by record.
        refused: files that cannot be read at all.
    """

    files: tuple[SourceFile, ...]
    settings: ImportSettings
    kind: ImportKind | None
    formats: dict[str, ImportFormat]
    readings: dict[str, Reading]
    refused: tuple[RejectedLine, ...] = ()

    def read(self, files: Sequence[SourceFile] | None = None) -> Iterator[Imported | RejectedLine]:
        """What every record becomes, or why it is refused, in order; one at a time.

        Args:
            files: the same files in another place.
        """
        yield from self.refused
        known: dict[str, QuotedRequests] = {}
        labels: set[int] = set()
        for file in self.files if files is None else files:
            if (reading := self.readings.get(file.name)) is None:
                continue
            name = self.formats.get(file.name)
            for record in read_records(file, reading, self.settings.encoding, COLUMNS):
                if isinstance(record, RejectedLine):
                    yield record
                    continue
                try:
                    found = _parse(record, name, self.settings)
                    _check_quoted(found, known)
                    _check_doubled(found, name, labels)
                except (ValueError, CaiError) as error:
                    yield RejectedLine(file=record.file, line=record.line, reason=str(error))
                    continue
                yield _hold_out(found) if file.held_out else found


@dataclass(slots=True, kw_only=True)
class ImportLook:
    """What the files come to.

    Attributes:
        records: lines or rows that are taken. rejected: those that are refused.
        first: the first few that are taken. told: the first refused ones.
        counts: what they become, e.g. `rows`, `comparisons`, `labels`, `verdict A`, `held out`.
        principles: requests that the records quote, by id.
    """

    records: int = 0
    rejected: int = 0
    first: list[Imported] = field(default_factory=list)
    told: list[RejectedLine] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    principles: dict[str, QuotedRequests] = field(default_factory=dict)

    @property
    def direct(self) -> bool:
        """Whether chains were revised, and none after a critique."""
        return bool(self.counts["revisions"]) and not self.counts["critiques"]

    def build_constitution(self, name: str) -> Constitution:
        """The principles that the records quote, in the order of their ids."""
        quoted = (self.principles[key] for key in sorted(self.principles))
        principles = tuple(
            Principle(
                id=one.principle_id,
                text=one.text,
                critique_request=one.critique_request,
                revision_request=one.revision_request,
            )
            for one in quoted
        )
        safe = name if NAME_PATTERN.fullmatch(name) else "imported"
        return with_hash(Constitution(name=safe, description="", principles=principles))


def open_source(files: Sequence[SourceFile], settings: ImportSettings) -> ImportSource:
    """Find out how each file is read, and what it holds.

    Raises:
        ImportFormatError: the files hold several kinds of things and none was asked for, or not
            one of them can be read.
    """
    encoding = settings.encoding
    check_encoding(encoding)
    headers = list_headers()
    readings: dict[str, Reading] = {}
    formats: dict[str, ImportFormat] = {}
    refused = []
    for file in files:
        try:
            reading = find_reading(file, encoding, headers)
        except ImportFormatError as error:
            refused.append(RejectedLine(file=file.name, line=0, reason=str(error)))
            continue
        found = settings.format or _look_for_format(file, reading, encoding, settings.kind)
        other = (
            None if found or not settings.kind else _look_for_format(file, reading, encoding, None)
        )
        if other is not None:
            told = f"holds {FORMAT_TABLE[other].kind}, not {settings.kind}; import it on its own"
            refused.append(RejectedLine(file=file.name, line=0, reason=told))
            continue
        readings[file.name] = reading
        if found is not None:
            formats[file.name] = found
    if not readings and len(refused) == 1:
        raise ImportFormatError(refused[0].reason)
    kinds = {FORMAT_TABLE[name].kind for name in formats.values()}
    if len(kinds) > 1:
        counts = Counter(FORMAT_TABLE[name].kind for name in formats.values())
        some = ", ".join(f"{count} of {kind}" for kind, count in sorted(counts.items()))
        raise ImportFormatError(
            f"the folder holds files of several kinds: {some}. Say which of them (--kind), or name "
            "a file."
        )
    return ImportSource(
        files=tuple(files),
        settings=settings,
        kind=next(iter(kinds), settings.kind),
        formats=formats,
        readings=readings,
        refused=tuple(refused),
    )


def look(source: ImportSource) -> ImportLook:
    """Read everything once and count it. Nothing is written.

    Raises:
        ImportFormatError: there is no record at all.
    """
    found = ImportLook()
    for one in source.read():
        if isinstance(one, RejectedLine):
            found.rejected += 1
            if len(found.told) < MOST_HELD:
                found.told.append(one)
            continue
        found.records += 1
        if len(found.first) < FIRST_SHOWN:
            found.first.append(one)
        _count(one, found)
    if not found.records and not found.rejected:
        names = ", ".join(file.name for file in source.files[:3])
        raise ImportFormatError(f"{names}: holds no record. Choose another file.")
    return found


def describe_place(one: RejectedLine) -> str:
    """Where a refused line stands, as `file:line`."""
    return f"{one.file}:{one.line}" if one.line else one.file


def _look_for_format(
    file: SourceFile, reading: Reading, encoding: str | None, kind: ImportKind | None
) -> ImportFormat | None:
    """The format of the first record that has one of the kind."""
    if reading.columns:
        return find_format(dict.fromkeys(reading.columns), kind)
    records = read_records(file, reading, encoding, COLUMNS)
    for record in islice(records, _LOOKED_AT):
        if isinstance(record, RejectedLine):
            continue
        if (found := find_format(record.fields, kind)) is not None:
            return found
    return None


def _parse(record: SourceRecord, name: ImportFormat | None, settings: ImportSettings) -> Imported:
    if name is not None and FORMAT_TABLE[name].fits(record.fields):
        return FORMAT_TABLE[name].parse(record, settings)
    told = ", ".join(sorted(map(str, record.fields)))[:200] or "none"
    if name is None:
        raise ValueError(f"its fields are {told}; known are {describe_formats()}")
    wanted = next(
        " or ".join(sorted(names))
        for names in FORMAT_TABLE[name].needs
        if names.isdisjoint(record.fields)
    )
    raise ValueError(f"has no `{wanted}`; its fields are {told}")


def _check_quoted(found: Imported, known: dict[str, QuotedRequests]) -> None:
    """A principle's requests are the same in every record, or the record is refused."""
    if not isinstance(found, ImportedChain):
        return
    quoted: dict[str, QuotedRequests] = {}
    for one in found.quoted:
        before = quoted.get(one.principle_id) or known.get(one.principle_id, one)
        if before != one:
            raise ValueError(f"{one.principle_id} has other requests than in a line before")
        if _SURROGATE.search(f"{one.text}{one.critique_request}{one.revision_request}"):
            raise ValueError(f"the requests of {one.principle_id} hold half a character")
        quoted[one.principle_id] = one
    known |= quoted


def _check_doubled(found: Imported, name: ImportFormat | None, labels: set[int]) -> None:
    """A label of our own has an id: the very same one again is no second label."""
    if name != "labels" or not isinstance(found, ImportedPair):
        return
    held = found.label or found.comparison
    key = int(content_hash(held.as_dict())[:16], 16)
    if key in labels:
        raise ValueError("stands in a line before already; labels are taken once")
    labels.add(key)


def _hold_out(found: Imported) -> Imported:
    """The same of a split that nothing may be trained on."""
    match found:
        case ImportedChain():
            prompt = replace(found.prompt, tags=_add_tag(found.prompt.tags))
            return replace(found, prompt=prompt)
        case ImportedPair(comparison=comparison, label=label):
            tags = _add_tag(comparison.tags)
            held = None if label is None else replace(label, tags=tags)
            return replace(found, comparison=replace(comparison, tags=tags), label=held)
    return found


def _add_tag(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tags if HELD_OUT in tags else (*tags, HELD_OUT)


def _count(one: Imported, found: ImportLook) -> None:
    counts = found.counts
    match one:
        case ImportedChain():
            counts["rows"] += len(one.steps)
            counts["chains"] += len({step.sample for step in one.steps})
            for step in one.steps:
                plural = "critiques" if step.kind is StepKind.CRITIQUE else f"{step.kind}s"
                counts[plural] += 1
            counts["held out"] += HELD_OUT in one.prompt.tags
            found.principles |= {quoted.principle_id: quoted for quoted in one.quoted}
        case ImportedPair():
            counts["comparisons"] += 1
            counts["labels"] += one.label is not None
            counts["votes"] += len(one.votes)
            counts["held out"] += HELD_OUT in one.comparison.tags
            counts["several turns"] += SEVERAL_TURNS in one.comparison.tags
            if one.label is not None:
                counts[f"verdict {one.label.verdict}"] += 1
                counts[f"by {one.label.label_source}"] += 1
                counts["ties"] += one.label.verdict is Verdict.TIE
        case _:
            counts["questions"] += 1
