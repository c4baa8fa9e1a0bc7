"""What an `evaluate` run is made from, frozen in its folder's inputs/.

suite.jsonl                                        the prompts that are asked
rubric.yaml, constitution.yaml, system_constitution.yaml, feedback_constitution.yaml
                                                   where there are any
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cai_core.constitution import dump_constitution, load_constitution
from cai_core.errors import CaiError, RunMismatchError
from cai_core.evaluation.suite_file import dump_suite, load_suite
from cai_core.evaluation.suites import Suite
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe
from cai_core.pipeline.inputs import CONSTITUTION, FOLDER
from cai_core.pipeline.judge_rubric import Rubric, dump_rubric, load_rubric
from cai_core.records import Constitution
from cai_core.workspace.runs import Run

SUITE, RUBRIC, SYSTEM = "suite.jsonl", "rubric.yaml", "system_constitution.yaml"
FEEDBACK = "feedback_constitution.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateInputs:
    """What the recipe names by hashes; None where it names none."""

    suite: Suite
    rubric: Rubric | None = None
    constitution: Constitution | None = None
    system: Constitution | None = None
    feedback: Constitution | None = None


def build_evaluate_inputs(inputs: EvaluateInputs) -> Mapping[str, Callable[[], Iterable[bytes]]]:
    """File name → what gives the file's content, in pieces; for `RunSpec.inputs`."""
    suite, rubric = inputs.suite, inputs.rubric
    files: dict[str, Callable[[], Iterable[bytes]]] = {SUITE: lambda: [dump_suite(suite).encode()]}
    if rubric is not None:
        files[RUBRIC] = lambda: [dump_rubric(rubric).encode()]
    held = {
        CONSTITUTION: inputs.constitution,
        SYSTEM: inputs.system,
        FEEDBACK: inputs.feedback,
    }
    for name, constitution in held.items():
        if constitution is not None:
            text = dump_constitution(constitution).encode()
            files[name] = lambda text=text: [text]  # type: ignore[misc]
    return files


def load_evaluate_inputs(run: Run, recipe: EvaluateRecipe) -> EvaluateInputs:
    """Read them back, checked against the hashes of the run's recipe.

    Raises:
        RunMismatchError: a file is missing, damaged, or not the one that the recipe names.
    """
    folder = run.path / FOLDER
    try:
        suite = load_suite(folder / SUITE)
        rubric = load_rubric(folder / RUBRIC) if recipe.rubric_hash else None
        constitution = (
            load_constitution(folder / CONSTITUTION) if recipe.constitution_hash else None
        )
        system = load_constitution(folder / SYSTEM) if recipe.system_constitution_hash else None
        feedback = (
            load_constitution(folder / FEEDBACK) if recipe.feedback_constitution_hash else None
        )
    except CaiError as error:
        raise RunMismatchError(
            f"{folder}: what the run is made from cannot be read: {error} Or start a new run."
        ) from error
    found = {
        SUITE: (suite.hash, recipe.suite_hash),
        RUBRIC: (rubric and rubric.hash, recipe.rubric_hash),
        CONSTITUTION: (constitution and constitution.hash, recipe.constitution_hash),
        SYSTEM: (system and system.hash, recipe.system_constitution_hash),
        FEEDBACK: (feedback and feedback.hash, recipe.feedback_constitution_hash),
    }
    changed = [
        f"{folder / name}: its hash is {held!s:.12}, the recipe says {wanted!s:.12}."
        for name, (held, wanted) in found.items()
        if held != wanted
    ]
    if changed:
        changed.append("Bring the old file back from a backup, or start a new run.")
        raise RunMismatchError("\n".join(changed))
    return EvaluateInputs(
        suite=suite, rubric=rubric, constitution=constitution, system=system, feedback=feedback
    )
