"""What differs between stored rows and those of a replay, and why it may. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cai_core.inference.capabilities import Support
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import StepKind
from cai_core.workspace.rows import Row

_SHORT = 12
_HASH = re.compile(r"[0-9a-f]{64}")
_MAKERS = (
    ("Another model answers", "model_id"),
    ("The model’s files have changed (hash of the weights)", "weights_hash"),
    ("The server is another one", "engine"),
    ("The server’s version is another one", "engine_version"),
)
_SETTINGS = (
    ("Prompts are written in another way (template)", "template_version"),
    ("The version of the constitution is another one", "constitution_hash"),
    ("The seed is another one, so the recipe was changed by hand", "seed"),
    ("The sampling is another one, so the recipe was changed by hand", "sampling"),
    ("Another principle is drawn", "principle_id"),
)
_Key = tuple[str, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayStep:
    """One step, stored and new.

    Attributes:
        name: for people, with a small initial: `critique 1`.
        stored, new: None where that side has no such row, or not yet.
    """

    name: str
    stored: Row | None
    new: Row | None

    @property
    def same(self) -> bool:
        """To the letter; of a scored answer, to the last bit of every probability."""
        old, new = self.stored, self.new
        if old is None or new is None or (old.error is None) is not (new.error is None):
            return False
        if old.error is not None:
            return True  # what an error says holds clocks and ports
        return (old.text, old.finding, old.verdict, _read_probabilities(old)) == (
            new.text,
            new.finding,
            new.verdict,
            _read_probabilities(new),
        )

    @property
    def moved(self) -> float | None:
        """The most that a probability of an answer differs by, in [0, 1]; None without any."""
        if self.stored is None or self.new is None:
            return None
        pairs = (_read_probabilities(self.stored), _read_probabilities(self.new))
        if not pairs[0] or len(pairs[0]) != len(pairs[1]):
            return None
        return max(abs(one - other) for one, other in zip(*pairs, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a replay came to.

    Attributes:
        steps: in the order in which they are asked.
        label: of a label's replay: the new one.
        reasons: why it may differ, what is certain first; empty where all is the same.
        notes: what is another than when it was stored and made no difference.
    """

    steps: tuple[ReplayStep, ...]
    label: LabelRecord | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def first(self) -> ReplayStep | None:
        """The first step that differs; None where all are the same to the letter."""
        return next((step for step in self.steps if not step.same), None)


def pair_rows(stored: Sequence[Row], new: Sequence[Row]) -> tuple[ReplayStep, ...]:
    """The rows by what was asked, in the stored order; what only one side has is there, too."""
    old, fresh = {_key(row): row for row in stored}, {_key(row): row for row in new}
    return tuple(
        ReplayStep(name=_name(old.get(key) or fresh[key]), stored=old.get(key), new=fresh.get(key))
        for key in dict.fromkeys([*old, *fresh])
    )


def build_report(
    stored: Sequence[Row],
    new: Sequence[Row],
    *,
    label: LabelRecord | None = None,
    seeds: Support | None = None,
) -> ReplayReport:
    """Bring both together and say what may have made the difference.

    Args:
        label: that the new answers come to.
        seeds: whether the server repeats a text for a seed, where it was asked.
    """
    steps = pair_rows(stored, new)
    report = ReplayReport(steps=steps, label=label)
    changes = list_changes(stored, new)
    if report.first is None:
        return ReplayReport(steps=steps, label=label, notes=changes)
    reasons = [*changes, *_explain_drawing(report.first, seeds)]
    if not reasons:
        reasons.append(
            "Nothing that was kept explains it. Rows do not say on which machine they were made: "
            "another processor or number of threads may round otherwise."
        )
    reasons += _explain_later(steps, report.first)
    return ReplayReport(steps=steps, label=label, reasons=tuple(reasons))


def list_changes(stored: Sequence[Row], new: Sequence[Row]) -> tuple[str, ...]:
    """What is another now than when the rows were stored: model, files, server, settings."""
    found: list[str] = []
    for words, name in _MAKERS + _SETTINGS:
        told = [
            f"{words}: it was {_short(before)}, it is {_short(after)}."
            for before, after in _list_pairs(stored, new, name)
            if before is not None and after is not None and before != after
        ]
        # Settings follow from one another: the first step that has another one says it all.
        found += told if (words, name) in _MAKERS else told[:1]
    return tuple(dict.fromkeys(found))


def _explain_drawing(first: ReplayStep, seeds: Support | None) -> Iterable[str]:
    old, new = first.stored, first.new
    if old is None or new is None:
        yield "One of the two ended before this step."
        return
    if (old.error is None) is not (new.error is None):
        yield f"A step met an error, and a server’s errors come and go: {old.error or new.error}"
        return
    if any(row.weights_hash is None for row in (old, new)):
        yield "The server does not tell the hash of the model’s files: they may have changed."
    drawn = float(old.sampling.get("temperature", 0.0)) > 0
    if drawn and seeds == "no":
        yield "The server takes no seeds: at this temperature each text is drawn anew."
    if "statistical" in (old.repeatability, new.repeatability):
        what = "a seeded text" if drawn else "a text or probability"
        yield (
            f"The server does not promise that {what} is the same beside other requests: it "
            "computes them together, and sums round otherwise."
        )


def _explain_later(steps: Sequence[ReplayStep], first: ReplayStep) -> Iterable[str]:
    """The steps of a chain begin with the texts before them; answers about a label do not."""
    later = steps[steps.index(first) + 1 :]
    is_label = any(
        row is not None and row.kind is StepKind.LABEL for row in (first.stored, first.new)
    )
    if not is_label and any(not step.same for step in later):
        yield f"The steps after the {first.name} go on from another text, and differ for that."


def _list_pairs(
    stored: Sequence[Row], new: Sequence[Row], name: str
) -> Iterable[tuple[object, object]]:
    for step in pair_rows(stored, new):
        if step.stored is not None and step.new is not None:
            yield getattr(step.stored, name), getattr(step.new, name)


def _read_probabilities(row: Row) -> tuple[float, ...]:
    told = (row.scoring or {}).get("probabilities")
    return tuple(map(float, told)) if isinstance(told, list | tuple) else ()


def _key(row: Row) -> _Key:
    return row.step, row.cot, row.order


def _name(row: Row) -> str:
    match row.kind:
        case StepKind.RESPONSE:
            return "initial response"
        case StepKind.LABEL:
            thought = f", chain of thought {row.cot + 1}" if row.cot else ""
            shown = "B" if row.order else "A"
            return f"answer about {row.principle_id or 'the principle'}, {shown} first{thought}"
        case _:
            return f"{row.kind.value} {row.round}"


def _short(value: object) -> str:
    if isinstance(value, str) and _HASH.fullmatch(value):
        return value[:_SHORT]
    if isinstance(value, dict):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return repr(value)
