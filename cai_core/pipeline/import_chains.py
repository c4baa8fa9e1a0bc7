"""Chains from elsewhere: official samples, sampled answers, and responses by column. Pure."""

from __future__ import annotations

from typing import Any

from cai_core.constitution.model import NAME_PATTERN
from cai_core.errors import ImportFormatError
from cai_core.pipeline.import_fields import (
    PROMPTS,
    check_plain,
    check_text,
    find_name,
    parse_dialogue,
    read_answer,
    read_kind,
    read_optional_text,
    read_prompt,
    read_tags,
    read_whole_number,
)
from cai_core.pipeline.import_records import (
    ImportedChain,
    ImportedStep,
    ImportSettings,
    QuotedRequests,
    SourceRecord,
    name_record,
)
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.pipeline.sample_chains import SampleChain, build_sample_chain
from cai_core.prompts.paper import TEMPLATE_VERSION
from cai_core.records import Conversation, Finding, Prompt, StepKind, content_hash

# Texts of these chains are taken as they are, but for white space at their ends.
IMPORTED = "import/1"
RESPONSES = (
    "response",
    "initial_response",
    "init_response",
    "completion",
    "messages",
    "conversation",
    "transcript",
)
_CRITIQUES = ("critique", "critic_response")
_REVISIONS = ("revision", "revision_response", "revised_response")
_REQUESTS = (("critique_request", "critic_prompt"), ("revision_request", "revision_prompt"))
ROUND_COLUMNS = (
    *PROMPTS,
    *RESPONSES,
    *_CRITIQUES,
    *_REVISIONS,
    *(name for names in _REQUESTS for name in names),
    *("prompt_kind", "kind", "tags", "round", "principle_id", "principle", "finding"),
    *("model", "model_id", "critic", "constitution_hash", "template_version"),
)
_MOST_ROUNDS = 10_000


def parse_sl_chain(record: SourceRecord, settings: ImportSettings) -> ImportedChain:
    """Read one of the paper's chains: an initial response and its rounds.

    Raises:
        ImportFormatError: a field is missing or of the wrong type.
    """
    chain = build_sample_chain(record.fields, name_record(record), record.line)
    prompt = _add(chain.prompt, settings)
    return build_official_chain(chain, prompt)


def build_official_chain(chain: SampleChain, prompt: Prompt) -> ImportedChain:
    """The chain in the terms of an import, its texts untouched."""
    steps = [_step(StepKind.RESPONSE, 0, chain.response)]
    for number, pair in enumerate(chain.rounds, start=1):
        steps.append(_step(StepKind.CRITIQUE, number, pair.critique, pair.principle_id))
        steps.append(_step(StepKind.REVISION, number, pair.revision, pair.principle_id))
    quoted = tuple(
        QuotedRequests(
            principle_id=pair.principle_id,
            text=pair.revision_request,
            critique_request=pair.critique_request,
            revision_request=pair.revision_request,
        )
        for pair in chain.rounds
    )
    return ImportedChain(
        prompt=prompt, steps=tuple(steps), quoted=quoted, template=TEMPLATE_VERSION
    )


def parse_sampled_answers(record: SourceRecord, settings: ImportSettings) -> ImportedChain:
    """Read one prompt's sampled answers, each a chain of one step, with the scores it was given.

    Raises:
        ValueError: a field is missing or of the wrong type.
    """
    conversation = parse_dialogue(check_text(record.fields.get("rl_prompt"), "rl_prompt"))
    dataset = record.fields.get("comparison_dataset")
    answers = record.fields.get("sampled_answers")
    if not isinstance(answers, list) or not answers:
        raise ValueError("`sampled_answers` is not a list of at least one answer")
    model = name_record(record).rpartition("/")[2]
    steps = []
    for number, answer in enumerate(answers):
        where = f"sampled_answers[{number}]"
        if not isinstance(answer, dict):
            raise ValueError(f"{where} is no object")
        text = check_text(answer.get("sampled_string"), f"{where}.sampled_string")
        check_plain(answer, where)
        measured = {name: told for name, told in answer.items() if name != "sampled_string"}
        steps.append(
            ImportedStep(
                kind=StepKind.RESPONSE,
                round=0,
                text=text,
                sample=number,
                model=model,
                measured=measured or None,
            )
        )
    tags = (dataset,) if isinstance(dataset, str) else ()
    return ImportedChain(
        prompt=_build_prompt(record, settings, conversation, *tags),
        steps=tuple(steps),
        template=TEMPLATE_VERSION,
    )


