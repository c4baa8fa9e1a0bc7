"""JSON constitutions: our own, LangChain's principles, ICAI's results, the official files."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from cai_core.constitution.import_text import ITEM
from cai_core.constitution.imported import Collector
from cai_core.constitution.importers import OFFICIAL_DESCRIPTION, parse_instructions
from cai_core.constitution.model import (
    FORMAT,
    MAX_WEIGHT,
    NAME_PATTERN,
    NAME_RULE,
    constitution_hash,
)
from cai_core.errors import ImportFormatError
from cai_core.records import Constitution, Principle

LANGCHAIN_CLASS = "ConstitutionalPrinciple"
# Python's own parser needs a hundred times the text's memory.
MOST_SOURCE = 1024 * 1024
_TEXTS = ("text", "critique_request", "revision_request", "comparison_request")
_PRINCIPLE_KEYS = ("id", *_TEXTS, "tags", "weight", "enabled")
_CAMEL = {"critiqueRequest": "critique_request", "revisionRequest": "revision_request"}


def detect_json(document: object) -> str:
    """Which format a JSON document is in; `json`, our own, where nothing else fits."""
    if isinstance(document, dict):
        values = list(document.values())
        if "annotators" in document or "constitution" in document:
            return "icai"
        if values and all(isinstance(v, dict) and "edit_request" in v for v in values):
            return "official"
        if values and all(_is_langchain(v) for v in values):
            return "langchain"
        return "icai" if values and all(isinstance(v, str) for v in values) else "json"
    if isinstance(document, list) and document:
        if any(_is_langchain(entry) for entry in document):
            return "langchain"
        if any(isinstance(entry, str) for entry in document):
            return "icai"
    return "json"


def read_own(document: object, taken: Collector) -> Constitution:
    """Read what `export_constitution(…, "json")` wrote; unknown keys are listed.

    Raises:
        ImportFormatError: every problem, one a line.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ImportFormatError(
            f"{taken.source}: not a constitution in JSON of format {FORMAT}, nor a list of "
            "principles in a format that is known here. Name the kind it is."
        )
    problems: list[str] = []
    for key in document.keys() - {"format", "name", "description", "principles", "hash"}:
        taken.warn("the file", f"left out: the unknown key {key[:80]!r}")
    listed = document.get("principles")
    if not isinstance(listed, list) or not listed:
        raise ImportFormatError(f"{taken.source}: it has no list of principles. Add at least one.")
    for number, entry in enumerate(listed, start=1):
        principle = _read_principle(entry, f"principle {number}", problems, taken)
        if principle is not None and principle.id in taken.provenance:
            problems.append(f"principle {number}: the id {principle.id!r} is there already")
        elif principle is not None:
            taken.keep(principle, f"principle {number}")
    name, description = document.get("name"), document.get("description", "")
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        problems.append(f"name is {name!r:.80}. It must {NAME_RULE}")
    if not isinstance(description, str):
        problems.append(f"description is {description!r:.80}, not a text")
    if problems:
        raise ImportFormatError("\n".join(f"{taken.source}: {told}." for told in problems[:200]))
    read = Constitution(name=str(name), description=description, principles=tuple(taken.principles))
    if document.get("hash") not in (None, constitution_hash(read)):
        taken.warn("hash", "the file was changed after it was written: it names another version")
    return read


