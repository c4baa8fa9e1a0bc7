"""Making one constitution of two: of two people's edits, or of two texts that belong together.

Nothing is lost: where both sides changed the same thing and a choice is made, the other side's
words are in the conflicts, and with `keep="both"` in the constitution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from cai_core.constitution.model import with_hash
from cai_core.records import Constitution, Principle

Keep = Literal["a", "b", "both"]
_FIELDS = tuple(item.name for item in fields(Principle) if item.name != "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Something that both sides changed, each in a way of its own.

    Attributes:
        principle_id: None for the name and the description of the constitution.
        field: None where one side deleted the principle that the other changed.
        a, b: what each side has; None where it deleted the principle.
        kept: which of the two is in the result.
        as_id: with `both`, the id under which b's principle stands; else None.
    """

    principle_id: str | None
    field: str | None
    a: Any
    b: Any
    kept: Keep
    as_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge makes; without conflicts it holds all that either side did."""

    constitution: Constitution
    conflicts: tuple[Conflict, ...]


def merge_constitutions(
    a: Constitution, b: Constitution, base: Constitution | None = None, *, keep: Keep = "both"
) -> Merged:
    """One constitution of two.

    With a base, what only one side changed is taken from that side, field by field; what both
    changed alike is taken once. Without a base, everything that either side has is taken, and
    whatever differs under one id is a conflict. Principles stand in a's order; b's new ones come
    after those that they follow in b.

    Args:
        base: the version that both sides began from.
        keep: whose words stand where both differ. `both` keeps b's principle beside a's under an
            id of its own; of name and description it keeps a's.
    """
    conflicts: list[Conflict] = []
    ours = {p.id: p for p in a.principles}
    theirs = {p.id: p for p in b.principles}
    before = {p.id: p for p in base.principles} if base is not None else {}
    merged: dict[str, list[Principle]] = {}
    taken = {*ours, *theirs, *before}

    def find_free(wanted: str) -> str:
        number = 2
        while (found := f"{wanted[:59]}-{number}") in taken:
            number += 1
        taken.add(found)
        return found

    for key in [*ours, *(k for k in theirs if k not in ours)]:
        merged[key] = _merge_one(
            key, ours.get(key), theirs.get(key), before.get(key), keep, conflicts, find_free
        )
    order = _choose_order(list(ours), list(theirs), list(before))
    texts = {
        name: _merge_text(name, a, b, base, keep, conflicts) for name in ("name", "description")
    }
    principles = tuple(principle for key in order for principle in merged[key])
    return Merged(
        constitution=with_hash(Constitution(**texts, principles=principles)),
        conflicts=tuple(conflicts),
    )


def _merge_one(
    key: str,
    a: Principle | None,
    b: Principle | None,
    base: Principle | None,
    keep: Keep,
    conflicts: list[Conflict],
    find_free: Callable[[str], str],
) -> list[Principle]:
    if a is None or b is None:
        there = a or b
        if there is None or there == base:
            return []  # deleted by one side, and left as it was by the other
        if base is None:
            return [there]
        # Deleted by one side and changed by the other: what was written is worth more.
        stays: Keep = "a" if a is not None else "b"
        chosen = stays if keep == "both" else keep
        conflicts.append(Conflict(principle_id=key, field=None, a=a, b=b, kept=chosen))
        return [there] if chosen == stays else []
    values, differing = {}, []
    for name in _FIELDS:
        mine, other = getattr(a, name), getattr(b, name)
        old = getattr(base, name) if base is not None else None
        if mine == other or (base is not None and other == old):
            values[name] = mine
        elif base is not None and mine == old:
            values[name] = other
        else:
            values[name] = other if keep == "b" else mine
            differing.append((name, mine, other))
    result = [replace(a, **values)]
    as_id = None
    if differing and keep == "both":
        as_id = find_free(key)
        theirs = {name: other for name, _, other in differing}
        result.append(replace(a, **{**values, **theirs, "id": as_id}))
    conflicts += [
        Conflict(principle_id=key, field=name, a=mine, b=other, kept=keep, as_id=as_id)
        for name, mine, other in differing
    ]
    return result


def _merge_text(
    name: str,
    a: Constitution,
    b: Constitution,
    base: Constitution | None,
    keep: Keep,
    conflicts: list[Conflict],
) -> str:
    mine, other = str(getattr(a, name)), str(getattr(b, name))
    if mine == other:
        return mine
    if base is not None and mine == getattr(base, name):
        return other
    if base is not None and other == getattr(base, name):
        return mine
    chosen: Keep = "b" if keep == "b" else "a"
    conflicts.append(Conflict(principle_id=None, field=name, a=mine, b=other, kept=chosen))
    return other if chosen == "b" else mine


def _choose_order(a: list[str], b: list[str], base: list[str]) -> list[str]:
    """a's order, or b's where only b moved principles; others follow those they followed."""
    if base and [k for k in a if k in b] == [k for k in base if k in a and k in b]:
        a, b = b, a
    order = list(a)
    known = set(a)
    for place, key in enumerate(b):
        if key in known:
            continue
        earlier = next((k for k in reversed(b[:place]) if k in known), None)
        order.insert(order.index(earlier) + 1 if earlier is not None else 0, key)
        known.add(key)
    return order
