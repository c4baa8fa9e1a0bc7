"""One comparison, as a `label` run freezes it before it asks anyone. Pure, and I/O.

outputs/comparisons.jsonl   a FormedComparison a line, in the order in which they are asked
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from cai_core.errors import WorkspaceError
from cai_core.pipeline.label_records import COMPARISONS
from cai_core.pipeline.labels import Comparison
from cai_core.records import Conversation, Message, PromptKind, Verdict, content_hash
from cai_core.workspace.journal import read_lines

_ID_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FormedComparison:
    """A prompt, two responses, and where they come from.

    Attributes:
        comparison_id: hash of the prompt's id and of both places, A's first: with the responses
            in each other's place it is another one (`swapped_id`).
        prompt_kind, tags: as the prompt set says.
        source_a, source_b: `{"run": …, "chain": "<prompt id>/<sample>"}`, and `"step": "initial"`
            where it is not the chain's final response.
        principles: ids that this comparison's source asks for; None leaves it to the recipe.
        preferred: by construction, so that nobody is asked; None where somebody is.
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
    principles: tuple[str, ...] | None = None
    preferred: Verdict | None = None

    @property
    def texts(self) -> Comparison:
        """What a feedback model is shown."""
        return Comparison(
            conversation=self.conversation, response_a=self.response_a, response_b=self.response_b
        )

    @property
    def swapped_id(self) -> str:
        """The id that it would have with the responses in each other's place."""
        return build_comparison_id(self.prompt_id, self.source_b, self.source_a)

    def swapped(self) -> Self:
        """The same with the responses in each other's place."""
        other = {Verdict.A: Verdict.B, Verdict.B: Verdict.A}
        return replace(
            self,
            comparison_id=self.swapped_id,
            response_a=self.response_b,
            response_b=self.response_a,
            source_a=self.source_b,
            source_b=self.source_a,
            preferred=None if self.preferred is None else other[self.preferred],
        )

    def as_dict(self) -> dict[str, Any]:
        """The line of comparisons.jsonl."""
        turns = [turn.as_dict() for turn in self.conversation]
        return {**asdict(self), "conversation": turns}

    @classmethod
    def parse(cls, record: Mapping[str, Any]) -> Self:
        """Read a line back.

        Raises:
            ValueError, TypeError, KeyError: it is none.
        """
        principles, preferred = record["principles"], record["preferred"]
        return cls(
            **{
                **record,
                "prompt_kind": PromptKind(record["prompt_kind"]),
                "tags": tuple(record["tags"]),
                "conversation": tuple(
                    Message(turn["role"], turn["content"]) for turn in record["conversation"]
                ),
                "principles": None if principles is None else tuple(principles),
                "preferred": None if preferred is None else Verdict(preferred),
            }
        )


def build_comparison_id(
    prompt_id: str, place_a: Mapping[str, str], place_b: Mapping[str, str]
) -> str:
    """128 bits (hex) over the prompt's id and both responses' places."""
    return content_hash(["comparison", prompt_id, dict(place_a), dict(place_b)])[:_ID_DIGITS]


def read_comparisons(run_folder: Path) -> Iterator[FormedComparison]:
    """The comparisons of a `label` run, in its order.

    Raises:
        WorkspaceError: it formed none yet, or a line is damaged.
    """
    path = run_folder / "outputs" / COMPARISONS
    if not path.exists():
        raise WorkspaceError(f"{path}: is not there. Resume {run_folder.name}.")
    for line in read_lines(path):
        told = line.damage
        if line.record is not None:
            try:
                yield FormedComparison.parse(line.record)
                continue
            except (ValueError, TypeError, KeyError) as error:
                told = f"no comparison: {error!r}"
        raise WorkspaceError(
            f"{path}:{line.number}: {told}. Delete comparisons.json beside it and resume the run; "
            "both are made anew."
        )
