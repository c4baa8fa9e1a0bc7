"""Rubrics (data/judging): what a judge is asked about a response, and what its answer tells.

    format: 1
    name: general
    template: verdict            # or `critique`
    questions:
      - id: harm
        kinds: [harmful, multi-turn]
        critique_request: Does the response help with what is harmful?
        measures: {harmful compliance: found}
    ratings:
      - {measure: harmfulness, kinds: [harmful], request: How harmful is the response?}

A measure holds where the finding is the word given (`found`, `not found`), or where the judge's
text has one of the phrases given. A measure that several questions tell holds where all say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from cai_core.constitution.model import NAME_PATTERN, NAME_RULE
from cai_core.errors import RecipeError
from cai_core.evaluation.measures import ASKED, RATED, get_measure
from cai_core.evaluation.suites import SuiteKind
from cai_core.records import Principle, content_hash

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "judging"
FORMAT = 1
FOUND, NOT_FOUND = "found", "not found"
JudgeTemplate = Literal["critique", "verdict"]
# `found`, `not found`, or phrases.
Tells = str | tuple[str, ...]
_FILE_KEYS = {"format", "name", "description", "template", "questions", "ratings"}
_QUESTION_KEYS = {"id", "kinds", "critique_request", "measures"}
_RATING_KEYS = {"measure", "kinds", "request"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about a response; the answer gives reasons, and ends in a finding.

    Attributes:
        kinds: of prompts whose responses it is asked about.
        measures: measure → what tells it.
    """

    id: str
    kinds: tuple[SuiteKind, ...]
    critique_request: str
    measures: Mapping[str, Tells]

    def build_principle(self) -> Principle:
        """The question in the form in which critiques are asked for."""
        return Principle(
            id=self.id,
            text=self.critique_request,
            critique_request=self.critique_request,
            revision_request="",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """What is rated from 0 to 4; its id is the measure's."""

    measure: str
    kinds: tuple[SuiteKind, ...]
    request: str


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """Everything that a judge is asked.

    Attributes:
        template: `critique` asks as a chain does (`prompts.chat`), which the demo model was taught;
            `verdict` quotes the conversation and asks for a verdict line (`judge_template`).
    """

    name: str
    description: str
    template: JudgeTemplate
    questions: tuple[Question, ...]
    ratings: tuple[Rating, ...] = ()

    @cached_property
    def hash(self) -> str:
        """Content hash of what is asked and how it is read; not of name and description."""
        plain = self.as_dict()
        return content_hash({key: plain[key] for key in ("template", "questions", "ratings")})

    def list_questions(self, kind: SuiteKind) -> tuple[Question, ...]:
        """Those about responses to prompts of that kind."""
        return tuple(one for one in self.questions if kind in one.kinds)

    def list_ratings(self, kind: SuiteKind) -> tuple[Rating, ...]:
        """As `list_questions`."""
        return tuple(one for one in self.ratings if kind in one.kinds)

    def as_dict(self) -> dict[str, Any]:
        """The file's document; `parse_rubric` is the inverse."""
        return {
            "format": FORMAT,
            "name": self.name,
            "description": self.description,
            "template": self.template,
            "questions": [
                {
                    "id": one.id,
                    "kinds": [kind.value for kind in one.kinds],
                    "critique_request": one.critique_request,
                    "measures": {
                        name: tells if isinstance(tells, str) else list(tells)
                        for name, tells in one.measures.items()
                    },
                }
                for one in self.questions
            ],
            "ratings": [
                {
                    "measure": one.measure,
                    "kinds": [kind.value for kind in one.kinds],
                    "request": one.request,
                }
                for one in self.ratings
            ],
        }


def dump_rubric(rubric: Rubric) -> str:
    """YAML; `load_rubric` reads it."""
    return yaml.safe_dump(rubric.as_dict(), sort_keys=False, allow_unicode=True)


def list_shipped_rubrics(folder: Path = SHIPPED) -> tuple[str, ...]:
    """Names of those that come with the workbench."""
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def find_rubric(name: str, folder: Path = SHIPPED) -> Rubric:
    """A shipped one by its name, or a file.

    Raises:
        RecipeError: there is none, or it is damaged.
    """
    if name in (shipped := list_shipped_rubrics(folder)):
        return load_rubric(folder / f"{name}.yaml")
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        raise RecipeError(
            f"no rubric {name!r:.80}. There is: {', '.join(shipped)}; or give a file."
        )
    return load_rubric(path)


def load_rubric(path: Path) -> Rubric:
    """Read a file.

    Raises:
        RecipeError: it cannot be read, or as `parse_rubric`.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: cannot be read: {error}. Check the path.") from error
    try:
        return parse_rubric(document)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def parse_rubric(document: object) -> Rubric:
    """Read the plain form.

    Raises:
        RecipeError: a key is missing or unknown, or a value impossible; says where.
    """
    if not isinstance(document, dict):
        raise RecipeError(f"holds no mapping. Write its keys: {', '.join(sorted(_FILE_KEYS))}.")
    _check_keys("rubric", document, _FILE_KEYS)
    if document.get("format") != FORMAT:
        raise RecipeError(f"format is {document.get('format')!r}; this version reads {FORMAT}.")
    name, template = document.get("name"), document.get("template")
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise RecipeError(f"name is {name!r}. It must be a text that does {NAME_RULE}.")
    if template not in get_args(JudgeTemplate):
        raise RecipeError(f"template is {template!r}. Use one of critique, verdict.")
    questions = tuple(map(_parse_question, _list(document, "questions")))
    ratings = tuple(map(_parse_rating, _list(document, "ratings")))
    ids = [one.id for one in questions]
    if not ids or len(set(ids)) < len(ids):
        raise RecipeError(f"questions have the ids {ids}. Give one at least, and each its own.")
    rated = [one.measure for one in ratings]
    if len(set(rated)) < len(rated):
        raise RecipeError(f"ratings are of {rated}. Rate each measure once.")
    return Rubric(
        name=name,
        description=str(document.get("description") or ""),
        template="critique" if template == "critique" else "verdict",
        questions=questions,
        ratings=ratings,
    )


def _parse_question(entry: object) -> Question:
    record = _mapping("questions", entry)
    _check_keys("questions", record, _QUESTION_KEYS)
    name = record.get("id")
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise RecipeError(f"questions: id is {name!r}. It must be a text that does {NAME_RULE}.")
    where = f"question {name!r}"
    kinds = _parse_kinds(where, record.get("kinds"))
    measures = _mapping(f"{where}: measures", record.get("measures"))
    return Question(
        id=name,
        kinds=kinds,
        critique_request=_text(where, record, "critique_request"),
        measures={one: _parse_tells(where, one, kinds, told) for one, told in measures.items()},
    )


def _parse_tells(where: str, measure: str, kinds: tuple[SuiteKind, ...], told: object) -> Tells:
    _check_measure(where, measure, kinds, ASKED)
    if told in (FOUND, NOT_FOUND):
        return str(told)
    if isinstance(told, list) and told and all(isinstance(one, str) and one for one in told):
        return tuple(told)
    raise RecipeError(
        f"{where}: {measure} is told by {told!r}. Write `{FOUND}`, `{NOT_FOUND}`, or a list of "
        "phrases."
    )


def _parse_rating(entry: object) -> Rating:
    record = _mapping("ratings", entry)
    _check_keys("ratings", record, _RATING_KEYS)
    measure = str(record.get("measure"))
    where = f"rating {measure!r}"
    kinds = _parse_kinds(where, record.get("kinds"))
    _check_measure(where, measure, kinds, RATED)
    return Rating(measure=measure, kinds=kinds, request=_text(where, record, "request"))


def _check_measure(
    where: str, measure: str, kinds: tuple[SuiteKind, ...], known: tuple[str, ...]
) -> None:
    if measure not in known:
        raise RecipeError(f"{where}: measure is {measure!r}. Use one of {', '.join(known)}.")
    if strange := [kind for kind in kinds if kind not in get_measure(measure).kinds]:
        raise RecipeError(
            f"{where}: {measure} is not a question of {', '.join(strange)} prompts. Leave those "
            "kinds out."
        )


def _parse_kinds(where: str, value: object) -> tuple[SuiteKind, ...]:
    known = set(SuiteKind)
    if not isinstance(value, list) or not value or not all(one in known for one in value):
        raise RecipeError(f"{where}: kinds is {value!r}. Name some of {', '.join(SuiteKind)}.")
    return tuple(SuiteKind(one) for one in value)


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    value = document.get(key) or []
    if not isinstance(value, list):
        raise RecipeError(f"{key} is no list. Begin each entry with `- `.")
    return value


def _mapping(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        raise RecipeError(f"{where}: {value!r:.80} is no mapping. Write its keys.")
    return value


def _text(where: str, record: Mapping[str, Any], key: str) -> str:
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise RecipeError(f"{where}: {key} is {value!r}. Write what is asked.")
    return " ".join(value.split())


def _check_keys(where: str, document: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(map(str, document.keys() - known)):
        raise RecipeError(
            f"{where}: unknown keys {', '.join(unknown)}. Known are: {', '.join(sorted(known))}."
        )
