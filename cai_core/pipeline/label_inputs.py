"""What a `label` run is made from besides its source runs, frozen in its folder's inputs/.

constitution.yaml    few_shot.json, human.jsonl where there are any
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cai_core.constitution import dump_constitution, load_constitution
from cai_core.errors import CaiError, RunMismatchError, WorkspaceError
from cai_core.pipeline.human_labels import HumanLabel, human_labels_hash, load_human_labels
from cai_core.pipeline.inputs import CONSTITUTION, FEW_SHOT, FOLDER
from cai_core.pipeline.label_few_shot import label_few_shot_hash
from cai_core.pipeline.label_recipe import LabelRecipe
from cai_core.records import Constitution
from cai_core.workspace.journal import FORMAT, encode_record, is_header, parse_line
from cai_core.workspace.runs import Run

HUMAN = "human.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelInputs:
    """What the recipe of a `label` run names by hashes.

    Attributes:
        few_shot: examples as in their file; see `label_few_shot`.
        human: people's labels by comparison.
    """

    constitution: Constitution
    few_shot: Sequence[Mapping[str, Any]] = ()
    human: Mapping[str, HumanLabel] = field(default_factory=dict)


def build_label_inputs(inputs: LabelInputs) -> Mapping[str, Callable[[], Iterable[bytes]]]:
    """File name → what gives the file's content, in pieces; for `RunSpec.inputs`."""
    files: dict[str, Callable[[], Iterable[bytes]]] = {
        CONSTITUTION: lambda: [dump_constitution(inputs.constitution).encode("utf-8")],
    }
    if inputs.few_shot:
        examples = [dict(example) for example in inputs.few_shot]
        files[FEW_SHOT] = lambda: [encode_record({"format": FORMAT, "examples": examples})]
    if inputs.human:
        labels = sorted(inputs.human.values(), key=lambda label: label.comparison_id)
        files[HUMAN] = lambda: [encode_record(label.as_dict()) for label in labels]
    return files


def load_label_inputs(run: Run, recipe: LabelRecipe) -> LabelInputs:
    """Read them back, checked against the hashes of the run's recipe.

    Raises:
        RunMismatchError: a file is missing, damaged, or not the one that the recipe names.
    """
    folder = run.path / FOLDER
    try:
        constitution = load_constitution(folder / CONSTITUTION)
        few_shot = _load_few_shot(folder / FEW_SHOT) if recipe.few_shot_hash else ()
        human = load_human_labels(folder / HUMAN) if recipe.human_hash else {}
    except CaiError as error:
        raise RunMismatchError(
            f"{folder}: what the run is made from cannot be read: {error} Or start a new run."
        ) from error
    found = {
        CONSTITUTION: (constitution.hash, recipe.constitution_hash),
        FEW_SHOT: (label_few_shot_hash(few_shot), recipe.few_shot_hash),
        HUMAN: (human_labels_hash(human.values()), recipe.human_hash),
    }
    changed = [
        f"{folder / name}: its hash is {held!s:.12}, the recipe says {wanted!s:.12}."
        for name, (held, wanted) in found.items()
        if held != wanted
    ]
    if changed:
        changed.append("Bring the old file back from a backup, or start a new run.")
        raise RunMismatchError("\n".join(changed))
    return LabelInputs(constitution=constitution, few_shot=few_shot, human=human)


def _load_few_shot(path: Path) -> tuple[Mapping[str, Any], ...]:
    try:
        line = parse_line(path.read_bytes())
        examples = (line.record or {}).get("examples")
        if not is_header(line, path) or not isinstance(examples, list):
            raise ValueError(line.damage or "no few-shot examples")
        return tuple(examples)
    except OSError as error:
        raise WorkspaceError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise WorkspaceError(f"{path}: damaged: {error}.") from error
