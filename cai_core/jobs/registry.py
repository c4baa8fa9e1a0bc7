"""The models that runs of a workspace made: from what, how, how well. Reads files alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError, WorkspaceError
from cai_core.inference.model_folder import DEMO, DEMO_FOLDER
from cai_core.jobs.looking import compare_recipes
from cai_core.jobs.made_files import (
    MODEL,
    combine_digests,
    count_examples,
    find_adapter,
    find_problem,
    read_card,
    read_created,
    read_deleted_files,
    read_last_metrics,
    read_weights_hash,
)
from cai_core.jobs.schedule import TRAINING_KINDS
from cai_core.pipeline.frozen_prompts import load_frozen_prompts
from cai_core.pipeline.inputs import FOLDER as INPUTS
from cai_core.pipeline.inputs import PROMPTS
from cai_core.workspace.runs import Run, open_run, read_status
from cai_core.workspace.status import RunState, RunStatus

# A page's chain is a run of its own; there may be thousands, and none makes a model.
_OF_PAGES = "interactive-"
# As `training.model_card` writes it; the only place that names a hub model's weights.
_BASE_IN_CARD = re.compile(r"^\| base model \| .*, weights `([0-9a-f]{64})` \|$", re.MULTILINE)
_MOST_ANCESTORS = 200
_REWARD = "reward"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeModel:
    """A model that a run made, whether its files are still here or not.

    Attributes:
        run: the id of the run, by which the model is named.
        kind: of the run; empty where its recipe cannot be read.
        state: of the run; None where that cannot be read.
        created: when its folder was sealed (UTC, ISO 8601); the status' time where it is gone.
        method: `full`, `lora`, or empty.
        base: as the recipe names it; a run's id where that run made it.
        base_place: the base's folder, or its hub id: what a server is given.
        base_hash, weights_hash: SHA-256 (hex) of the weights; None where nothing tells it.
        constitutions: `name@hash` of those that its training texts were revised under.
        parents, children: runs it was made from, and runs that use it.
        examples: conversations that it was trained on.
        metrics: of the last log line; loss in nats a token. `loss_first` is the first line's.
        card: Markdown; empty where there is none.
        folder, adapter: absolute; None where there is none.
        problem: what is wrong with its files, in a sentence; empty where nothing is.
    """

    run: str
    kind: str
    state: RunState | None
    created: str
    method: str = ""
    base: str = ""
    base_place: str = ""
    base_hash: str | None = None
    weights_hash: str | None = None
    constitutions: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    examples: int | None = None
    steps: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    card: str = ""
    folder: Path | None = None
    adapter: Path | None = None
    problem: str = ""

    @property
    def usable(self) -> bool:
        """Whether its files are here and whole, as far as their names tell."""
        return self.folder is not None and not self.problem

    @property
    def answers(self) -> bool:
        """Whether it writes text; a reward model gives a number."""
        return self.kind != _REWARD

    def as_dict(self) -> dict[str, Any]:
        """Plain form, for JSON."""
        paths = {name: getattr(self, name) for name in ("folder", "adapter")}
        return {**asdict(self), **{name: p and str(p) for name, p in paths.items()}}


def list_models(workspace: Path) -> list[MadeModel]:
    """Every model that a run made, the newest first; also those that are deleted or damaged."""
    runs, damaged = _read_runs(workspace)
    children: dict[str, list[str]] = {}
    for run in runs.values():
        if _read_state(run.path) is not RunState.DELETED:
            for parent in run.parents:
                children.setdefault(parent, []).append(run.run_id)
    models = [
        _build_model(workspace, run, runs, children.get(name, []))
        for name, run in runs.items()
        if _made_model(run)
    ]
    models += [
        _build_damaged(folder, error, children.get(folder.name, []))
        for folder, error in damaged
        if (folder / MODEL).is_dir()
    ]
    return sorted(models, key=lambda model: model.created, reverse=True)


def find_model(workspace: Path, run: str) -> MadeModel | None:
    """The model that the run of that id made; None where it made none."""
    return next((model for model in list_models(workspace) if model.run == run), None)


def compare_models(workspace: Path, first: str, second: str) -> list[tuple[str, str]]:
    """Each key in which the two runs' recipes differ, and `this → that`.

    Raises:
        WorkspaceError: a recipe cannot be read.
    """
    one, other = (open_run(workspace / "runs" / name) for name in (first, second))
    return compare_recipes(one.recipe, other.recipe)


def read_prompt_kinds(workspace: Path, model: MadeModel) -> dict[str, str]:
    """Prompt id → its kind, for the prompts of the chains that the model was trained on."""
    kinds: dict[str, str] = {}
    for parent in model.parents:
        path = workspace / "runs" / parent / INPUTS / PROMPTS
        try:
            if path.is_file():
                kinds |= {one.prompt_id: one.kind.value for one in load_frozen_prompts(path)}
        except CaiError:
            continue  # its own page says that it is damaged
    return kinds


def list_set_uses(workspace: Path) -> dict[str, list[str]]:
    """What runs name as their prompts, a label or the hash of the prompts → the runs' ids."""
    uses: dict[str, list[str]] = {}
    for run in _read_runs(workspace)[0].values():
        label, prompts_hash = run.recipe.get("prompts"), run.recipe.get("prompts_hash")
        for name in (label, prompts_hash):
            # A label may go on with what was chosen: `name@hash (tags …)`.
            if isinstance(name, str) and name:
                uses.setdefault(name.split()[0], []).append(run.run_id)
    return uses


