"""What a `revise` run is made from, frozen in its folder: whoever goes on with the run needs
neither the command line nor the files that it named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cai_core.constitution import dump_constitution, load_constitution
from cai_core.errors import CaiError, RunMismatchError, WorkspaceError
from cai_core.pipeline.few_shot import few_shot_hash
from cai_core.pipeline.frozen_prompts import encode_prompts, load_frozen_prompts
from cai_core.pipeline.prompt_file import parse_conversation, prompts_hash
from cai_core.pipeline.recipe import parse_revise_recipe
from cai_core.pipeline.steps import FewShot
from cai_core.records import Constitution, Prompt
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import FORMAT, encode_record, is_header, parse_line
from cai_core.workspace.runs import Run

FOLDER = "inputs"
PROMPTS, CONSTITUTION, FEW_SHOT = "prompts.jsonl", "constitution.yaml", "few_shot.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the recipe of a `revise` run names by hashes.

    Attributes:
        prompts: in the run's order; places in a file rather than texts where there are many.
    """

    prompts: Sequence[Prompt]
    constitution: Constitution
    few_shot: FewShot = ()


def build_inputs(
    prompts: Sequence[Prompt], constitution: Constitution, few_shot: FewShot
) -> Mapping[str, Callable[[], Iterable[bytes]]]:
    """File name → what gives the file's content, in pieces."""
    examples: dict[str, object] = {"format": FORMAT}
    if isinstance(few_shot, str):
        examples["paper"] = few_shot
    else:
        examples["chat"] = [[turn.as_dict() for turn in example] for example in few_shot]
    return {
        PROMPTS: lambda: encode_prompts(prompts),
        CONSTITUTION: lambda: [dump_constitution(constitution).encode("utf-8")],
        FEW_SHOT: lambda: [encode_record(examples)],
    }


def save_inputs(run: Run, inputs: Inputs) -> None:
    """Write the files that the run's folder has not got yet.

    Raises:
        WorkspaceError: the disk is full or refuses.
    """
    folder = run.path / FOLDER
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{folder}: cannot be made: {error.strerror}.") from error
    files = build_inputs(inputs.prompts, inputs.constitution, inputs.few_shot)
    for name, build in files.items():
        # Each is written whole or not at all, and checked against the recipe when it is read.
        if not (folder / name).exists():
            replace_file(folder / name, build())


def load_inputs(run: Run) -> Inputs:
    """Read them back, checked against the hashes of the run's recipe.

    Raises:
        RunMismatchError: a file is missing, damaged, or not the one that the recipe names.
        RecipeError: the run's recipe is none of a `revise` run.
    """
    recipe = parse_revise_recipe(run.recipe)
    folder = run.path / FOLDER
    try:
        prompts = load_frozen_prompts(folder / PROMPTS)
        constitution = load_constitution(folder / CONSTITUTION)
        few_shot = _load_few_shot(folder / FEW_SHOT)
        found = {
            PROMPTS: (prompts_hash(prompts), recipe.prompts_hash),
            CONSTITUTION: (constitution.hash, recipe.constitution_hash),
            FEW_SHOT: (few_shot_hash(few_shot), recipe.few_shot_hash),
        }
    except CaiError as error:
        raise RunMismatchError(
            f"{folder}: what the run is made from cannot be read: {error} Or start a new run."
        ) from error
    changed = [
        f"{folder / name}: its hash is {held!s:.12}, the recipe says {wanted!s:.12}."
        for name, (held, wanted) in found.items()
        if held != wanted
    ]
    if changed:
        changed.append("Bring the old file back from a backup, or start a new run.")
        raise RunMismatchError("\n".join(changed))
    return Inputs(prompts=prompts, constitution=constitution, few_shot=few_shot)


def _load_few_shot(path: Path) -> FewShot:
    try:
        line = parse_line(path.read_bytes())
        if not is_header(line, path):
            raise ValueError(line.damage or "no few-shot examples")
        return _parse_few_shot(line.record or {})
    except OSError as error:
        raise WorkspaceError(
            f"{path}: cannot be read: {error.strerror}. Bring the file back from a backup."
        ) from error
    except ValueError as error:
        raise WorkspaceError(
            f"{path}: damaged: {error}. Bring the file back from a backup."
        ) from error


def _parse_few_shot(record: Mapping[str, object]) -> FewShot:
    match record:
        case {"paper": str(text)}:
            return text
        case {"chat": list(examples)}:
            return tuple(parse_conversation(example) for example in examples)
    raise ValueError("holds neither `chat` nor `paper` examples")