def read_langchain(document: object, taken: Collector) -> None:
    """LangChain's ConstitutionalPrinciples: a list of them, or a mapping by name.

    They have no rule text: as in the official files the revision request stands for it.
    """
    entries: list[tuple[str, str | None, object]]
    if isinstance(document, dict) and not _is_langchain(document):
        entries = [(str(key), str(key), value) for key, value in document.items()]
    else:
        listed = document if isinstance(document, list) else [document]
        entries = [(f"entry {n}", None, value) for n, value in enumerate(listed, start=1)]
    for place, key, entry in entries:
        if not isinstance(entry, Mapping):
            taken.leave_out(place, f"not a principle but {entry!r:.60}")
            continue
        known = {_CAMEL.get(str(k), str(k)): v for k, v in entry.items()}
        requests = {field: known.pop(field, None) for field in _TEXTS[1:3]}
        name = known.pop("name", None) or key
        if bad := [f for f, v in requests.items() if not isinstance(v, str) or not v.strip()]:
            taken.leave_out(place, f"it has no {' and no '.join(bad)}")
            continue
        for rest in known:
            taken.warn(place, f"left out: its {rest[:80]!r}")
        texts = {field: str(value) for field, value in requests.items()}
        wanted = name if isinstance(name, str) and name != "Constitutional Principle" else None
        taken.add(texts["revision_request"], place, wanted_id=wanted, requests=texts)
    if taken.principles:
        taken.warn("the file", "it holds no comparison requests; labels need them")


def read_python(text: str, source: str) -> list[dict[str, Any]] | object:
    """LangChain principles out of Python source: constructor calls, or a literal.

    The source is parsed and never run; what is not a plain text in it is left as None.

    Raises:
        ImportFormatError: no Python, or neither calls nor a literal in it.
    """
    if len(text) > MOST_SOURCE:
        raise ImportFormatError(f"{source}: more than {MOST_SOURCE} characters of Python.")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ImportFormatError(f"{source}: broken Python: {error}.") from error
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_class(node)]
    if calls:
        ordered = sorted(calls, key=lambda call: (call.lineno, call.col_offset))
        return [{str(k.arg): _constant(k.value) for k in call.keywords} for call in ordered]
    for statement in tree.body:
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Dict | ast.List | ast.Tuple):
            try:
                found: object = ast.literal_eval(value)
            except (ValueError, TypeError, RecursionError, MemoryError):
                continue
            return list(found) if isinstance(found, tuple) else found
    raise ImportFormatError(
        f"{source}: neither {LANGCHAIN_CLASS}(…) nor a list or dict of plain texts is in it."
    )


def read_icai(document: object, taken: Collector) -> None:
    """Principles that Inverse Constitutional AI found (arXiv 2406.06560).

    Read are its annotated pairs (with how often each principle agreed with the people's choice),
    its lists and indexed objects of texts, and `{"constitution": "1. …"}`.
    """
    if isinstance(document, dict) and "annotators" in document:
        _read_annotated_pairs(document, taken)
        return
    if isinstance(document, dict) and "constitution" in document:
        for key in document.keys() - {"constitution"}:
            taken.warn("the file", f"left out: {key[:80]!r}")
        document = document["constitution"]
    if isinstance(document, str):
        lines = [line for line in document.split("\n") if line.strip()]
        document = [ITEM.sub("", line).strip() for line in lines]
    entries: list[tuple[str, object]]
    if isinstance(document, dict):
        entries = [(f"key {key}", value) for key, value in document.items()]
    elif isinstance(document, list):
        entries = [(f"entry {number}", value) for number, value in enumerate(document, start=1)]
    else:
        entries = [("the file", document)]
    for place, value in entries:
        if not isinstance(value, str):
            taken.leave_out(place, f"not a text but {value!r:.60}")
        elif value.rstrip().endswith(" Options:"):
            taken.leave_out(place, "a comparison request of RLMadisonInstructions.json")
        else:
            taken.add(value.strip(), place)


def read_official(document: object, taken: Collector) -> str:
    """CritiqueRevisionInstructions.json; its description.

    Raises:
        ImportFormatError: every problem, one a line.
    """
    for key, critique, revision in parse_instructions(document, taken.source):
        requests = {"critique_request": critique, "revision_request": revision}
        taken.add(revision, key, wanted_id=key, requests=requests, tags=("harm",))
    return OFFICIAL_DESCRIPTION


