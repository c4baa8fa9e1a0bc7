"""Which format a record is of, told by its fields alone, and how each format is read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cai_core.pipeline.import_annotations import LABEL_COLUMNS, parse_annotated_pair, parse_label
from cai_core.pipeline.import_chains import (
    RESPONSES,
    ROUND_COLUMNS,
    parse_round,
    parse_sampled_answers,
    parse_sl_chain,
)
from cai_core.pipeline.import_fields import PROMPTS
from cai_core.pipeline.import_pairs import (
    COMPARISON_COLUMNS,
    PAIR_COLUMNS,
    parse_answer_pair,
    parse_comparison,
    parse_pair,
    parse_transcripts,
)
from cai_core.pipeline.import_questions import QUESTION_COLUMNS, parse_question
from cai_core.pipeline.import_records import (
    Imported,
    ImportFormat,
    ImportKind,
    ImportSettings,
    SourceRecord,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        needs: fields of which each must be there, one of each set.
        parse: raises ValueError or CaiError where a record is not of the format.
        words: what it is, for messages.
    """

    kind: ImportKind
    needs: tuple[frozenset[str], ...]
    parse: Callable[[SourceRecord, ImportSettings], Imported]
    words: str

    def fits(self, fields: Mapping[str, Any]) -> bool:
        """Whether the fields that it needs are there."""
        return all(not names.isdisjoint(fields) for names in self.needs)


def _needs(*names: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset({name}) for name in names)


_A, _B = frozenset({"response_a", "text_a"}), frozenset({"response_b", "text_b"})
# In the order in which they are looked for: the more a format needs, the earlier.
FORMAT_TABLE: Mapping[ImportFormat, Format] = {
    "sl-chains": Format(
        kind="chains",
        needs=_needs("rl_prompt", "initial_response", "cst"),
        parse=parse_sl_chain,
        words="the paper's sample chains: rl_prompt, initial_response, cst",
    ),
    "sampled-answers": Format(
        kind="chains",
        needs=_needs("rl_prompt", "sampled_answers"),
        parse=parse_sampled_answers,
        words="the paper's sampled answers: rl_prompt, sampled_answers",
    ),
    "labels": Format(
        kind="preferences",
        needs=_needs("comparison_id", "conversation", "response_a", "response_b", "verdict"),
        parse=parse_label,
        words="labels as this workbench exports them",
    ),
    "annotated-pairs": Format(
        kind="preferences",
        needs=(_A, _B, frozenset({"annotations"})),
        parse=parse_annotated_pair,
        words="annotated pairs (ICAI): response_a, response_b, annotations",
    ),
    "answer-pairs": Format(
        kind="preferences",
        needs=_needs("text_correct", "text_incorrect"),
        parse=parse_answer_pair,
        words="HHH evaluations: text_correct, text_incorrect",
    ),
    "pairs": Format(
        kind="preferences",
        needs=(frozenset(PROMPTS), frozenset({"chosen"}), frozenset({"rejected"})),
        parse=parse_pair,
        words="preference pairs: prompt, chosen, rejected",
    ),
    "transcripts": Format(
        kind="preferences",
        needs=_needs("chosen", "rejected"),
        parse=parse_transcripts,
        words="pairs of dialogues (hh-rlhf): chosen, rejected",
    ),
    "comparisons": Format(
        kind="preferences",
        needs=(_A, _B),
        parse=parse_comparison,
        words="comparisons: prompt, response_a, response_b",
    ),
    "multiple-choice": Format(
        kind="questions",
        needs=_needs("prompt", "corrects", "incorrects"),
        parse=parse_question,
        words="multiple choice: prompt, corrects, incorrects",
    ),
    "rounds": Format(
        kind="chains",
        needs=(frozenset(PROMPTS), frozenset(RESPONSES)),
        parse=parse_round,
        words="responses: prompt, response (critique, revision)",
    ),
}
# What of a table is read; further columns stay in the run's copy of the file.
COLUMNS: frozenset[str] = frozenset(
    {
        *(name for one in FORMAT_TABLE.values() for names in one.needs for name in names),
        *(*ROUND_COLUMNS, *PAIR_COLUMNS, *COMPARISON_COLUMNS, *LABEL_COLUMNS, *QUESTION_COLUMNS),
        *("comparison_dataset", "id", "escaped"),
    }
)


def find_format(fields: Mapping[str, Any], kind: ImportKind | None) -> ImportFormat | None:
    """The first format whose fields are there, of the kind that is wanted; None without one."""
    for name, one in FORMAT_TABLE.items():
        if kind in (None, one.kind) and one.fits(fields):
            return name
    return None


def list_headers() -> tuple[frozenset[str], ...]:
    """Sets of names that make a line the header of a table."""
    return tuple(
        frozenset(chosen) for one in FORMAT_TABLE.values() for chosen in _choose(one.needs)
    )


def describe_formats() -> str:
    """Every format in words, for a message."""
    return "; ".join(one.words for one in FORMAT_TABLE.values())


def _choose(needs: tuple[frozenset[str], ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for names in needs:
        found = [(*before, name) for before in found for name in sorted(names)]
    return found
