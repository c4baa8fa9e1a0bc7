"""From a plan file to runs that can be handed in: names looked up, hashes filled in.

A run's id ends in a hash of its recipe and parents, so the same plan gives the same runs, and
handing it in again goes on with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cai_core.constitution.importers import load_official_constitution
from cai_core.errors import CaiError, PromptFileError, RecipeError, RunMismatchError
from cai_core.inference.endpoints import EndpointBook
from cai_core.inference.model_folder import DEMO, compute_weights_hash, resolve_model
from cai_core.inference.model_url import is_url
from cai_core.jobs.plan import MAX_BYTES, Faults, Plan, RevisePlan, SftPlan, parse_plan
from cai_core.jobs.spec import RunSpec, check_model_url
from cai_core.pipeline.few_shot import few_shot_hash, load_chat_few_shot, load_paper_few_shot
from cai_core.pipeline.inputs import build_inputs
from cai_core.pipeline.prompt_file import prompts_hash
from cai_core.pipeline.prompt_sets import FoundPrompts, resolve_prompts, select_prompts
from cai_core.pipeline.recipe import ReviseRecipe, resolve_principles
from cai_core.pipeline.steps import FewShot
from cai_core.records import Constitution, content_hash
from cai_core.training.recipe import ChainSource
from cai_core.workspace.endpoints import load_book
from cai_core.workspace.runs import open_run
from cai_core.workspace.versions import resolve_constitution

# Before a run's name, in the place of a model.
RUN = "run:"
# Below a run's folder: the model that an `sft` run makes.
MODEL = Path("outputs") / "model"
_ID_DIGITS = 8


def load_plan(path: Path, workspace: Path) -> list[RunSpec]:
    """Read a plan file and look up all that it names. Nothing is written.

    Raises:
        RecipeError: every fault that was found, one a line: file, run, key, and the fix.
    """
    return build_plan(_read_text(path), str(path), path.parent, workspace)


def build_plan(text: str, source: str, folder: Path, workspace: Path) -> list[RunSpec]:
    """`load_plan` of a text.

    Args:
        source: what faults call it.
        folder: where relative paths begin.

    Raises:
        RecipeError: as `load_plan`.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise RecipeError(f"{source}: more than {MAX_BYTES} bytes. Split it.")
    faults = Faults(source)
    plan = parse_plan(text, source, faults)
    specs = _Builder(plan, folder, workspace, faults).build()
    faults.raise_any()
    return specs


def build_run_id(
    plan: str, run: str, kind: str, recipe: Mapping[str, Any], parents: tuple[str, ...]
) -> str:
    """`<plan>-<run>-<8 hex digits of what the run is>`."""
    what = {"kind": kind, "recipe": dict(recipe), "parents": list(parents)}
    return f"{plan}-{run}-{content_hash(what)[:_ID_DIGITS]}"


