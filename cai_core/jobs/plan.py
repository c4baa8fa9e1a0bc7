"""Plan files: runs to hand in together, later ones made from earlier ones. Pure: text → plan.

    format: 1
    name: demo-sl
    runs:
      - {name: chains, kind: revise, prompts: redteam, constitution: harmlessness}
      - {name: sl, kind: sft, base: demo, sources: [{run: chains, use: final}]}

`plan_specs.py` looks up what a plan names. Every fault of a file is told at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

from cai_core.constitution.model import NAME_PATTERN, NAME_RULE
from cai_core.errors import CaiError, RecipeError
from cai_core.jobs.plan_evaluate import KEYS as EVALUATE_KEYS
from cai_core.jobs.plan_evaluate import EvaluatePlan, parse_evaluate
from cai_core.jobs.plan_rlaif import KINDS as RLAIF_KINDS
from cai_core.jobs.plan_rlaif import RlaifKind, RlaifPlan, list_keys, parse_rlaif
from cai_core.jobs.plan_yaml import parse_yaml
from cai_core.pipeline.recipe import ChainRecipe, parse_chain_recipe
from cai_core.records import PromptKind
from cai_core.training.recipe import SftRecipe, parse_sft_recipe

FORMAT = 1
MAX_BYTES = 1024 * 1024
FILE_KEYS = ("format", "name", "runs")
WHERE_KEYS = ("tags", "kinds", "limit")
REVISE_TEXTS = ("prompts", "constitution", "model", "critic_model", "few_shot")
REVISE_KEYS = ("name", "kind", *REVISE_TEXTS, "where", "chain")
SFT_KEYS = ("name", "kind", *(item.name for item in fields(SftRecipe)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which prompts of a set are used.

    Attributes:
        tags: each used prompt has every one of them.
        kinds: each used prompt has one of them; empty takes every kind.
        limit: the first so many of those, ≥ 1; None for all.
    """

    tags: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    limit: int | None = None

    def __str__(self) -> str:
        """For a recipe's `prompts`, which people read; the limit has a key of its own."""
        told = {"tags": self.tags, "kinds": self.kinds}
        parts = [f"{key} {', '.join(names)}" for key, names in told.items() if names]
        return f" where {'; '.join(parts)}" if parts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisePlan:
    """A `revise` run as the file names it; None where the workspace's roles say which model."""

    name: str
    prompts: str
    constitution: str
    where: Where = field(default_factory=Where)
    model: str | None = None
    critic_model: str | None = None
    few_shot: str | None = None
    chain: ChainRecipe = field(default_factory=ChainRecipe)
    kind: Literal["revise"] = "revise"


@dataclass(frozen=True, slots=True, kw_only=True)
class SftPlan:
    """An `sft` run as the file names it: the recipe's `base` and sources may name other runs."""

    name: str
    recipe: SftRecipe
    kind: Literal["sft"] = "sft"


AnyPlan = RevisePlan | SftPlan | RlaifPlan | EvaluatePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What could be read of a plan file.

    Attributes:
        runs: in order; those with a fault are left out.
        names: of every run, in order.
    """

    name: str
    runs: tuple[AnyPlan, ...]
    names: tuple[str, ...]


class Faults:
    """Collects what is wrong with a file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines: list[str] = []

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, run: str, key: str, told: str) -> None:
        """Note a fault; `run` is empty where it is of the file as a whole."""
        where = [self._source, f"run {run!r}" if run else "", key]
        self._lines.append(": ".join([*(part for part in where if part), told]))

    @contextmanager
    def catch(self, run: str, key: str) -> Iterator[None]:
        """Note what the block raises on purpose, and go on."""
        try:
            yield
        except CaiError as error:
            self.add(run, key, str(error).removeprefix(f"{key}: "))

    def raise_any(self) -> None:
        """Raise RecipeError with every fault, one a line, if there is one."""
        if self._lines:
            raise RecipeError("\n".join(self._lines))


