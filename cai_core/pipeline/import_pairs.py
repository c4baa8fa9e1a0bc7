"""Preferences from elsewhere: comparisons, and who is preferred where the file says so. Pure.

A comparison keeps where each response stands: `source_a` and `source_b` name file, line and field.
"""

from __future__ import annotations

import hashlib
from itertools import takewhile
from typing import Any, get_args

from cai_core.pipeline.comparison_records import FormedComparison, build_comparison_id
from cai_core.pipeline.import_fields import (
    PROMPTS,
    check_text,
    find_name,
    parse_dialogue,
    parse_turns,
    read_kind,
    read_number,
    read_optional_text,
    read_prompt,
    read_tags,
    read_text,
)
from cai_core.pipeline.import_records import (
    ImportedPair,
    ImportSettings,
    SourceRecord,
    name_record,
    parse_verdict,
)
from cai_core.pipeline.label_records import LabelRecord, LabelSource
from cai_core.pipeline.labels import TIE_MARGIN, parse_prob
from cai_core.records import Conversation, Message, Verdict

SEVERAL_TURNS, NO_PROMPT = "import:several-turns", "import:no-prompt"
A_NAMES, B_NAMES = ("response_a", "text_a"), ("response_b", "text_b")
_VERDICTS = ("verdict", "label", "preference", "preferred", "preferred_text", "winner")
_WHO = ("label_source", "feedback_model", "reviewer", "annotator")
_PROBS = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5}
_NOBODY = (None, "", "both", "neither", "not_applicable", "invalid")
PAIR_COLUMNS = (*PROMPTS, "chosen", "rejected", "prob", *_WHO, "prompt_kind", "kind", "tags")
COMPARISON_COLUMNS = (
    *(*PROMPTS, *A_NAMES, *B_NAMES, *_VERDICTS, *_WHO, "prob_a", "prob_a_clamped"),
    *("model_a", "model_b", "annotations", "text_correct", "text_incorrect"),
)
LABEL_COLUMNS = tuple(LabelRecord.__dataclass_fields__)


def parse_transcripts(record: SourceRecord, settings: ImportSettings) -> ImportedPair:
    """Read a pair of dialogues, as hh-rlhf has them: what they share is the prompt.

    Raises:
        ValueError: a dialogue is missing or none, or they do not begin with the same turn.
    """
    chosen, rejected = (_read_dialogue(record, name) for name in ("chosen", "rejected"))
    return _build_chosen(record, settings, *_split(chosen, rejected))


def parse_pair(record: SourceRecord, settings: ImportSettings) -> ImportedPair:
    """Read prompt, chosen and rejected; each of the two may be turns that repeat the prompt.

    Raises:
        ValueError: a field is missing or of the wrong type.
    """
    turns = [record.fields.get(name) for name in ("chosen", "rejected")]
    prompt = read_prompt(record)
    if all(isinstance(value, list) for value in turns):
        chosen, rejected = (parse_turns(value, "chosen") for value in turns)
        if chosen[0].role == "assistant" or rejected[0].role == "assistant":
            chosen, rejected = prompt + chosen, prompt + rejected
        return _build_chosen(record, settings, *_split(chosen, rejected))
    answers = (read_text(record, "chosen"), read_text(record, "rejected"))
    if prompt[-1].role != "user":
        raise ValueError("the last turn of the prompt must be the user's")
    return _build_chosen(record, settings, prompt, *answers, several=False)


def parse_comparison(record: SourceRecord, settings: ImportSettings) -> ImportedPair:
    """Read two responses, and who is preferred where a column says so.

    Raises:
        ValueError: a field is missing or of the wrong type, or says what nobody can read.
    """
    conversation = read_open_prompt(record)
    answers = (read_text(record, *A_NAMES), read_text(record, *B_NAMES))
    verdict = parse_verdict(
        record.fields.get(find_name(record, _VERDICTS) or ""), settings.verdicts
    )
    prob_a = read_number(record, "prob_a", 0.0, 1.0)
    clamped = read_number(record, "prob_a_clamped", 0.0, 1.0)
    if prob_a is not None and verdict is None:
        verdict = parse_prob(prob_a, TIE_MARGIN)
    if prob_a is not None and verdict is not None and _differ(prob_a, verdict):
        raise ValueError(f"prob_a is {prob_a:g} where the verdict is {verdict}")
    models = [read_optional_text(record, name) for name in ("model_a", "model_b")]
    comparison = build_comparison(
        record, settings, conversation, answers, A_NAMES, B_NAMES, models=models
    )
    return build_pair(record, settings, comparison, verdict, prob_a, clamped)


def parse_answer_pair(record: SourceRecord, settings: ImportSettings) -> ImportedPair:
    """Read an HHH evaluation; where it says which letter is right, the places are those letters'.

    Raises:
        ValueError: a transcript is missing or none.
    """
    names = ("text_correct", "text_incorrect")
    correct, incorrect = (_read_dialogue(record, name) for name in names)
    conversation, good, bad, several = _split(correct, incorrect)
    letters = record.fields.get("corrects")
    told = str(letters[0]).strip() if isinstance(letters, list) and len(letters) == 1 else ""
    first = told != "(B)" if told in ("(A)", "(B)") else _toss(good, bad)
    return _build_placed(record, settings, conversation, (good, bad), names, first, several)


SHARED = tuple(
    name
    for name in FormedComparison.__dataclass_fields__
    if name in LabelRecord.__dataclass_fields__
)


