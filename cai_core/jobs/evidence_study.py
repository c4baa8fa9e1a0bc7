"""Which models a workspace has by which method, and which evaluation tells of each. Reads files.

What RLAIF is held against is the model before it, the same model under the constitution as a
system prompt, and the stages on the way: fine-tuned, preference-optimised, reinforced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.inference.model_folder import DEMO
from cai_core.jobs.drift_study import list_evaluations
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.registry import MadeModel, list_models
from cai_core.pipeline.evaluate import METRICS, read_metrics, shorten_model
from cai_core.pipeline.ways_recipe import N
from cai_core.workspace.runs import open_run, read_status
from cai_core.workspace.status import RunState

BASE, SYSTEM, BEST, SL, DPO, RL = (
    "Base",
    "System prompt only",
    "Best of n",
    "SL-CAI",
    "DPO",
    "RL-CAI",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to a harmless model.

    Attributes:
        label: for people. model: as a plan names it: `demo`, `run:ID`.
        system: `NAME@HASH` of the constitution that stands before it; None without.
        best_of: so many answers are drawn, of which the model itself chooses one by `rules`,
            `NAME@HASH` of a constitution.
    """

    label: str
    model: str
    system: str | None = None
    best_of: int = 1
    rules: str | None = None

    @property
    def name(self) -> str:
        """The model's own name: of a made one its run."""
        return self.model.removeprefix(RUN)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedModel:
    """One evaluation that has succeeded.

    Attributes:
        model: its name, of a made one its run. system: as `Method.system`.
        suite, suite_hash: what was asked. judge: the judge's name; None without.
        at: when it ended (UTC, ISO 8601).
    """

    run: str
    model: str
    system: str | None
    best_of: int
    suite: str
    suite_hash: str
    judge: str | None
    at: str
    recipe: Mapping[str, Any]

    @property
    def rules(self) -> str | None:
        """As `Method.rules`, of an evaluation by the best of several answers."""
        name, hash_ = (self.recipe.get(f"feedback_constitution{end}") for end in ("", "_hash"))
        return f"{name}@{hash_}" if name and hash_ else None

    @property
    def name(self) -> str:
        """For people, without its method."""
        told = self.model
        if self.system is not None:
            told += f" under {self.system.partition('@')[0]} as system prompt"
        return f"{told}, best of {self.best_of}" if self.best_of > 1 else told


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteOfEvidence:
    """The evaluations of one suite.

    Attributes:
        found: method's label → its newest evaluation, in the order of the methods.
        others: evaluations that are none of these, the newest first.
        missing: methods that were not evaluated by this suite.
    """

    name: str
    hash: str
    found: Mapping[str, EvaluatedModel]
    others: tuple[EvaluatedModel, ...]
    missing: tuple[Method, ...]


def find_methods(workspace: Path) -> tuple[Method, ...]:
    """The newest model of each kind, and what it was made from; empty where nothing was trained.

    SL-CAI is what RL or DPO began with, else the newest fine-tuned model; the base is what SL-CAI
    began with; the constitution that its texts were revised under is the system prompt, and what
    the best of several answers of the base is chosen by.
    """
    models = [
        one for one in list_models(workspace) if one.usable and one.state is RunState.SUCCEEDED
    ]
    by_run = {one.run: one for one in models}
    rl, dpo = (next((one for one in models if one.kind == kind), None) for kind in ("rl", "dpo"))
    # A workspace that was moved has other paths than its recipes: the run's name is what stays.
    began = [by_run.get(shorten_model(one.base)) for one in (rl, dpo) if one is not None]
    sl = next((one for one in began if one is not None and one.kind == "sft"), None)
    if sl is None:
        sl = next((one for one in models if one.kind == "sft"), None)
    first = sl or dpo or rl
    if first is None:
        return ()
    base = _name_base(first, by_run)
    found = [Method(label=BASE, model=base)]
    if first.constitutions:
        rules = first.constitutions[0]
        found.append(Method(label=SYSTEM, model=base, system=rules))
        found.append(Method(label=BEST, model=base, best_of=N, rules=rules))
    for label, one in ((SL, sl), (DPO, dpo), (RL, rl)):
        if one is not None:
            found.append(Method(label=label, model=f"{RUN}{one.run}"))
    return tuple(found)