def _read_annotated_pairs(document: Mapping[str, Any], taken: Collector) -> None:
    annotators = document["annotators"]
    if not isinstance(annotators, Mapping):
        taken.leave_out("annotators", f"not an object but {annotators!r:.60}")
        return
    votes = _count_votes(document)
    for key, annotator in annotators.items():
        place = f"annotator {key}"
        if not isinstance(annotator, Mapping) or not isinstance(annotator.get("description"), str):
            taken.leave_out(place, "it has no description")
        elif annotator.get("type") != "principle":
            taken.leave_out(place, f"it is no principle but {annotator.get('type')!r:.60}")
        else:
            told = votes.get(str(key), {"agree": 0, "disagree": 0, "pass": 0})
            taken.add(annotator["description"].strip(), place, votes=told if votes else None)
    taken.warn("comparisons", "left out: the pairs themselves; import them as comparisons")


def _count_votes(document: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """How often each annotator preferred what the data's own annotator preferred."""
    told: dict[str, dict[str, int]] = {}
    metadata, pairs = document.get("metadata"), document.get("comparisons")
    default = metadata.get("default_annotator") if isinstance(metadata, Mapping) else None
    for pair in pairs if isinstance(pairs, list) else []:
        annotations = pair.get("annotations") if isinstance(pair, Mapping) else None
        if not isinstance(annotations, Mapping):
            continue
        own = _preference(annotations.get(str(default)))
        for key, annotation in annotations.items():
            other = _preference(annotation)
            vote = "pass" if None in (own, other) else "agree" if own == other else "disagree"
            counts = told.setdefault(str(key), {"agree": 0, "disagree": 0, "pass": 0})
            counts[vote] += 1
    return told


def _preference(annotation: object) -> str | None:
    found = annotation.get("pref") if isinstance(annotation, Mapping) else None
    return found if isinstance(found, str) else None


def _read_principle(
    entry: object, place: str, problems: list[str], taken: Collector
) -> Principle | None:
    if not isinstance(entry, dict):
        problems.append(f"{place} is {entry!r:.60}, not an object")
        return None
    before = len(problems)
    for key in entry.keys() - set(_PRINCIPLE_KEYS):
        taken.warn(place, f"left out: its unknown key {key[:80]!r}")
    principle_id, tags = entry.get("id"), entry.get("tags", [])
    texts = {field: entry.get(field, "") for field in _TEXTS}
    weight, enabled = entry.get("weight", 1), entry.get("enabled", True)
    if not isinstance(principle_id, str) or not NAME_PATTERN.fullmatch(principle_id):
        problems.append(f"{place}: id is {principle_id!r:.80}. It must {NAME_RULE}")
    for field, value in texts.items():
        if not isinstance(value, str):
            problems.append(f"{place}: {field} is {value!r:.60}, not a text")
        elif field != "comparison_request" and not value.strip():
            problems.append(f"{place}: it has no {field}")
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        problems.append(f"{place}: tags is {tags!r:.60}, not a list of texts")
    if type(weight) not in (int, float) or not 0 < weight <= MAX_WEIGHT:
        problems.append(f"{place}: weight is {weight!r:.60}, not above 0 and up to {MAX_WEIGHT}")
    if type(enabled) is not bool:
        problems.append(f"{place}: enabled is {enabled!r:.60}, neither true nor false")
    if len(problems) > before:
        return None
    return Principle(
        id=str(principle_id), **texts, tags=tuple(tags), weight=float(weight), enabled=enabled
    )


def _is_langchain(entry: object) -> bool:
    return isinstance(entry, Mapping) and any(
        key in entry for key in ("critique_request", "revision_request", *_CAMEL)
    )


def _is_class(call: ast.Call) -> bool:
    return getattr(call.func, "id", getattr(call.func, "attr", None)) == LANGCHAIN_CLASS


def _constant(node: ast.expr) -> object:
    return node.value if isinstance(node, ast.Constant) else None
