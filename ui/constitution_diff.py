"""What changed between two texts of a constitution, field by field, as HTML that is inert."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from cai_core.records import Constitution, Principle
from ui.diff import build_diff
from ui.look import build_badge, build_card, escape

FIELD_NAMES = {
    "id": "Id",
    "text": "Principle",
    "critique_request": "Critique request",
    "revision_request": "Revision request",
    "comparison_request": "Comparison request",
    "tags": "Tags",
    "weight": "Weight",
    "enabled": "In use",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleChange:
    """What became of one principle.

    Attributes:
        before, after: the principle on both sides; None where it is not there.
        moved: its 1-based place before and after, where others did not just make room for it.
    """

    before: Principle | None
    after: Principle | None
    moved: tuple[int, int] | None = None

    @property
    def fields(self) -> list[str]:
        """The fields whose words differ; all that are filled in for one added or removed."""
        old, new = _texts(self.before), _texts(self.after)
        return [name for name in FIELD_NAMES if old[name].split() != new[name].split()]


def compare_principles(
    before: Sequence[Principle], after: Sequence[Principle]
) -> list[PrincipleChange]:
    """Every principle that was changed, moved, added or removed, in the new order.

    Principles are the same where their id is, or else where their text or both requests are.
    Removed ones come last.
    """
    pairs = _match(before, after)
    places = [(i, j) for j, i in pairs.items()]
    resting = _longest_rising([i for i, _ in sorted(places, key=lambda place: place[1])])
    changes = []
    for j, new in enumerate(after):
        i = pairs.get(j)
        if i is None:
            changes.append(PrincipleChange(before=None, after=new))
            continue
        moved = None if i in resting else (i + 1, j + 1)
        change = PrincipleChange(before=before[i], after=new, moved=moved)
        if moved or change.fields:
            changes.append(change)
    gone = set(range(len(before))) - set(pairs.values())
    return changes + [PrincipleChange(before=before[i], after=None) for i in sorted(gone)]


def build_changes(before: Constitution, after: Constitution) -> list[str]:
    """One card a change; an empty list where nothing differs but white space."""
    cards = []
    for title, old, new in (
        ("Name", before.name, after.name),
        ("Description", before.description, after.description),
    ):
        if old.split() != new.split():
            cards.append(build_card("note", title, build_diff(old, new)))
    cards += [build_change(c) for c in compare_principles(before.principles, after.principles)]
    return cards


def build_change(change: PrincipleChange) -> str:
    """One principle's card: what was done to it as badges, and the words of each field."""
    shown = change.after or change.before
    assert shown is not None
    old, new = _texts(change.before), _texts(change.after)
    fields = "".join(
        build_field(FIELD_NAMES[name], build_diff(old[name], new[name])) for name in change.fields
    )
    return build_card(
        "principle", shown.id or "(no id yet)", fields, badges="".join(_badges(change))
    )


def build_field(label: str, body: str) -> str:
    """A labelled text inside a card. `body` is HTML, escaped by the caller."""
    return f'<span class="cai-field">{escape(label)}</span><span class="cai-body">{body}</span>'


def _badges(change: PrincipleChange) -> list[str]:
    if change.before is None:
        return [build_badge("added")]
    if change.after is None:
        return [build_badge("removed")]
    badges = [build_badge("changed", quiet=True)] if change.fields else []
    if change.moved:
        badges.append(build_badge(f"moved from {change.moved[0]} to {change.moved[1]}", quiet=True))
    return badges


def _texts(principle: Principle | None) -> dict[str, str]:
    if principle is None:
        return dict.fromkeys(FIELD_NAMES, "")
    texts = {name: str(getattr(principle, name)) for name in FIELD_NAMES}
    switches = {
        "tags": ", ".join(principle.tags),
        # What is as it always was is not told of a principle that is added or removed.
        "weight": f"{principle.weight:g}" if principle.weight != 1 else "",
        "enabled": "" if principle.enabled else "no, it is off",
    }
    return texts | switches


def _match(before: Sequence[Principle], after: Sequence[Principle]) -> dict[int, int]:
    """Place after → place before."""
    pairs: dict[int, int] = {}
    free = list(range(len(before)))
    for same in (_same_id, _same_words):
        for j, new in enumerate(after):
            found = next((i for i in free if j not in pairs and same(before[i], new)), None)
            if found is not None:
                pairs[j] = found
                free.remove(found)
    return pairs


def _same_id(old: Principle, new: Principle) -> bool:
    return old.id == new.id


def _same_words(old: Principle, new: Principle) -> bool:
    requests = (old.critique_request, old.revision_request)
    return (bool(old.text) and old.text == new.text) or (
        all(requests) and requests == (new.critique_request, new.revision_request)
    )


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """The members of a longest rising subsequence: what kept its order while others moved."""
    tails: list[int] = []
    before: dict[int, int | None] = {}
    for number in numbers:
        place = bisect_left(tails, number)
        before[number] = tails[place - 1] if place else None
        tails[place : place + 1] = [number]
    kept: set[int] = set()
    last = tails[-1] if tails else None
    while last is not None:
        kept.add(last)
        last = before[last]
    return kept
