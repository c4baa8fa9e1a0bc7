"""Multiple-choice evaluations from elsewhere: `prompt`, `corrects`, `incorrects`. Pure."""

from __future__ import annotations

from cai_core.pipeline.import_records import (
    ImportedQuestion,
    ImportSettings,
    SourceRecord,
    name_record,
)
from cai_core.records import content_hash

QUESTION_COLUMNS = ("prompt", "corrects", "incorrects")


def parse_question(record: SourceRecord, settings: ImportSettings) -> ImportedQuestion:
    """Read one question.

    Raises:
        ValueError: a field is missing or of the wrong type, or nothing can be chosen.
    """
    del settings  # nothing in it is about questions
    prompt = record.fields.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError("has no text `prompt`")
    corrects, incorrects = (_read_options(record, name) for name in ("corrects", "incorrects"))
    if not corrects or not incorrects:
        raise ValueError("`corrects` and `incorrects` each need an option at least")
    if both := sorted({*corrects} & {*incorrects}):
        raise ValueError(f"{both[0]!r:.40} is both correct and incorrect")
    name = f"{name_record(record)}#{record.line}"
    return ImportedQuestion(
        question_id=content_hash(["question", name, prompt, list(corrects), list(incorrects)])[:32],
        file=record.file,
        line=record.line,
        prompt=prompt,
        corrects=corrects,
        incorrects=incorrects,
    )


def _read_options(record: SourceRecord, name: str) -> tuple[str, ...]:
    options = record.fields.get(name)
    if not isinstance(options, list) or not all(isinstance(one, str) for one in options):
        raise ValueError(f"`{name}` is not a list of texts")
    return tuple(options)
