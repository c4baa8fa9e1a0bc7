"""Changes of a draft as a whole: order, copies, splitting, merging, texts from elsewhere. Pure.

Keys stay with their principles wherever that has a meaning, so that open fields, links and undo
find them again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from cai_core.records import Constitution, Principle
from cai_core.workspace.drafts import Draft, DraftPrinciple, build_draft_principle

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=\S)")
_ID_LENGTH = 64


def move_principle(draft: Draft, key: str, step: int) -> Draft:
    """The principle `step` places further down (below 0: up); never past an end."""
    rest = list(draft.principles)
    place = _place(rest, key)
    if place is None:
        return draft
    rest.insert(max(0, min(len(rest) - 1, place + step)), rest.pop(place))
    return replace(draft, principles=tuple(rest))


def delete_principle(draft: Draft, key: str) -> Draft:
    """Without the principle."""
    return replace(draft, principles=tuple(p for p in draft.principles if p.key != key))


def insert_after(draft: Draft, key: str, new: DraftPrinciple) -> Draft:
    """With one more principle behind that of the key; at the end where there is none."""
    rest = list(draft.principles)
    place = _place(rest, key)
    rest.insert(len(rest) if place is None else place + 1, new)
    return replace(draft, principles=tuple(rest))


def copy_principle(draft: Draft, principle: DraftPrinciple) -> DraftPrinciple:
    """A copy under a key and an id of its own."""
    name = _free_id(draft, f"{principle.id}-copy") if principle.id else ""
    return build_draft_principle(replace(principle, id=name))


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, at its full stops, exclamation and question marks."""
    return [part for part in _SENTENCE.split(text.strip()) if part]


def split_principle(draft: Draft, key: str, at: int) -> Draft:
    """Make two of a principle: its first `at` sentences, and the others as one behind it.

    Both keep the requests and tags: each is then to be narrowed to its own half.
    """
    principle = draft.principle(key)
    sentences = split_sentences(principle.text) if principle else []
    if principle is None or not 0 < at < len(sentences):
        return draft
    name = _free_id(draft, f"{principle.id}-2") if principle.id else ""
    second = build_draft_principle(replace(principle, id=name, text=" ".join(sentences[at:])))
    first = replace(principle, text=" ".join(sentences[:at]))
    return insert_after(_put(draft, first), key, second)


def merge_principles(draft: Draft, key: str, other_key: str) -> Draft:
    """Make one of two principles, in the place and under the id of the first.

    A sentence that both have stands once. The first one's weight and being on or off stay.
    """
    first, other = draft.principle(key), draft.principle(other_key)
    if first is None or other is None or key == other_key:
        return draft
    merged = replace(
        first,
        text=_join(first.text, other.text),
        critique_request=_join(first.critique_request, other.critique_request),
        revision_request=_join(first.revision_request, other.revision_request),
        comparison_request=_join(first.comparison_request, other.comparison_request),
        tags=tuple(dict.fromkeys((*first.tags, *other.tags))),
    )
    return delete_principle(_put(draft, merged), other_key)


def take_text(draft: Draft, text: Constitution) -> Draft:
    """The draft with another text's description and principles.

    A principle of an id that the draft has keeps that one's key, one without is taken for the
    principle that stood in its place and whose id is gone. The name changes only while the draft
    is of a new constitution: versions belong to their name.
    """
    keys = _match_keys(draft.principles, text.principles)
    fresh = [build_draft_principle(principle) for principle in text.principles]
    principles = tuple(
        replace(principle, key=key or principle.key)
        for principle, key in zip(fresh, keys, strict=True)
    )
    name = text.name if draft.base_hash is None else draft.name
    return replace(draft, name=name, description=text.description, principles=principles)


def _match_keys(old: Sequence[DraftPrinciple], new: Sequence[Principle]) -> list[str | None]:
    by_id: dict[str, str] = {}
    for principle in old:
        by_id.setdefault(principle.id, principle.key)
    keys = [by_id.pop(principle.id, None) for principle in new]
    used = {key for key in keys if key}
    for place, key in enumerate(keys):
        if key is None and place < len(old) and old[place].key not in used:
            keys[place] = old[place].key
            used.add(old[place].key)
    return keys


def _put(draft: Draft, principle: DraftPrinciple) -> Draft:
    rest = (principle if p.key == principle.key else p for p in draft.principles)
    return replace(draft, principles=tuple(rest))


def _place(principles: Sequence[DraftPrinciple], key: str) -> int | None:
    return next((i for i, p in enumerate(principles) if p.key == key), None)


def _join(first: str, other: str) -> str:
    sentences = dict.fromkeys((*split_sentences(first), *split_sentences(other)))
    return " ".join(sentences)


def _free_id(draft: Draft, wanted: str) -> str:
    """The id, or the same with a number where it is taken; never too long."""
    taken = {p.id for p in draft.principles}
    if len(wanted) <= _ID_LENGTH and wanted not in taken:
        return wanted
    stem, _, end = wanted.rpartition("-")
    numbers = range(2, len(taken) + 3)
    endings = [f"-{end}", *(f"-{end}-{n}" if not end.isdigit() else f"-{n}" for n in numbers)]
    names = (f"{stem[: _ID_LENGTH - len(ending)]}{ending}" for ending in endings)
    return next(name for name in names if name not in taken)