def list_evaluated_models(workspace: Path) -> list[EvaluatedModel]:
    """Every evaluation that has succeeded and can be read, the newest first."""
    found = []
    for run in list_evaluations(workspace):
        folder = workspace / "runs" / run
        try:
            status = read_status(folder)
            stat = (folder / "outputs" / METRICS).stat()
            if status.state is RunState.SUCCEEDED:
                told = _read_evaluated(folder, stat.st_mtime_ns, stat.st_size)
                found.append(EvaluatedModel(run=run, at=status.updated_at, **told))
        except (CaiError, OSError, KeyError, TypeError, AttributeError):
            continue  # `verify` tells
    return sorted(found, key=lambda one: (one.at, one.run), reverse=True)


def group_evidence(
    methods: Sequence[Method], evaluations: Iterable[EvaluatedModel]
) -> tuple[SuiteOfEvidence, ...]:
    """The evaluations suite by suite: those that tell of most methods first, then the newest.

    Args:
        evaluations: the newest first.
    """
    by_suite: dict[str, list[EvaluatedModel]] = {}
    for one in evaluations:
        by_suite.setdefault(one.suite_hash, []).append(one)
    groups = [_group(methods, some) for some in by_suite.values()]
    return tuple(sorted(groups, key=lambda group: -len(group.found)))


def find_evaluation_of(method: Method, evaluations: Iterable[EvaluatedModel]) -> str | None:
    """The run that tells of a method: the first of these; None where there is none."""
    return next((one.run for one in evaluations if _is_of(one, method)), None)


def _group(methods: Sequence[Method], some: Sequence[EvaluatedModel]) -> SuiteOfEvidence:
    found: dict[str, EvaluatedModel] = {}
    for method in methods:
        told = next((one for one in some if _is_of(one, method)), None)
        if told is not None:
            found[method.label] = told
    chosen = {one.run for one in found.values()}
    return SuiteOfEvidence(
        name=some[0].suite,
        hash=some[0].suite_hash,
        found=found,
        others=tuple(one for one in some if one.run not in chosen),
        missing=tuple(method for method in methods if method.label not in found),
    )


def _is_of(one: EvaluatedModel, method: Method) -> bool:
    if (one.model, one.best_of) != (method.name, method.best_of):
        return False
    return _is_version(one.system, method.system) and _is_version(one.rules, method.rules)


def _is_version(full: str | None, told: str | None) -> bool:
    """Whether it is the version that a model's card tells, which has the hash shortened."""
    return full == told or bool(full and told and full.startswith(told))


def _name_base(model: MadeModel, by_run: Mapping[str, MadeModel]) -> str:
    """What the first training began with, through everything that was made on the way."""
    seen = set[str]()
    while (name := shorten_model(model.base)) in by_run and name not in seen:
        seen.add(name)
        model = by_run[name]
    return model.base or DEMO


@lru_cache(maxsize=512)
def _read_evaluated(folder: Path, _changed: int, _size: int) -> dict[str, Any]:
    header = read_metrics(folder)
    system, judge = header.get("system_constitution"), header.get("judge")
    recipe = open_run(folder).recipe
    return {
        "model": shorten_model(str(header["model"]["name"])),
        "system": None if system is None else f"{system['name']}@{system['hash']}",
        "best_of": int(header.get("best_of") or 1),
        "suite": str(header["suite"]["name"]),
        "suite_hash": str(header["suite"]["hash"]),
        "judge": None if judge is None else shorten_model(str(judge["name"])),
        "recipe": recipe,
    }