def parse_plan(text: str, source: str, faults: Faults) -> Plan:
    """Read a plan; its faults are added to `faults`.

    Args:
        source: what messages call the file.

    Raises:
        RecipeError: it is no YAML, or no mapping.
    """
    document = parse_yaml(text, source)
    if not isinstance(document, dict):
        raise RecipeError(f"{source}: holds no mapping. Write its keys: {', '.join(FILE_KEYS)}.")
    _check_keys(document, FILE_KEYS, "", "", faults)
    if document.get("format") != FORMAT:
        told = f"is {document.get('format')!r}; this version reads format {FORMAT}."
        faults.add("", "format", f"{told} Write `format: {FORMAT}`.")
    name = _read_name(document.get("name"), "", faults)
    entries = document.get("runs")
    if not isinstance(entries, list) or not entries:
        faults.add("", "runs", "is no list of runs. Begin each one with `- name:`.")
        entries = []
    names: list[str] = []
    runs: list[AnyPlan] = []
    for number, entry in enumerate(entries, start=1):
        read = _read_run(entry, number, names, faults)
        if read is not None:
            runs.append(read)
    return Plan(name=name, runs=tuple(runs), names=tuple(names))


def _read_run(entry: object, number: int, names: list[str], faults: Faults) -> AnyPlan | None:
    """One run, None where it has a fault; its name joins `names`."""
    before = len(faults)
    if not isinstance(entry, dict):
        faults.add(f"number {number}", "", "is no mapping. Write its keys: name, kind, ….")
        return None
    shown = str(entry.get("name") or f"number {number}")
    name = _read_name(entry.get("name"), shown, faults)
    if name and name in names:
        faults.add(shown, "name", "is another run's too. Choose another name.")
    names.append(name)
    read: AnyPlan | None = None
    match entry.get("kind"):
        case "revise":
            read = _read_revise(name, entry, faults)
        case "sft":
            read = _read_sft(name, entry, faults)
        case "label" | "reward" | "dpo" | "rl" as kind:
            read = _read_rlaif(name, kind, entry, faults)
        case "evaluate":
            read = _read_evaluate(name, entry, faults)
        case kind:
            known = ", ".join(("revise", "sft", *RLAIF_KINDS, "evaluate"))
            faults.add(shown, "kind", f"is {kind!r}. Use one of {known}.")
    return read if len(faults) == before else None


def _read_revise(name: str, entry: Mapping[str, Any], faults: Faults) -> RevisePlan | None:
    before = len(faults)
    _check_keys(entry, REVISE_KEYS, name, "", faults)
    texts = {key: entry[key] for key in REVISE_TEXTS if entry.get(key) is not None}
    for key, value in texts.items():
        if not isinstance(value, str) or not value or not value.isprintable():
            faults.add(name, key, f"is {value!r}, not a name or path. Put it in quotes.")
    for key in ("prompts", "constitution"):
        if key not in texts:
            faults.add(name, key, "is missing. Name a set, a name or a file.")
    where = _read_where(name, entry.get("where"), faults)
    chain = ChainRecipe()
    with faults.catch(name, "chain"):
        chain = _parse_chain(entry.get("chain") or {})
    if len(faults) > before:
        return None
    return RevisePlan(name=name, where=where, chain=chain, **texts)


def _parse_chain(document: object) -> ChainRecipe:
    if not isinstance(document, dict):
        raise RecipeError(f"is {document!r}, not a mapping. Write its keys under it.")
    for key in ("policy_sampling", "critic_sampling"):
        if not isinstance(document.get(key, {}), dict):
            raise RecipeError(f"{key} is {document[key]!r}. Write temperature, top_p, max_tokens.")
    try:
        return parse_chain_recipe(document)
    except TypeError as error:
        raise RecipeError(f"holds a value of another kind: {error}. Correct it.") from error


