"""Preferences that tell more than who is preferred: annotated pairs, our own labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cai_core.pipeline.comparison_records import FormedComparison
from cai_core.pipeline.import_fields import (
    check_plain,
    check_text,
    find_name,
    read_bool,
    read_kind,
    read_number,
    read_object,
    read_optional_text,
    read_prompt,
    read_tags,
    read_text,
    read_texts,
)
from cai_core.pipeline.import_pairs import (
    A_NAMES,
    B_NAMES,
    SHARED,
    build_comparison,
    build_pair,
    read_open_prompt,
    read_source,
)
from cai_core.pipeline.import_records import (
    ImportedPair,
    ImportSettings,
    SourceRecord,
    parse_verdict,
)
from cai_core.pipeline.label_records import LabelRecord

LABEL_COLUMNS = tuple(LabelRecord.__dataclass_fields__)
_NOBODY = (None, "", "both", "neither", "not_applicable", "invalid")


def parse_annotated_pair(record: SourceRecord, settings: ImportSettings) -> ImportedPair:
    """Read a comparison of ICAI's annotated pairs; its default annotator's word is the label.

    Raises:
        ValueError: a response or the annotations are missing or of the wrong type.
    """
    answers, models = [], []
    for names in (A_NAMES, B_NAMES):
        value = record.fields.get(find_name(record, names) or names[0])
        told = value if isinstance(value, dict) else {"text": value}
        answers.append(check_text(told.get("text"), names[0]))
        models.append(told.get("model") if isinstance(told.get("model"), str) else None)
    annotations = record.fields.get("annotations")
    if not isinstance(annotations, dict):
        raise ValueError("`annotations` is not an object")
    check_plain(annotations, "annotations")
    conversation = read_open_prompt(record)
    comparison = build_comparison(
        record, settings, conversation, (answers[0], answers[1]), A_NAMES, B_NAMES, models=models
    )
    annotators, default = _read_annotators(record, annotations)
    votes = tuple(
        {
            "comparison_id": comparison.comparison_id,
            "annotator": name,
            **annotators.get(name, {}),
            "vote": vote,
        }
        for name, vote in annotations.items()
    )
    word = annotations.get(default or "")
    pref = word.get("pref") if isinstance(word, dict) else word
    if default is None or pref in _NOBODY:
        return ImportedPair(comparison=comparison, label=None, votes=votes)
    verdict = parse_verdict(pref, settings.verdicts)
    who = annotators.get(default, {})
    human = who.get("type") == "human"
    known = replace(settings, label_source="human") if human else settings
    pair = build_pair(record, known, comparison, verdict, None, None)
    if pair.label is not None and human and isinstance(who.get("name"), str):
        pair = replace(pair, label=replace(pair.label, reviewer=who["name"]))
    return replace(pair, votes=votes)


def parse_label(record: SourceRecord, settings: ImportSettings) -> ImportedPair:
    """Read a label as a `label` run writes it and an export gives it: every field comes back.

    Raises:
        ValueError: a field is missing or of the wrong type.
    """
    verdict = parse_verdict(record.fields.get("verdict"), {})
    comparison = FormedComparison(
        comparison_id=read_text(record, "comparison_id"),
        prompt_id=read_text(record, "prompt_id"),
        prompt_kind=read_kind(record, settings),
        tags=read_tags(record, settings),
        conversation=read_prompt(record, ("conversation",)),
        response_a=read_text(record, "response_a"),
        response_b=read_text(record, "response_b"),
        source_a=read_object(record, "source_a"),
        source_b=read_object(record, "source_b"),
    )
    if not comparison.comparison_id:
        raise ValueError("`comparison_id` is empty")
    if comparison.conversation[-1].role != "user":
        raise ValueError("the last turn of the conversation must be the user's")
    if verdict is None:
        return ImportedPair(comparison=comparison, label=None)
    orders = [record.fields.get(name) for name in ("prob_a_first", "prob_a_second")]
    if record.fields.get("position_bias") is not None and None in orders:
        raise ValueError("has a position_bias without prob_a_first and prob_a_second")
    label = LabelRecord(
        **{name: getattr(comparison, name) for name in SHARED},
        verdict=verdict,
        label_source=read_source(record, settings),
        principle_ids=read_texts(record, "principle_ids"),
        reasoned=read_bool(record, "reasoned"),
        prob_a=read_number(record, "prob_a", 0.0, 1.0),
        prob_a_clamped=read_number(record, "prob_a_clamped", 0.0, 1.0),
        prob_a_first=read_number(record, "prob_a_first", 0.0, 1.0),
        prob_a_second=read_number(record, "prob_a_second", 0.0, 1.0),
        position_bias=read_number(record, "position_bias", -1.0, 1.0),
        feedback_model=read_optional_text(record, "feedback_model"),
        reviewer=read_optional_text(record, "reviewer"),
    )
    return ImportedPair(comparison=comparison, label=label)


def _read_annotators(
    record: SourceRecord, annotations: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], str | None]:
    """What the file says of its annotators, and whose word is the label."""
    told = record.context.get("annotators")
    known = {
        name: {key: one[key] for key in ("name", "type", "description") if key in one}
        for name, one in (told.items() if isinstance(told, dict) else ())
        if isinstance(one, dict)
    }
    metadata = record.context.get("metadata")
    default = metadata.get("default_annotator") if isinstance(metadata, dict) else None
    if isinstance(default, str):
        return known, default
    return known, next(iter(annotations)) if len(annotations) == 1 else None
