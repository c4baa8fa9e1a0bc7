"""`revise` and `label` runs in a workspace, for tests: real files, and the real demo model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cai_core.constitution import find_constitution
from cai_core.jobs.stages import run_stage
from cai_core.pipeline.human_labels import HumanLabel, human_labels_hash
from cai_core.pipeline.inputs import FOLDER, Inputs, save_inputs
from cai_core.pipeline.label_few_shot import label_few_shot_hash
from cai_core.pipeline.label_inputs import LabelInputs, build_label_inputs
from cai_core.pipeline.label_recipe import ComparisonSource, LabelRecipe
from cai_core.pipeline.prompt_file import load_prompts, prompts_hash
from cai_core.pipeline.recipe import ChainRecipe, ReviseRecipe
from cai_core.records import Prompt, SamplingParams
from cai_core.workspace.files import replace_file
from cai_core.workspace.runs import Run, create_run

REPOSITORY = Path(__file__).resolve().parents[2]


def held_out_prompts(name: str, count: int) -> list[Prompt]:
    """The first held-out prompts of a shipped set."""
    prompts = load_prompts(REPOSITORY / "data" / "prompts" / f"{name}.jsonl").prompts
    return [prompt for prompt in prompts if "split:held-out" in prompt.tags][:count]


def make_chains(workspace: Path, run_id: str, prompts: Sequence[Prompt], **chain: Any) -> Run:
    """A `revise` run of the demo model, run to its end."""
    constitution = find_constitution("harmlessness")
    recipe = ReviseRecipe(
        model="demo",
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        prompts="test",
        prompts_hash=prompts_hash(prompts),
        chain=ChainRecipe(policy_sampling=SamplingParams(max_tokens=128), **chain),
    )
    run = create_run(workspace / "runs" / run_id, kind="revise", recipe=recipe.as_dict())
    save_inputs(run, Inputs(prompts=tuple(prompts), constitution=constitution))
    run_stage(run, workspace)
    return run


def make_label_run(
    workspace: Path,
    run_id: str,
    sources: Sequence[dict[str, Any]],
    *,
    constitution: str = "harmlessness",
    few_shot: Sequence[dict[str, Any]] = (),
    human: Sequence[HumanLabel] = (),
    **settings: Any,
) -> Run:
    """A `label` run that has its inputs and waits to be done."""
    found = find_constitution(constitution)
    settings = {"feedback_model": "demo", "sampling": SamplingParams(max_tokens=96), **settings}
    recipe = LabelRecipe(
        sources=tuple(ComparisonSource(**source) for source in sources),
        constitution=found.name,
        constitution_hash=found.hash,
        few_shot_hash=label_few_shot_hash(few_shot),
        human_hash=human_labels_hash(human),
        **settings,
    )
    run = create_run(
        workspace / "runs" / run_id,
        kind="label",
        recipe=recipe.as_dict(),
        parents=recipe.parents,
    )
    inputs = LabelInputs(
        constitution=found,
        few_shot=few_shot,
        human={label.comparison_id: label for label in human},
    )
    (run.path / FOLDER).mkdir(exist_ok=True)
    for name, build in build_label_inputs(inputs).items():
        replace_file(run.path / FOLDER / name, build())
    return run
