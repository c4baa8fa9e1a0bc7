"""One critique–revision round with the text that it began with: what the critiques' export holds.

A response that nobody revised is a round of number 0, without critique and revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.records import Conversation, Finding, PromptKind, StepKind
from cai_core.workspace.index.prepare import (
    build_chain_id,
    parse_prompt_kind,
    parse_text,
    parse_turns,
)
from cai_core.workspace.rows import Row, RowIndex, build_row_id
from cai_core.workspace.runs import open_run

STEP = "chain"
# An imported chain may begin with a later round than the first.
_MOST_ROUNDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """A round, its texts as the chain goes on with them.

    Attributes:
        run, chain: ids of the run, and of the chain in it.
        round: from 1; 0 for a response that nobody revised.
        principle_id: None where the round has none, or no round is there.
        finding: None where the critique has none, or there is no critique.
        response: the text that the round began with: the initial response, or the revision before.
        critique: None for a direct revision. revision: None where the chain ended before it.
        model: who wrote the response. critic: who wrote the critique, else the revision.
        constitution_hash: of the version; empty where the rows name none.
        template_version: under which the texts were asked for.
    """

    run: str
    chain: str
    prompt_id: str
    prompt_kind: PromptKind
    tags: tuple[str, ...]
    conversation: Conversation
    round: int
    principle_id: str | None
    finding: Finding | None
    response: str
    critique: str | None
    revision: str | None
    model: str
    critic: str
    constitution_hash: str
    template_version: str

    def as_dict(self) -> dict[str, Any]:
        """The line of an export; an import reads it back."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["conversation"] = [turn.as_dict() for turn in self.conversation]
        plain["prompt_kind"] = self.prompt_kind.value
        plain["finding"] = self.finding and self.finding.value
        plain["tags"] = list(self.tags)
        return plain


def read_rounds(run_folder: Path) -> Iterator[RoundRecord]:
    """The rounds of a run's chains, in the order in which they were written; one at a time.

    Raises:
        WorkspaceError: it is no run, or its files cannot be read.
    """
    index = RowIndex(open_run(run_folder), STEP)
    for row in index.values():
        if row.text is not None and (found := _build_round(row, index)) is not None:
            yield found


def build_round(rows: Iterable[Row], number: int) -> RoundRecord | None:
    """One round of a chain out of all its rows, of which the first written of each counts.

    Args:
        number: of the round, from 1.

    Returns:
        None where the chain has no initial response, or the round no text.
    """
    held: dict[tuple[StepKind, int], Row] = {}
    for row in rows:
        if row.text is not None:
            held.setdefault((row.kind, row.round), row)
    response = held.get((StepKind.RESPONSE, 0))
    critique = held.get((StepKind.CRITIQUE, number))
    revision = held.get((StepKind.REVISION, number))
    if response is None or (critique is None and revision is None):
        return None
    before = held.get((StepKind.REVISION, number - 1), response)
    return _join(response, before, critique, revision)


def _build_round(row: Row, index: RowIndex) -> RoundRecord | None:
    """The round that a row begins; None for a row in the middle of one."""
    response = _find(index, row, StepKind.RESPONSE, 0)
    if response is None or response.text is None:
        return None
    match row.kind:
        case StepKind.RESPONSE if not _is_revised(row, index):
            return _join(response, response, None, None)
        case StepKind.CRITIQUE:
            revision = _find(index, row, StepKind.REVISION, row.round)
            return _join(response, _find_before(index, row) or response, row, revision)
        case StepKind.REVISION if _find(index, row, StepKind.CRITIQUE, row.round) is None:
            return _join(response, _find_before(index, row) or response, None, row)
    return None


def _join(response: Row, before: Row, critique: Row | None, revision: Row | None) -> RoundRecord:
    own = critique or revision
    return RoundRecord(
        run=response.run_id,
        chain=build_chain_id(response),
        prompt_id=response.prompt_id,
        prompt_kind=parse_prompt_kind(response.prompt),
        tags=tuple((response.prompt or {}).get("tags", ())),
        conversation=parse_turns(response.prompt),
        round=own.round if own else 0,
        principle_id=own.principle_id if own else None,
        finding=critique.finding if critique else None,
        response=parse_text(before),
        critique=_read(critique),
        revision=_read(revision),
        model=response.model_id,
        critic=(own or response).model_id,
        constitution_hash=response.constitution_hash,
        template_version=response.template_version,
    )


def _read(row: Row | None) -> str | None:
    return None if row is None or row.text is None else parse_text(row)


def _is_revised(row: Row, index: RowIndex) -> bool:
    kinds = (StepKind.CRITIQUE, StepKind.REVISION)
    rounds = range(1, _MOST_ROUNDS + 1)
    return any(_id(row, kind, number) in index for number in rounds for kind in kinds)


def _find_before(index: RowIndex, row: Row) -> Row | None:
    found = _find(index, row, StepKind.REVISION, row.round - 1)
    return None if found is None or found.text is None else found


def _find(index: RowIndex, row: Row, kind: StepKind, number: int) -> Row | None:
    return index.get(_id(row, kind, number))


def _id(row: Row, kind: StepKind, number: int) -> str:
    step = kind.value if kind is StepKind.RESPONSE else f"{kind.value}-{number}"
    return build_row_id(run_id=row.run_id, prompt_id=row.prompt_id, sample=row.sample, step=step)