def parse_round(record: SourceRecord, settings: ImportSettings) -> ImportedChain:
    """Read a response by column, with its critique and revision where there are any.

    Raises:
        ValueError: a field is missing or of the wrong type.
    """
    conversation, response = _read_answered(record)
    critique = read_optional_text(record, *_CRITIQUES)
    revision = read_optional_text(record, *_REVISIONS)
    quoted = _read_requests(record)
    principle = _read_principle(record, quoted)
    number = read_whole_number(record, "round", _MOST_ROUNDS)
    revised = critique is not None or revision is not None
    if number == 0 and revised:
        raise ValueError("`round` is 0 beside a critique or a revision; rounds count from 1")
    number = (number or 1) if revised else 0
    model = read_optional_text(record, "model", "model_id") or ""
    critic = read_optional_text(record, "critic") or model
    steps = [_step(StepKind.RESPONSE, 0, response, model=model)]
    if critique is not None:
        finding = _read_finding(record)
        steps.append(
            _step(StepKind.CRITIQUE, number, critique, principle, model=critic, finding=finding)
        )
    if revision is not None:
        steps.append(_step(StepKind.REVISION, number, revision, principle, model=model))
    return ImportedChain(
        prompt=_build_prompt(record, settings, conversation),
        steps=tuple(steps),
        quoted=(quoted,) if quoted else (),
        constitution_hash=read_optional_text(record, "constitution_hash"),
        template=read_optional_text(record, "template_version") or IMPORTED,
    )


def _read_answered(record: SourceRecord) -> tuple[Conversation, str]:
    """Prompt and response; the last turn of a conversation may be the response."""
    answered = find_name(record, RESPONSES[:4])
    conversation = read_prompt(record)
    if answered is not None or (record.cells and not set(RESPONSES[:4]).isdisjoint(record.fields)):
        return conversation, read_answer(record, *RESPONSES[:4])
    if len(conversation) < 2 or conversation[-1].role != "assistant":
        raise ValueError("has no response, and its turns do not end in one of the assistant's")
    return conversation[:-1], conversation[-1].content


def _read_requests(record: SourceRecord) -> QuotedRequests | None:
    asked = [read_optional_text(record, *names) for names in _REQUESTS]
    if asked[0] is None or asked[1] is None or not asked[0].strip() or not asked[1].strip():
        return None
    text = read_optional_text(record, "principle") or asked[1]
    name = read_optional_text(record, "principle_id")
    if name is None or not NAME_PATTERN.fullmatch(name):
        name = f"quoted-{content_hash(asked)[:10]}"
    return QuotedRequests(
        principle_id=name, text=text, critique_request=asked[0], revision_request=asked[1]
    )


def _read_principle(record: SourceRecord, quoted: QuotedRequests | None) -> str | None:
    told = read_optional_text(record, "principle_id")
    if told is not None:
        return told
    if quoted is not None:
        return quoted.principle_id
    return read_optional_text(record, "principle")


def _read_finding(record: SourceRecord) -> Finding | None:
    told = record.fields.get("finding")
    if told is None:
        return None
    try:
        return Finding(told)
    except ValueError as error:
        raise ValueError(f"finding is {told!r:.40}, not one of {', '.join(Finding)}") from error


def _build_prompt(
    record: SourceRecord, settings: ImportSettings, conversation: Conversation, *tags: str
) -> Prompt:
    return build_prompt(
        conversation,
        number=record.line,
        name=name_record(record),
        kind=read_kind(record, settings),
        tags=read_tags(record, settings, *tags),
    )


def _add(prompt: Prompt, settings: ImportSettings) -> Prompt:
    """The prompt of a record that tells neither kind nor tags of its own."""
    try:
        return build_prompt(
            prompt.conversation,
            number=prompt.line,
            name=prompt.prompt_id.rpartition("#")[0],
            kind=settings.prompt_kind or prompt.kind,
            tags=tuple(dict.fromkeys([*prompt.tags, *settings.tags])),
        )
    except ValueError as error:
        raise ImportFormatError(f"rl_prompt: {error}") from error


def _step(
    kind: StepKind, number: int, text: str, principle: str | None = None, **more: Any
) -> ImportedStep:
    return ImportedStep(kind=kind, round=number, text=text, principle_id=principle, **more)
