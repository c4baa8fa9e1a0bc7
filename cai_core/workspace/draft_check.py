"""What keeps a draft from being saved, field by field; and the text that saving it writes.

A principle is checked and written alone, and what came of it is remembered: with 500 principles
a change of one costs what one costs. PyYAML takes seconds for them all. What is plainly right is
not even written.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import yaml

from cai_core.constitution import dump_constitution, parse_constitution
from cai_core.constitution.model import NAME_PATTERN, with_hash
from cai_core.constitution.nodes import MAX_BYTES, MAX_EVENTS, compose_yaml, line_of
from cai_core.errors import ConstitutionError
from cai_core.records import Constitution, Principle
from cai_core.workspace.drafts import TEXT_FIELDS, Draft, DraftPrinciple, as_constitution

# A principle takes fewer events of the YAML parser, its tags not counted.
_EVENTS = 24
# As YAML at most: a character that is written as an escape, and keys with their indentation.
_BYTES_A_CHARACTER, _BYTES_A_PRINCIPLE = 12, 200
_WHERE = re.compile(r"draft(?::(\d+))?: ")
_REPEATED = re.compile(r"repeats the id of the one in line (\d+)\.")
_FIELD_NAME = re.compile(r"(?<![\w'])(critique|revision|comparison)_request(?![\w'])")
_NUMBER = re.compile(r"\APrinciple 1\b")
_PRINCIPLES = "\nprinciples:\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftProblem:
    """What keeps a draft from being saved, in words.

    Attributes:
        key: of the principle concerned, None for the constitution as a whole.
        field: of the principle or the constitution, None where it is about all of it.
    """

    key: str | None
    field: str | None
    message: str


def build_constitution(draft: Draft) -> Constitution:
    """The constitution that saving the draft would store, checked.

    Raises:
        ConstitutionError: every problem, one a line (see `check_draft`).
    """
    problems = check_draft(draft)
    if problems:
        raise ConstitutionError("\n".join(problem.message for problem in problems))
    # What has no problem is what `parse_constitution` gives back of its dump.
    return with_hash(as_constitution(draft))


def check_draft(draft: Draft) -> tuple[DraftProblem, ...]:
    """Every problem of a draft, each with the field it is about."""
    if _may_be_too_large(draft):
        text = dump_by_parts(as_constitution(draft))
        if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES or _count_events(draft) > (
            MAX_EVENTS
        ):
            return _check_whole(draft, text)
    head = (draft.name, draft.description)
    problems = [p for p in _check_head(*head) if p.field != "principles" or not draft.principles]
    return (*problems, *_check_principles(draft.principles))


def dump_by_parts(constitution: Constitution) -> str:
    """`dump_constitution`, which see, made of each principle's remembered text."""
    if not constitution.principles:
        return dump_constitution(constitution)
    one = replace(constitution, principles=constitution.principles[:1])
    # At the beginning of a line there is nothing of a text: those are indented or quoted.
    head, mark, _ = dump_constitution(one).partition(_PRINCIPLES)
    return head + mark + "".join(map(_dump_principle, constitution.principles))


@lru_cache(maxsize=8192)
def _dump_principle(principle: Principle) -> str:
    alone = Constitution(name="x", description="", principles=(principle,))
    return dump_constitution(alone).partition(_PRINCIPLES)[2]


def _check_principles(principles: Sequence[DraftPrinciple]) -> Iterator[DraftProblem]:
    first: dict[str, int] = {}
    for number, principle in enumerate(principles, start=1):
        problems = () if _is_plainly_right(principle) else _check_principle(principle)
        yield from (_with_number(p, number) for p in problems if p.field == "id")
        if principle.id and principle.id in first:
            yield DraftProblem(
                key=principle.key,
                field="id",
                message=f"Principle {principle.id!r} has the same id as principle number "
                f"{first[principle.id]}. Rename one of the two.",
            )
        first.setdefault(principle.id, number)
        yield from (_with_number(p, number) for p in problems if p.field != "id")


