"""Runs and chains for the index's tests: real run folders, written by the real writer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cai_core.constitution import dump_constitution
from cai_core.records import Finding, StepKind
from cai_core.workspace.index import postings
from cai_core.workspace.index.owner import WorkspaceIndex
from cai_core.workspace.index.views import RoundFilter, RoundView
from cai_core.workspace.rows import Row, build_row_id
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.pipeline.makers import make_constitution
from tests.workspace.rows_of import make_row

CONSTITUTION = make_constitution()


def make_run(
    folder: Path, name: str = "r1", *, kind: str = "revise", critique: bool = True, **changes: Any
) -> Run:
    recipe = {
        "model": "demo",
        "constitution": CONSTITUTION.name,
        "constitution_hash": CONSTITUTION.hash,
        "chain": {"critique": critique, "template": "chat"},
        **changes,
    }
    run = create_run(folder / name, kind=kind, recipe=recipe)
    (run.outputs / "constitution.yaml").write_text(dump_constitution(CONSTITUTION), "utf-8")
    return run


def make_chain(
    run: Run,
    prompt_id: str = "p#1",
    *,
    rounds: int = 2,
    critique: bool = True,
    prompt: str = "How do I bake bread?",
    response: str = "Take flour.",
    kind: str = "red-team",
    findings: Sequence[Finding] = (Finding.FOUND, Finding.NOT_TOUCHED, Finding.UNPARSED),
    critiques: Sequence[str] = (),
    revisions: Sequence[str] = (),
    tags: Sequence[Any] = ("t",),
    **changes: Any,
) -> list[Row]:
    """The rows of a chain, in the order in which a run writes them."""

    def build(step: str, **fields: Any) -> Row:
        sample = int(changes.get("sample", 0))
        row_id = build_row_id(run_id=run.run_id, prompt_id=prompt_id, sample=sample, step=step)
        held = {"constitution_hash": CONSTITUTION.hash, **changes, **fields}
        return make_row(run.run_id, prompt_id, row_id=row_id, step=step, **held)

    turns = [{"role": "user", "content": prompt}]
    rows = [
        build(
            "response",
            text=f" {response}\n",
            prompt={"conversation": turns, "kind": kind, "tags": list(tags)},
        )
    ]
    for k in range(1, rounds + 1):
        shared: dict[str, Any] = {"round": k, "principle_id": f"p{k % 5}"}
        if critique:
            text = critiques[k - 1] if critiques else f"{prompt_id}: critique {k}."
            finding = findings[(k - 1) % len(findings)]
            fields = {"kind": StepKind.CRITIQUE, "index": 2 * k - 1, "role": "critic"}
            rows.append(build(f"critique-{k}", text=text, finding=finding, **fields, **shared))
        text = revisions[k - 1] if revisions else f"{prompt_id}: revision {k}."
        fields = {"kind": StepKind.REVISION, "index": 2 * k}
        rows.append(build(f"revision-{k}", text=text, **fields, **shared))
    return rows


def write_rows(run: Run, rows: Iterable[Row], *, state: RunState | None = None) -> None:
    with RunWriter(run) as writer:
        writer.append_rows("chain", [row.as_dict() for row in rows])
        if state is not None:
            writer.set_status(state)


def make_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Postings in spans of 64 texts, with tiny chunks, short lists and early merges."""
    sizes = {"_SPAN_BITS": 6, "_SPAN": 64, "_BITS": 4, "_CHUNK": 7, "_NEIGHBOURS": 3}
    for name, size in {**sizes, "_SHORT": 2, "_FEW_WORDS": 3}.items():
        monkeypatch.setattr(postings, name, size)


def make_workspace(workspace: Path, runs: int = 3, chains: int = 4) -> list[Run]:
    """A few ended runs of two rounds a chain; the last one is direct."""
    made = []
    for number in range(runs):
        critique = number < runs - 1
        run = make_run(workspace / "runs", f"run-{number}", critique=critique)
        rows = [
            row
            for n in range(chains)
            for row in make_chain(
                run,
                f"p#{n}",
                critique=critique,
                prompt=f"Question {n}?",
                kind=("red-team", "helpful")[n % 2],
            )
        ]
        write_rows(run, rows, state=RunState.SUCCEEDED)
        made.append(run)
    return made


def read_all(
    index: WorkspaceIndex, asked: RoundFilter | None = None, *, limit: int = 3
) -> list[RoundView]:
    """Every round, page by page."""
    rounds: list[RoundView] = []
    after = None
    while True:
        page = index.list_rounds(asked or RoundFilter(), after=after, limit=limit)
        rounds += page.rounds
        if page.next_key is None:
            return rounds
        after = page.next_key


def take_answers(index: WorkspaceIndex) -> dict[str, Any]:
    """Everything that pages could see, for comparing two indexes of the same files."""
    rounds = read_all(index)
    report = index.report()
    counts = (report.rows, report.chains, report.runs, report.events)
    return {
        "rounds": rounds,
        "chains": {round_.chain: index.get_chain(round_.chain) for round_ in rounds},
        "facets": index.list_rounds(RoundFilter()).facets,
        "runs": index.list_runs(100),
        "events": index.list_events(1000),
        "marked": index.count_marked(),
        "counts": counts,
        "odd": (report.damaged, report.doubled, report.late_bytes),
    }
