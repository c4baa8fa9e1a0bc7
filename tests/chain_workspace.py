"""Run folders of chains for tests of pages: real files, any text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.constitution import dump_constitution
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.pipeline.recipe import ChainRecipe, ReviseRecipe
from cai_core.records import Constitution, Finding, Message, PromptKind, StepKind
from cai_core.workspace.rows import build_prompt_field, build_row_id
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.pipeline.makers import make_constitution
from tests.workspace.rows_of import make_row


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round's texts; a direct one has no critique."""

    revision: str | None
    critique: str | None = "It is unkind."
    finding: Finding | None = Finding.FOUND
    principle: str = "p0"


@dataclass(frozen=True, kw_only=True)
class Texts:
    """One chain's texts."""

    prompt: str
    response: str = "Go away."
    kind: PromptKind = PromptKind.HELPFUL
    rounds: tuple[Round, ...] = ()


def write_chains(
    workspace: Path,
    run_id: str,
    chains: Sequence[Texts],
    *,
    constitution: Constitution | None = None,
    model: str = "model-a",
    kind: str = "revise",
    state: RunState = RunState.SUCCEEDED,
) -> list[str]:
    """Write a run folder with these chains; returns the chains' ids."""
    used = constitution or make_constitution()
    direct = any(made.critique is None for texts in chains for made in texts.rounds)
    run = _create(workspace / "runs" / run_id, used, model, kind, critique=not direct)
    made = [_build_rows(run_id, number, texts, used, model) for number, texts in enumerate(chains)]
    with RunWriter(run) as writer:
        writer.append_rows("chain", [row for rows in made for row in rows])
        writer.set_status(state)
    return [rows[0]["row_id"] for rows in made]


def _create(
    path: Path, constitution: Constitution, model: str, kind: str, *, critique: bool
) -> Run:
    recipe = ReviseRecipe(
        model=model,
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        prompts="prompts.jsonl",
        prompts_hash="h",
        chain=ChainRecipe(critique=critique),
    )
    run = create_run(path, kind=kind, recipe=recipe.as_dict())
    (run.outputs / "constitution.yaml").write_text(dump_constitution(constitution), "utf-8")
    return run


def _build_rows(
    run_id: str, number: int, texts: Texts, constitution: Constitution, model: str
) -> list[dict[str, Any]]:
    turns = (Message("user", texts.prompt),)
    prompt = build_prompt(turns, number=number + 1)
    field = {**build_prompt_field(prompt), "kind": texts.kind.value}
    prompt_id = f"p#{number + 1}"
    steps: list[tuple[str, dict[str, Any]]] = [
        ("response", {"text": texts.response, "prompt": field, "kind": StepKind.RESPONSE})
    ]
    for count, made in enumerate(texts.rounds, 1):
        shared = {"round": count, "principle_id": made.principle}
        if made.critique is not None:
            critique = {"text": made.critique, "finding": made.finding, "role": "critic"}
            kind = {"kind": StepKind.CRITIQUE, "index": 2 * count - 1}
            steps.append((f"critique-{count}", {**shared, **critique, **kind}))
        if made.revision is not None:
            kind = {"kind": StepKind.REVISION, "index": 2 * count}
            steps.append((f"revision-{count}", {**shared, "text": made.revision, **kind}))
    return [
        make_row(
            run_id,
            prompt_id,
            **changes,
            step=step,
            row_id=build_row_id(run_id=run_id, prompt_id=prompt_id, sample=0, step=step),
            prompt_hash=prompt.hash,
            constitution_hash=constitution.hash,
            model_id=model,
            seconds=0.25,
            prompt_tokens=12,
            completion_tokens=5,
            finish_reason="stop",
        ).as_dict()
        for step, changes in steps
    ]