def _may_be_too_large(draft: Draft) -> bool:
    texts = [draft.name, draft.description]
    texts += [getattr(p, name) for p in draft.principles for name in TEXT_FIELDS]
    texts += [tag for p in draft.principles for tag in p.tags]
    size = sum(map(len, texts)) * _BYTES_A_CHARACTER + len(draft.principles) * _BYTES_A_PRINCIPLE
    return size > MAX_BYTES or _count_events(draft) > MAX_EVENTS


def _count_events(draft: Draft) -> int:
    return len(draft.principles) * _EVENTS + sum(len(p.tags) for p in draft.principles)


def _is_plainly_right(principle: DraftPrinciple) -> bool:
    """Whether there is nothing that the file's reader could say of it. Doubt is a no."""
    required = (principle.text, principle.critique_request, principle.revision_request)
    texts = (*required, principle.comparison_request, *principle.tags)
    return (
        NAME_PATTERN.fullmatch(principle.id) is not None
        and all(text.strip() for text in (*required, *principle.tags))
        and all(text.isascii() and text.replace("\n", "").isprintable() for text in texts)
        and (principle.weight, principle.enabled) == (1.0, True)
    )


def _with_number(problem: DraftProblem, number: int) -> DraftProblem:
    """A principle without an id goes by its place, which it does not know alone."""
    return replace(problem, message=_NUMBER.sub(f"Principle {number}", problem.message))


@lru_cache(maxsize=8192)
def _check_principle(principle: DraftPrinciple) -> tuple[DraftProblem, ...]:
    alone = Draft(draft_id="", name="x", base_hash=None, principles=(principle,))
    return _check_whole(alone, dump_by_parts(as_constitution(alone)))


@lru_cache(maxsize=256)
def _check_head(name: str, description: str) -> tuple[DraftProblem, ...]:
    draft = Draft(draft_id="", name=name, base_hash=None, description=description)
    return _check_whole(draft, dump_by_parts(as_constitution(draft)))


def _check_whole(draft: Draft, text: str) -> tuple[DraftProblem, ...]:
    try:
        parse_constitution(text, "draft")
    except ConstitutionError as error:
        places = _find_places(draft, text)
        return tuple(_build_problem(draft, line, places) for line in str(error).split("\n"))
    return ()


@dataclass(frozen=True, slots=True)
class _Place:
    line: int
    key: str | None
    field: str | None


def _find_places(draft: Draft, text: str) -> list[_Place]:
    """Where each field of the draft begins in its YAML text, by line."""
    places: list[_Place] = []
    try:
        root = compose_yaml(text, "draft")
    except ConstitutionError:  # too large to be read at all
        return places
    for key, value in _entries(root):
        places.append(_Place(line_of(key), None, str(key.value)))
        if key.value != "principles" or not isinstance(value, yaml.SequenceNode):
            continue
        for node, principle in zip(value.value, draft.principles, strict=True):
            places += [_Place(line_of(k), principle.key, str(k.value)) for k, _ in _entries(node)]
    return places


def _entries(node: yaml.Node | None) -> Sequence[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _build_problem(draft: Draft, message: str, places: list[_Place]) -> DraftProblem:
    """A parser's message without its line, which means nothing to who sees a form."""
    found = _WHERE.match(message)
    place = _place_at(places, int(found[1])) if found and found[1] else None
    words = message[found.end() :] if found else message
    if repeated := _REPEATED.search(words):
        earlier = _place_at(places, int(repeated[1]))
        keys = [p.key for p in draft.principles]
        number = keys.index(earlier.key) + 1 if earlier and earlier.key else 0
        words = (
            words[: repeated.start()]
            + f"has the same id as principle number {number}."
            + words[repeated.end() :]
        )
    words = _FIELD_NAME.sub(r"\1 request", words)
    words = re.sub(r"\Athe file\b", "the constitution", words)
    return DraftProblem(
        key=place.key if place else None,
        field=place.field if place else None,
        message=words[:1].upper() + words[1:],
    )


def _place_at(places: list[_Place], line: int) -> _Place | None:
    index = bisect_right([place.line for place in places], line)
    return places[index - 1] if index else None