class _Builder:
    def __init__(self, plan: Plan, folder: Path, workspace: Path, faults: Faults) -> None:
        self._plan, self._folder = plan, folder
        self._workspace, self._faults = workspace, faults
        self._built: dict[str, RunSpec] = {}
        self._book: EndpointBook | None = None

    def build(self) -> list[RunSpec]:
        for run in self._plan.runs:
            before = len(self._faults)
            spec = self._build_revise(run) if run.kind == "revise" else self._build_sft(run)
            if spec is not None and len(self._faults) == before:
                self._built[run.name] = spec
        return list(self._built.values())

    def _build_revise(self, run: RevisePlan) -> RunSpec | None:
        found = constitution = None
        few_shot: FewShot = ()
        with self._faults.catch(run.name, "prompts"):
            found = self._find_prompts(run)
        with self._faults.catch(run.name, "constitution"):
            constitution = self._find_constitution(run.constitution)
        with self._faults.catch(run.name, "chain"):
            if constitution is not None:
                resolve_principles(run.chain, constitution)
        with self._faults.catch(run.name, "few_shot"):
            few_shot = self._load_few_shot(run)
        parents: list[str] = []
        model, critic = self._find_models(run, parents)
        if found is None or constitution is None or model is None:
            return None
        recipe = ReviseRecipe(
            model=model,
            critic_model=critic,
            constitution=constitution.name,
            constitution_hash=constitution.hash,
            prompts=found.label,
            prompts_hash=prompts_hash(found.prompts),
            few_shot_hash=few_shot_hash(few_shot),
            limit=run.where.limit,
            chain=run.chain,
        )
        inputs = build_inputs(found.prompts, constitution, few_shot)
        return self._make_spec(run, recipe.as_dict(), tuple(dict.fromkeys(parents)), inputs)

    def _build_sft(self, run: SftPlan) -> RunSpec | None:
        recipe, base = run.recipe, None
        parents: list[str] = []
        sources = [self._find_source(run.name, source) for source in recipe.sources]
        with self._faults.catch(run.name, "base"):
            base = self._find_base(run, parents)
        whole = tuple(source for source in sources if source is not None)
        if base is None or len(whole) < len(sources):
            return None
        with self._faults.catch(run.name, ""):
            recipe = replace(recipe, base=base[0], base_hash=base[1], sources=whole)
        parents = list(dict.fromkeys([*recipe.parents, *parents]))
        return self._make_spec(run, recipe.as_dict(), tuple(parents), {})

    def _make_spec(
        self,
        run: RevisePlan | SftPlan,
        recipe: dict[str, Any],
        parents: tuple[str, ...],
        inputs: Any,
    ) -> RunSpec:
        run_id = build_run_id(self._plan.name, run.name, run.kind, recipe, parents)
        return RunSpec(run_id=run_id, kind=run.kind, recipe=recipe, parents=parents, inputs=inputs)

    def _find_prompts(self, run: RevisePlan) -> FoundPrompts:
        found = resolve_prompts(self._workspace, run.prompts, folder=self._folder)
        where = run.where
        chosen = select_prompts(
            found.prompts, tags=where.tags, kinds=where.kinds, limit=where.limit
        )
        if not chosen:
            raise PromptFileError(
                f"{found.label} has {len(found.prompts)} prompts, and none{where or ''} is left. "
                "Change the selection, or name another set."
            )
        return FoundPrompts(label=f"{found.label}{where}", prompts=chosen)

    def _find_constitution(self, name: str) -> Constitution:
        beside = self._look_beside(name)
        ref = str(beside) if beside is not None and beside.is_file() else name
        if ref.lower().endswith(".json"):
            return load_official_constitution(Path(ref))
        return resolve_constitution(self._workspace, ref)

    def _load_few_shot(self, run: RevisePlan) -> FewShot:
        if run.few_shot is None:
            return ()
        path = self._look_beside(run.few_shot) or Path(run.few_shot)
        paper = run.chain.template == "paper"
        return load_paper_few_shot(path) if paper else load_chat_few_shot(path)

    def _find_models(self, run: RevisePlan, parents: list[str]) -> tuple[str | None, str | None]:
        """Policy and critic; the latter None where the policy criticises itself."""
        model, critic = run.model, run.critic_model
        if model is None:
            with self._faults.catch(run.name, "model"):
                roles = self._load_book().roles
                model = roles["policy"]
                if critic is None and roles["critic"] != model:
                    critic = roles["critic"]
        found: dict[str, str] = {}
        for key, name in (("model", model), ("critic_model", critic)):
            if name is not None:
                with self._faults.catch(run.name, key):
                    found[key] = self._find_model(run.name, name, parents)
        return found.get("model"), found.get("critic_model")

    def _find_model(self, run: str, name: str, parents: list[str]) -> str:
        """An endpoint, `demo`, a URL, a folder or a hub id; a folder as an absolute path."""
        if name.startswith(RUN):
            parents.append(self._find_run(run, name.removeprefix(RUN), "sft"))
            return str(self._get_model_folder(parents[-1]))
        if is_url(name):
            check_model_url(name)
            return name
        if name in self._load_book().endpoints:
            return name
        return self._find_folder(name)

    def _find_base(self, run: SftPlan, parents: list[str]) -> tuple[str, str | None]:
        """The model to train, and the hash of its weights where they are here."""
        name, wanted = run.recipe.base, run.recipe.base_hash
        if name.startswith(RUN):
            parents.append(self._find_run(run.name, name.removeprefix(RUN), "sft"))
            return str(self._get_model_folder(parents[-1])), wanted
        base = self._find_folder(name)
        folder = resolve_model(base)
        if folder is None:
            return base, wanted
        found = compute_weights_hash(folder)
        if wanted not in (None, found):
            raise RunMismatchError(
                f"{folder}: its weights are {found[:12]}, base_hash says {wanted!s:.12}. Name the "
                "right folder, or leave base_hash out."
            )
        return base, found

    def _find_folder(self, name: str) -> str:
        """The model's name, a folder as an absolute path.

        Raises:
            UnknownModelError: it is no model.
        """
        beside = None if name == DEMO else self._look_beside(name)
        folder = resolve_model(str(beside or name))
        return name if folder is None or name == DEMO else str(folder)

    def _find_source(self, run: str, source: ChainSource) -> ChainSource | None:
        try:
            return replace(source, run=self._find_run(run, source.run, "revise"))
        except CaiError as error:
            self._faults.add(run, "sources", str(error))
            return None

    def _find_run(self, run: str, name: str, kind: str) -> str:
        """The id of a run that `run` names: one of this file, or one that exists."""
        if name in self._built:
            self._check_kind(name, self._built[name].kind, kind)
            return self._built[name].run_id
        names = self._plan.names
        if name in names:
            below = names.index(name) >= names.index(run)
            fix = "stands further down. Move it up" if below else "has a fault. Correct that one"
            raise RecipeError(f"run {name!r} {fix}.")
        if name != Path(name).name or not (self._workspace / "runs" / name).is_dir():
            raise RecipeError(
                f"there is no run {name!r}. Name one that stands further up in this file "
                f"({', '.join(self._built) or 'there is none'}), or the id of a run that exists."
            )
        self._check_kind(name, open_run(self._workspace / "runs" / name).kind, kind)
        return name

    def _check_kind(self, name: str, found: str, wanted: str) -> None:
        if found != wanted:
            raise RecipeError(f"run {name!r} is of kind {found}. Name one of kind {wanted}.")

    def _look_beside(self, name: str) -> Path | None:
        """The path that a name means to a plan file in its folder; None where nothing is there."""
        try:
            path = self._folder / Path(name).expanduser()
            return path.absolute() if path.exists() else None
        except (OSError, RuntimeError, ValueError):  # too long, ~ of nobody, a NUL
            return None

    def _get_model_folder(self, run_id: str) -> Path:
        return (self._workspace / "runs" / run_id / MODEL).absolute()

    def _load_book(self) -> EndpointBook:
        if self._book is None:
            self._book = load_book(self._workspace)
        return self._book


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise RecipeError(f"{path}: more than {MAX_BYTES} bytes. Split it.")
        return raw.decode("utf-8")
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}. Check the path.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8. Save the file as UTF-8.") from error
