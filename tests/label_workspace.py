"""Run folders of labels for tests of pages: real files, any text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cai_core.constitution import dump_constitution
from cai_core.pipeline.human_labels import HumanLabel, human_labels_hash
from cai_core.pipeline.inputs import FOLDER
from cai_core.pipeline.label import STEP
from cai_core.pipeline.label_inputs import LabelInputs, build_label_inputs
from cai_core.pipeline.label_recipe import ComparisonSource, LabelRecipe
from cai_core.pipeline.label_records import LABELS, LabelRecord
from cai_core.records import Constitution, StepKind
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.rows import build_row_id
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.pipeline.makers import make_constitution
from tests.workspace.rows_of import make_row

# Principle and order → P(the response shown first).
Answers = Mapping[tuple[str, int], float]


def write_labels(
    workspace: Path,
    run_id: str,
    labels: Sequence[LabelRecord],
    *,
    constitution: Constitution | None = None,
    human: Sequence[HumanLabel] = (),
    answers: Mapping[int, Answers] | None = None,
    thought: str | None = None,
) -> Run:
    """Write a `label` run that has succeeded.

    Args:
        answers: place of a label → what was answered about it. thought: what each answer says.
    """
    used = constitution or make_constitution()
    recipe = LabelRecipe(
        sources=(ComparisonSource(run="samples"),),
        feedback_model="judge",
        constitution=used.name,
        constitution_hash=used.hash,
        human_hash=human_labels_hash(human),
    )
    run = create_run(
        workspace / "runs" / run_id,
        kind="label",
        recipe=recipe.as_dict(),
        parents=recipe.parents,
    )
    (run.path / FOLDER).mkdir(exist_ok=True)
    inputs = LabelInputs(constitution=used, human={one.comparison_id: one for one in human})
    for name, build in build_label_inputs(inputs).items():
        replace_file(run.path / FOLDER / name, build())
    replace_file(run.outputs / LABELS, (encode_record(one.as_dict()) for one in labels))
    replace_file(run.outputs / "constitution.yaml", [dump_constitution(used).encode()])
    rows = [
        row
        for place, told in (answers or {}).items()
        for row in _build_rows(run_id, labels[place], place, told, thought)
    ]
    with RunWriter(run) as writer:
        writer.append_rows(STEP, rows)
        writer.set_status(RunState.SUCCEEDED, counts={"comparisons": len(labels)})
    return run


def _build_rows(
    run_id: str, label: LabelRecord, place: int, answers: Answers, thought: str | None
) -> list[dict[str, Any]]:
    names = list(label.principle_ids)
    rows = []
    for (principle, order), prob in answers.items():
        index = names.index(principle)
        ids = {"step": f"{STEP}-{index}", "sample": place, "order": order}
        row_id = build_row_id(run_id=run_id, prompt_id=label.prompt_id, **ids)
        scoring = {
            "way": "token-ids",
            "options": ["A", "B"],
            "logprobs": [math.log(prob), math.log(1 - prob)],
            "probabilities": [prob, 1 - prob],
            "mass": 1.0,
            "exact": True,
            "requests": 1,
        }
        rows.append(
            make_row(
                run_id,
                label.prompt_id,
                **ids,
                row_id=row_id,
                kind=StepKind.LABEL,
                index=index,
                role="feedback",
                principle_id=principle,
                comparison_id=label.comparison_id,
                text=thought,
                scoring=scoring,
            ).as_dict()
        )
    return rows
