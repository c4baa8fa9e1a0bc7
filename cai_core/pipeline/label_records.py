"""One labelled comparison, as a `label` run writes it and every trainer reads it. Pure, and I/O.

outputs/labels.jsonl    a LabelRecord a line, in the order of outputs/comparisons.jsonl
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

from cai_core.errors import WorkspaceError
from cai_core.records import Conversation, Message, PromptKind, Verdict
from cai_core.workspace.journal import read_lines

COMPARISONS, LABELS = "comparisons.jsonl", "labels.jsonl"

LabelSource = Literal["feedback-model", "human", "revision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRecord:
    """A comparison and what is preferred.

    Attributes:
        comparison_id: hash of prompt id and both responses' places; the same in every run that
            forms it.
        prompt_kind, tags: as the prompt set says; `split:held-out` is never trained on.
        source_a, source_b: run and chain that each response comes from, e.g. `{"run": "sl-samples",
            "chain": "p12#13/0"}`; empty for imported ones.
        prob_a: probability in [0, 1] that A is preferred, raw: mean over orders, principles and
            chains of thought. None where unparsed.
        prob_a_clamped: what trains; equals `prob_a` for labels without chain of thought.
        verdict: A, B, tie, or unparsed: never counted as any of the others.
        label_source: who prefers.
        principle_ids: those asked about, in order; empty for human labels.
        reasoned: with a chain of thought.
        prob_a_first, prob_a_second: with A shown first, with A shown second; None where that
            order was not asked.
        position_bias: in [-1, 1], how much more probable a response is preferred when it is shown
            first; None with one order.
        feedback_model: model id; None for human labels. reviewer: a person's name, else None.
    """

    comparison_id: str
    prompt_id: str
    prompt_kind: PromptKind
    tags: tuple[str, ...]
    conversation: Conversation
    response_a: str
    response_b: str
    source_a: Mapping[str, str]
    source_b: Mapping[str, str]
    prob_a: float | None
    prob_a_clamped: float | None
    verdict: Verdict
    label_source: LabelSource
    principle_ids: tuple[str, ...] = ()
    reasoned: bool = False
    prob_a_first: float | None = None
    prob_a_second: float | None = None
    position_bias: float | None = None
    feedback_model: str | None = None
    reviewer: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The line of labels.jsonl."""
        turns = [turn.as_dict() for turn in self.conversation]
        return {**asdict(self), "conversation": turns}

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Self:
        """Read a line back.

        Raises:
            ValueError, TypeError, KeyError: it is none.
        """
        known = {name: record[name] for name in cls.__dataclass_fields__ if name in record}
        known["prompt_kind"] = PromptKind(known["prompt_kind"])
        known["verdict"] = Verdict(known["verdict"])
        known["tags"] = tuple(known["tags"])
        known["principle_ids"] = tuple(known.get("principle_ids", ()))
        known["conversation"] = tuple(
            Message(turn["role"], turn["content"]) for turn in known["conversation"]
        )
        return cls(**known)


def read_labels(run_folder: Path) -> Iterator[LabelRecord]:
    """The labels of a `label` run, in its order.

    Raises:
        WorkspaceError: it made none, or a line is damaged.
    """
    path = run_folder / "outputs" / LABELS
    if not path.exists():
        raise WorkspaceError(
            f"{path}: is not there. Resume {run_folder.name}, or choose a run that has succeeded."
        )
    for line in read_lines(path):
        told = line.damage
        if line.record is not None and "format" in line.record and len(line.record) == 1:
            continue
        if line.record is not None:
            try:
                yield LabelRecord.parse(line.record)
                continue
            except (ValueError, TypeError, KeyError) as error:
                told = f"no label: {error!r}"
        raise WorkspaceError(
            f"{path}:{line.number}: {told}. Delete the file and resume the run; it is made anew "
            "from the rows."
        )
