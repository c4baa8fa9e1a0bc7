"""What runs will be made from, counted before they run: prompts, chains, examples, models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.inference.model_folder import resolve_model
from cai_core.inference.model_url import is_url
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.inputs import FOLDER as INPUTS
from cai_core.pipeline.inputs import PROMPTS
from cai_core.pipeline.recipe import ChainRecipe, parse_revise_recipe
from cai_core.training.datasets import HELD_OUT
from cai_core.training.memory import ModelShape, read_shape
from cai_core.training.recipe import SftRecipe
from cai_core.workspace.runs import open_run

_REMEMBERED = 256
_counted: dict[str, PromptCount] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCount:
    """Prompts of a run.

    Attributes:
        held_out: of them, never trained on.
        characters: of all conversations; `longest` of one.
    """

    prompts: int
    held_out: int
    characters: int
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleCount:
    """Examples of a fine-tuning run, and how they add up in words."""

    examples: int
    formula: str


class Plans:
    """Runs that are planned together, and those that the workspace has."""

    def __init__(self, workspace: Path, specs: Sequence[RunSpec]) -> None:
        self.workspace = workspace
        self._specs = {spec.run_id: spec for spec in specs}

    def find(self, run_id: str) -> RunSpec | None:
        """The planned run of that id, or the one that is there; None where neither is."""
        if run_id in self._specs:
            return self._specs[run_id]
        try:
            run = open_run(self.workspace / "runs" / run_id)
        except CaiError:
            return None
        path = run.path / INPUTS / PROMPTS
        inputs = {PROMPTS: lambda: _read(path)} if path.is_file() else {}
        return RunSpec(run_id=run.run_id, kind=run.kind, recipe=run.recipe, inputs=inputs)

    def find_shape(self, model: str) -> ModelShape | None:
        """Of a model folder that is here, or that a planned run will make from one; else None."""
        for _ in range(16):  # a base made from a base made from …
            maker = self._find_maker(model)
            if maker is None or (Path(model) / "config.json").is_file():
                break
            model = str(maker.recipe.get("base") or "")
        try:
            folder = None if not model or is_url(model) else resolve_model(model)
            return None if folder is None else _read_shape(folder, _stamp(folder))
        except (CaiError, OSError):
            return None

    def _find_maker(self, model: str) -> RunSpec | None:
        runs = (self.workspace / "runs").absolute()
        path = Path(model)
        if not path.is_relative_to(runs) or path == runs:
            return None
        return self.find(path.relative_to(runs).parts[0])


def count_prompts(spec: RunSpec) -> PromptCount | None:
    """The prompts in a run's inputs; None where it carries none."""
    if PROMPTS not in spec.inputs:
        return None
    key = str(spec.recipe.get("prompts_hash") or "")
    if key not in _counted:
        if len(_counted) >= _REMEMBERED:
            _counted.clear()
        counted = _count(_split_lines(spec.inputs[PROMPTS]()))
        if not key:
            return counted
        _counted[key] = counted
    return _counted[key]


def count_examples(recipe: SftRecipe, plans: Plans) -> ExampleCount | None:
    """What `build_sft_dataset` will give at most: texts with errors, or cut, are left out there.

    Returns:
        None where a source's prompts cannot be counted.
    """
    found: list[int] = []
    for source in recipe.sources:
        spec = plans.find(source.run)
        prompts = None if spec is None else count_prompts(spec)
        if spec is None or prompts is None:
            return None
        chain = parse_revise_recipe(spec.recipe).chain
        taught = prompts.prompts - prompts.held_out
        found.append(taught * chain.samples * _texts(chain, source.use))
    shares = sum(source.share or 0.0 for source in recipe.sources)
    pairs = list(zip(recipe.sources, found, strict=True))
    whole = sum(count for source, count in pairs if source.share is None)
    total, words = 0, []
    for source, count in pairs:
        taken = count
        if source.share is not None:
            taken = min(count, round(source.share / (1 - shares) * whole))
        total += taken
        words.append(f"{taken:,} {source.use} of {source.run}")
    return ExampleCount(examples=total, formula=" + ".join(words))


def _texts(chain: ChainRecipe, use: str) -> int:
    return chain.revisions if use == "all" else 1


def _count(lines: Iterable[bytes]) -> PromptCount:
    prompts = held_out = characters = longest = 0
    for line in lines:
        record = json.loads(line)
        if "conversation" not in record:
            continue
        length = sum(len(turn["content"]) for turn in record["conversation"])
        prompts += 1
        held_out += HELD_OUT in record["tags"]
        characters += length
        longest = max(longest, length)
    return PromptCount(prompts=prompts, held_out=held_out, characters=characters, longest=longest)


def _split_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line)
    if rest:
        yield rest


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _stamp(folder: Path) -> tuple[int, ...]:
    paths: Mapping[str, Path] = {path.name: path for path in folder.glob("*.safetensors")}
    return tuple(paths[name].stat().st_mtime_ns for name in sorted(paths))


@lru_cache(maxsize=256)
def _read_shape(folder: Path, stamp: tuple[int, ...]) -> ModelShape:
    del stamp  # the key of what is remembered
    return read_shape(folder)