def _read_where(name: str, document: object, faults: Faults) -> Where:
    if document is None:
        return Where()
    if not isinstance(document, dict):
        faults.add(name, "where", f"is {document!r}. Write {{tags: […], kinds: […], limit: N}}.")
        return Where()
    before = len(faults)
    _check_keys(document, WHERE_KEYS, name, "where", faults)
    lists = {key: document.get(key) or [] for key in ("tags", "kinds")}
    for key, values in lists.items():
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            faults.add(name, f"where: {key}", f"is {values!r}. Give a list of texts: [a, b].")
        elif key == "kinds" and (unknown := [v for v in values if v not in set(PromptKind)]):
            known = ", ".join(PromptKind)
            faults.add(name, "where: kinds", f"names {', '.join(unknown)}. Known are {known}.")
    limit = document.get("limit")
    if limit is not None and (type(limit) is not int or limit < 1):
        faults.add(name, "where: limit", f"is {limit!r}. Give a whole number from 1.")
    if len(faults) > before:
        return Where()
    return Where(tags=tuple(lists["tags"]), kinds=tuple(lists["kinds"]), limit=limit)


def _read_sft(name: str, entry: Mapping[str, Any], faults: Faults) -> SftPlan | None:
    before = len(faults)
    _check_keys(entry, SFT_KEYS, name, "", faults)
    for item in fields(SftRecipe):
        if item.name in entry:
            _check_type(name, item.name, entry[item.name], item.default, faults)
        elif item.default is MISSING:
            faults.add(name, item.name, "is missing. Add it.")
    if len(faults) > before:
        return None
    values = {key: value for key, value in entry.items() if key not in ("name", "kind")}
    try:
        return SftPlan(name=name, recipe=parse_sft_recipe(values))
    except RecipeError as error:
        faults.add(name, "", str(error))
        return None


def _read_rlaif(
    name: str, kind: RlaifKind, entry: Mapping[str, Any], faults: Faults
) -> RlaifPlan | None:
    before = len(faults)
    _check_keys(entry, list_keys(kind), name, "", faults)
    where = _read_where(name, entry.get("where"), faults)
    if len(faults) > before:
        return None
    values = dict(entry)
    if "where" in values:
        values["where"] = where
    try:
        return parse_rlaif(name, kind, values)
    except RecipeError as error:
        faults.add(name, "", str(error))
        return None


def _read_evaluate(name: str, entry: Mapping[str, Any], faults: Faults) -> EvaluatePlan | None:
    before = len(faults)
    _check_keys(entry, EVALUATE_KEYS, name, "", faults)
    if len(faults) > before:
        return None
    try:
        return parse_evaluate(name, entry)
    except RecipeError as error:
        faults.add(name, "", str(error))
        return None


def _check_type(name: str, key: str, value: object, default: object, faults: Faults) -> None:
    """Told by its default; the recipe itself checks the range."""
    match default:
        case bool():
            right, wanted = isinstance(value, bool), "true or false"
        case int():
            right, wanted = type(value) is int, "a whole number"
        case float():
            right, wanted = type(value) in (int, float), "a number"
        case _ if key == "sources":
            right = isinstance(value, list) and all(isinstance(one, dict) for one in value)
            wanted = "a list of sources: [{run: …, use: …}]"
        case _:
            right, wanted = isinstance(value, str), "a text"
    if not right and not (value is None and default is None):
        faults.add(name, key, f"is {value!r}. Give {wanted}.")


def _read_name(value: object, run: str, faults: Faults) -> str:
    if isinstance(value, str) and NAME_PATTERN.fullmatch(value):
        return value
    faults.add(run, "name", f"is {value!r}. It must be a text that does {NAME_RULE}.")
    return ""


def _check_keys(
    document: Mapping[str, Any], known: Sequence[str], run: str, key: str, faults: Faults
) -> None:
    if unknown := sorted(str(name) for name in document if name not in known):
        told = f"unknown keys {', '.join(unknown)}. Known are: {', '.join(known)}."
        faults.add(run, key, told)
