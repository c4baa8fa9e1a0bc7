"""What the names in a plan file mean: prompts, constitutions, models, other runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cai_core.constitution.importers import load_official_constitution
from cai_core.constitution.store import SHIPPED as CONSTITUTIONS
from cai_core.errors import PromptFileError, RecipeError, RunMismatchError
from cai_core.evaluation.suites import Suite
from cai_core.inference.endpoints import EndpointBook, ModelRole
from cai_core.inference.model_folder import DEMO, compute_weights_hash, resolve_model
from cai_core.inference.model_url import is_url
from cai_core.jobs.evaluate_suites import find_suite
from cai_core.jobs.plan import Faults, Plan, Where
from cai_core.jobs.plan_names import RUN, check_model, check_place, is_hub_id
from cai_core.jobs.spec import RunSpec, check_model_url
from cai_core.pipeline.connect import resolve_config
from cai_core.pipeline.judge_rubric import Rubric, find_rubric
from cai_core.pipeline.prompt_sets import FoundPrompts, resolve_prompts, select_prompts
from cai_core.records import Constitution
from cai_core.workspace.endpoints import load_book
from cai_core.workspace.review_queues import load_queue
from cai_core.workspace.review_votes import Vote, read_votes
from cai_core.workspace.runs import open_run
from cai_core.workspace.versions import resolve_constitution

# Below a run's folder: the model that a run of these kinds makes.
MODEL = Path("outputs") / "model"
MODEL_KINDS = ("sft", "rl", "dpo")


class Lookup:
    """Looks up names for the runs of one plan.

    Args:
        folder: where relative paths begin.
        names_only: for a text from a page: paths are refused, see `plan_names`.
        models_only: folders and URLs of models are refused as well.

    Attributes:
        built: the runs that stand further up and have no fault, by their name in the plan.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        workspace: Path,
        faults: Faults,
        *,
        names_only: bool = False,
        models_only: bool = False,
    ) -> None:
        self.faults, self.built = faults, dict[str, RunSpec]()
        self._plan, self._folder, self._workspace = plan, folder, workspace
        self._names_only, self._models_only = names_only, models_only
        self._book: EndpointBook | None = None

    def find_prompts(self, name: str, where: Where) -> FoundPrompts:
        """The prompts of a set or file that are used, at least one."""
        if self._names_only:
            check_place(name, self._folder)
        found = resolve_prompts(self._workspace, name, folder=self._folder)
        chosen = select_prompts(
            found.prompts, tags=where.tags, kinds=where.kinds, limit=where.limit
        )
        if not chosen:
            raise PromptFileError(
                f"{found.label} has {len(found.prompts)} prompts, and none{where or ''} is left. "
                "Change the selection, or name another set."
            )
        return FoundPrompts(label=f"{found.label}{where}", prompts=chosen)

    def find_suite(self, names: Sequence[str]) -> Suite:
        """The suites of these names as one."""
        for name in names:
            if self._names_only:
                check_place(name, self._folder)
        return find_suite(names, self._workspace, self._folder)

    def find_rubric(self, name: str) -> Rubric:
        """A shipped rubric, or a file."""
        return find_rubric(str(self.find_file(name)))

    def is_served_here(self, model: str | None) -> bool:
        """Whether the bundled server serves it, be it there yet or not."""
        if model is None:
            return False
        config = resolve_config(model, self._workspace)
        return config.kind == "bundled" and not is_hub_id(config.model)

    def find_constitution(self, name: str) -> Constitution:
        """A constitution by its name, NAME@HASH, or file."""
        if self._names_only:
            check_place(name, self._folder, CONSTITUTIONS)
        beside = self._look_beside(name)
        ref = str(beside) if beside is not None and beside.is_file() else name
        if ref.lower().endswith(".json"):
            return load_official_constitution(Path(ref))
        return resolve_constitution(self._workspace, ref)

    def find_file(self, name: str) -> Path:
        """A file beside the plan, or where its path says."""
        if self._names_only:
            check_place(name, self._folder)
        return self._look_beside(name) or Path(name)

    def find_votes(self, queue: str) -> tuple[Vote, ...]:
        """The votes of a review queue of this workspace, as they stand."""
        load_queue(self._workspace, queue)
        return read_votes(self._workspace, queue)

    def find_role(self, role: ModelRole) -> str:
        """The endpoint that plays a role in this workspace."""
        return self._load_book().roles[role]

    def find_model(self, run: str, name: str, parents: list[str]) -> str:
        """An endpoint, `demo`, a URL, a folder or a hub id; a folder as an absolute path."""
        if self._models_only:
            check_model(name, self._load_book().endpoints)
        if name.startswith(RUN):
            return str(self.find_made(run, name, parents, *MODEL_KINDS))
        if is_url(name):
            check_model_url(name)
            return name
        if name in self._load_book().endpoints:
            return name
        return self._find_folder(name)

    def find_base(
        self, run: str, name: str, wanted: str | None, parents: list[str]
    ) -> tuple[str, str | None]:
        """The model to train, and the hash of its weights where they are here."""
        if name.startswith(RUN):
            return str(self.find_made(run, name, parents, *MODEL_KINDS)), wanted
        if self._models_only:
            check_model(name, ())
        base = self._find_folder(name)
        folder = None if self._models_only and base != DEMO else resolve_model(base)
        if folder is None:
            return base, wanted
        found = compute_weights_hash(folder)
        if wanted not in (None, found):
            raise RunMismatchError(
                f"{folder}: its weights are {found[:12]}, base_hash says {wanted!s:.12}. Name the "
                "right folder, or leave base_hash out."
            )
        return base, found

    def find_made(self, run: str, name: str, parents: list[str], *kinds: str) -> Path:
        """The folder of the model that `run:NAME` makes; that run joins the parents."""
        parents.append(self.find_run(run, name.removeprefix(RUN), *kinds))
        return (self._workspace / "runs" / parents[-1] / MODEL).absolute()

    def find_run(self, run: str, name: str, *kinds: str) -> str:
        """The id of a run that `run` names: one of this file, or one that exists."""
        if name in self.built:
            _check_kind(name, self.built[name].kind, kinds)
            return self.built[name].run_id
        names = self._plan.names
        # Nothing is made from itself: an entry that bears a run's id means the run that is there.
        own = name == run and name == Path(name).name and (self._workspace / "runs" / name).is_dir()
        if name in names and not own:
            below = names.index(name) >= names.index(run)
            fix = "stands further down. Move it up" if below else "has a fault. Correct that one"
            raise RecipeError(f"run {name!r} {fix}.")
        if name != Path(name).name or not (self._workspace / "runs" / name).is_dir():
            raise RecipeError(
                f"there is no run {name!r}. Name one that stands further up in this file "
                f"({', '.join(self.built) or 'there is none'}), or the id of a run that exists."
            )
        _check_kind(name, open_run(self._workspace / "runs" / name).kind, kinds)
        return name

    def _find_folder(self, name: str) -> str:
        """The model's name, a folder as an absolute path.

        Raises:
            UnknownModelError: it is no model.
        """
        if self._models_only and is_hub_id(name):
            return name
        beside = None if name == DEMO else self._look_beside(name)
        folder = resolve_model(str(beside or name))
        return name if folder is None or name == DEMO else str(folder)

    def _look_beside(self, name: str) -> Path | None:
        """The path that a name means to a plan file in its folder; None where nothing is there."""
        try:
            path = self._folder / Path(name).expanduser()
            return path.absolute() if path.exists() else None
        except (OSError, RuntimeError, ValueError):  # too long, ~ of nobody, a NUL
            return None

    def _load_book(self) -> EndpointBook:
        if self._book is None:
            self._book = load_book(self._workspace)
        return self._book


def _check_kind(name: str, found: str, wanted: tuple[str, ...]) -> None:
    if found not in wanted:
        told = " or ".join(wanted)
        raise RecipeError(f"run {name!r} is of kind {found}. Name one of kind {told}.")