def _read_runs(workspace: Path) -> tuple[dict[str, Run], list[tuple[Path, str]]]:
    """Runs by id, those of pages left out; and the folders that cannot be read, with the reason."""
    runs, damaged = dict[str, Run](), []
    for path in sorted((workspace / "runs").glob("*/recipe.yaml")):
        if not path.parent.name.startswith(_OF_PAGES):
            try:
                stat = path.stat()
                runs[path.parent.name] = _open(path.parent, stat.st_mtime_ns, stat.st_size)
            except (CaiError, OSError) as error:
                damaged.append((path.parent, str(error)))
    folders = (path.parents[1] for path in (workspace / "runs").glob("*/outputs/model"))
    lost = "its recipe.yaml is gone; bring it back from a backup"
    damaged += [(folder, lost) for folder in folders if not (folder / "recipe.yaml").exists()]
    return runs, damaged


@lru_cache(maxsize=2048)
def _open(folder: Path, modified: int, size: int) -> Run:
    """A recipe is frozen and takes milliseconds to read: once for each state of its file."""
    run = open_run(folder)
    if not isinstance(run.recipe, dict):
        raise WorkspaceError(f"{folder}: its recipe is no mapping.")
    return run


def _made_model(run: Run) -> bool:
    if (run.path / MODEL).is_dir():
        return True
    state = _read_state(run.path)
    if state is RunState.DELETED:
        return bool(read_deleted_files(run.path))
    return run.kind in TRAINING_KINDS and state is RunState.SUCCEEDED


def _build_model(
    workspace: Path, run: Run, runs: Mapping[str, Run], children: list[str]
) -> MadeModel:
    status, folder = _read_status(run.path), (run.path / MODEL).absolute()
    here = folder.is_dir()
    deleted = read_deleted_files(run.path)
    card = read_card(folder)
    base, told = str(run.recipe.get("base") or ""), _BASE_IN_CARD.search(card)
    base_hash = run.recipe.get("base_hash") or (told[1] if told else None)
    counts = status.counts if status else {}
    return MadeModel(
        run=run.path.name,
        kind=run.kind,
        state=_read_state(run.path),
        created=read_created(folder) or (status.updated_at if status else ""),
        method=str(run.recipe.get("method") or ""),
        base=_name_base(workspace, base),
        base_place=str(DEMO_FOLDER) if base == DEMO else base,
        base_hash=base_hash if isinstance(base_hash, str) else None,
        weights_hash=read_weights_hash(folder) if here else combine_digests(deleted),
        constitutions=tuple(_find_constitutions(run, runs)),
        parents=run.parents,
        children=tuple(children),
        examples=count_examples(run.path),
        steps=counts.get("steps_done"),
        metrics=read_last_metrics(run.path),
        card=card,
        folder=folder if here else None,
        adapter=find_adapter(run.path),
        problem=find_problem(run.path, deleted=bool(deleted)),
    )


def _build_damaged(folder: Path, error: str, children: list[str]) -> MadeModel:
    model = (folder / MODEL).absolute()
    return MadeModel(
        run=folder.name,
        kind="",
        state=_read_state(folder),
        created=read_created(model),
        weights_hash=read_weights_hash(model),
        children=tuple(children),
        card=read_card(model),
        folder=model,
        adapter=find_adapter(folder),
        problem=f"What it was made from cannot be read: {error}",
    )


def _find_constitutions(run: Run, runs: Mapping[str, Run]) -> Iterator[str]:
    """What its judge held texts against, and that of the chains it was trained on, each once."""
    uses: dict[object, set[object]] = {}
    for source in _as_dicts(run.recipe.get("sources")):
        uses.setdefault(source.get("run"), set()).add(source.get("use"))
    # The initial responses of a source were written under no constitution.
    waiting = [name for name in run.parents if uses.get(name) != {"initial"}]
    seen, told = set[str](), dict.fromkeys(_name_constitution(run))
    while waiting and len(seen) < _MOST_ANCESTORS:
        name = waiting.pop(0)
        parent = runs.get(name)
        if parent is None or name in seen:
            continue
        seen.add(name)
        named = _name_constitution(parent)
        told |= dict.fromkeys(named)
        # A policy that was trained before is a base, whose card tells of its own; what a reward
        # model learned is what this one learns.
        if not named and (parent.kind not in TRAINING_KINDS or parent.kind == _REWARD):
            waiting += parent.parents
    return iter(told)


def _name_constitution(run: Run) -> list[str]:
    held = (run.recipe.get("constitution"), run.recipe.get("constitution_hash"))
    named = all(isinstance(word, str) and word for word in held)
    return [f"{held[0]}@{str(held[1])[:12]}"] if named else []


def _name_base(workspace: Path, base: str) -> str:
    """A run's id where that run made it, else as it was named."""
    runs = (workspace / "runs").absolute()
    path = Path(base)
    if path.is_relative_to(runs) and path != runs:
        return path.relative_to(runs).parts[0]
    return base


def _read_status(run_folder: Path) -> RunStatus | None:
    try:
        return read_status(run_folder)
    except CaiError:
        return None


def _read_state(run_folder: Path) -> RunState | None:
    status = _read_status(run_folder)
    return status.state if status is not None else None


def _as_dicts(value: object) -> list[Mapping[str, Any]]:
    found = value if isinstance(value, list) else []
    return [one for one in found if isinstance(one, dict)]