def _read_dialogue(record: SourceRecord, name: str) -> Conversation:
    value = record.fields.get(name)
    if isinstance(value, list):
        return parse_turns(value, name)
    return parse_dialogue(check_text(value, name))


def read_open_prompt(record: SourceRecord) -> Conversation:
    """The prompt; an empty turn where the file has comparisons without one."""
    if find_name(record, PROMPTS) is None:
        return (Message("user", ""),)
    conversation = read_prompt(record)
    if conversation[-1].role != "user":
        raise ValueError("the last turn of the prompt must be the user's")
    return conversation


def _split(first: Conversation, second: Conversation) -> tuple[Conversation, str, str, bool]:
    """What two dialogues share, up to a turn of the user's, and how each goes on.

    Where one goes on with several turns, they stand in its text as a transcript, and the last of
    what is returned is true.
    """
    shared = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    )
    while shared and (first[shared - 1].role != "user" or shared == len(first) == len(second)):
        shared -= 1
    if not shared:
        raise ValueError("the two dialogues share no turn of the user's to begin with")
    tails = (first[shared:], second[shared:])
    several = any(len(tail) > 1 or (tail and tail[0].role != "assistant") for tail in tails)
    return first[:shared], _join(tails[0]), _join(tails[1]), several


def _join(turns: Conversation) -> str:
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    text = ""
    for number, turn in enumerate(turns):
        bare = number == 0 and turn.role == "assistant"
        text += turn.content if bare else f"\n\n{names[turn.role]}: {turn.content}"
    return text


def _differ(prob_a: float, verdict: Verdict) -> bool:
    """Whether a probability is on the other side than a verdict."""
    return (prob_a - 0.5) * (_PROBS.get(verdict, 0.5) - 0.5) < 0


def _toss(one: str, other: str) -> bool:
    """Whether the first is A: a coin by content, so that the better one has no place of its own."""
    digest = hashlib.sha256(f"{one}\0{other}".encode("utf-8", "surrogatepass")).digest()
    return digest[0] % 2 == 0


def _build_chosen(
    record: SourceRecord,
    settings: ImportSettings,
    conversation: Conversation,
    chosen: str,
    rejected: str,
    several: bool,
) -> ImportedPair:
    first = _toss(chosen, rejected)
    names = ("chosen", "rejected")
    return _build_placed(record, settings, conversation, (chosen, rejected), names, first, several)


def _build_placed(
    record: SourceRecord,
    settings: ImportSettings,
    conversation: Conversation,
    answers: tuple[str, str],
    names: tuple[str, str],
    first: bool,
    several: bool,
) -> ImportedPair:
    """The better one first among `answers` and `names`; A where `first` says so."""
    if not first:
        answers, names = answers[::-1], names[::-1]
    tags = (SEVERAL_TURNS,) if several else ()
    comparison = build_comparison(
        record, settings, conversation, answers, names[:1], names[1:], *tags
    )
    prob = read_number(record, "prob", 0.5, 1.0)
    prob_a = prob if prob is None or first else 1.0 - prob
    return build_pair(record, settings, comparison, Verdict.A if first else Verdict.B, prob_a, None)


def build_comparison(
    record: SourceRecord,
    settings: ImportSettings,
    conversation: Conversation,
    answers: tuple[str, str],
    names_a: tuple[str, ...],
    names_b: tuple[str, ...],
    *tags: str,
    models: list[str | None] | None = None,
) -> FormedComparison:
    prompt_id = f"{name_record(record)}#{record.line}"
    places = []
    for names, model in zip((names_a, names_b), models or (None, None), strict=True):
        place = {"file": record.file, "line": str(record.line)}
        place["field"] = find_name(record, names) or names[0]
        if isinstance(own := record.fields.get("id"), str):
            place["id"] = own
        places.append(place | ({"model": model} if model else {}))
    if conversation == (Message("user", ""),):
        tags = (*tags, NO_PROMPT)
    return FormedComparison(
        comparison_id=build_comparison_id(prompt_id, places[0], places[1]),
        prompt_id=prompt_id,
        prompt_kind=read_kind(record, settings),
        tags=read_tags(record, settings, *tags),
        conversation=conversation,
        response_a=answers[0],
        response_b=answers[1],
        source_a=places[0],
        source_b=places[1],
    )


def build_pair(
    record: SourceRecord,
    settings: ImportSettings,
    comparison: FormedComparison,
    verdict: Verdict | None,
    prob_a: float | None,
    clamped: float | None,
) -> ImportedPair:
    if verdict is None:
        return ImportedPair(comparison=comparison, label=None)
    source = read_source(record, settings)
    prob = _PROBS.get(verdict) if prob_a is None else prob_a
    human = source == "human"
    label = LabelRecord(
        **{name: getattr(comparison, name) for name in SHARED},
        verdict=verdict,
        label_source=source,
        prob_a=prob,
        prob_a_clamped=prob if clamped is None else clamped,
        feedback_model=None if human else read_optional_text(record, "feedback_model", "annotator"),
        reviewer=read_optional_text(record, "reviewer", "annotator") if human else None,
    )
    return ImportedPair(comparison=comparison, label=label)


def read_source(record: SourceRecord, settings: ImportSettings) -> LabelSource:
    told: Any = record.fields.get("label_source")
    if told is None:
        return settings.label_source or "human"
    if told not in get_args(LabelSource):
        known = ", ".join(get_args(LabelSource))
        raise ValueError(f"label_source is {told!r:.40}, not one of {known}")
    source: LabelSource = told
    return source
