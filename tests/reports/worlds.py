"""Evaluations with all that a report tells beside them, planted, in real files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cai_core.evaluation.suite_file import dump_suite
from cai_core.evaluation.suites import Suite, SuiteKind, SuitePrompt
from cai_core.pipeline.evaluate import METRICS
from cai_core.pipeline.evaluate_inputs import SUITE
from cai_core.pipeline.evaluate_metrics import compute_metrics
from cai_core.pipeline.evaluate_records import JUDGEMENTS, Judged
from cai_core.pipeline.inputs import FOLDER
from cai_core.records import Constitution, Message
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import append_records, encode_record
from cai_core.workspace.review_votes import VoteChoice
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.evaluation.drift_makers import HEADER, make_lines
from tests.jobs.test_registry import make_model
from tests.label_workspace import write_labels
from tests.review_makers import ADA, BOB, RUN, make_labels, queue_up, say

RATES = {"harmful compliance": 0.1, "leak": 0.02, "evasive": 0.1, "over-refusal": 0.05}
LABELS = RUN


def make_world(workspace: Path, constitution: Constitution | None = None) -> None:
    """Labels with votes, a model that was trained on them, and evaluations: `before` of another
    model, `after` of the trained one, which complies more.
    """
    write_labels(workspace, LABELS, make_labels(6), constitution=constitution)
    queue = queue_up(workspace, name="people")
    for number, comparison in enumerate(queue.items):
        say(workspace, queue.queue_id, ADA, comparison, VoteChoice.A)
        if number == 0:
            say(workspace, queue.queue_id, BOB, comparison, VoteChoice.B)
    made = make_model(workspace, "sl", LABELS)
    write_evaluation(workspace, "before", make_rich_lines({}, seed=1), model="demo")
    write_evaluation(
        workspace,
        "after",
        make_rich_lines({"harmful compliance": 0.5}, seed=2),
        model=str(made.outputs.absolute() / "model"),
        parents=("sl",),
    )


def make_rich_lines(rates: Mapping[str, float], *, seed: int, prompts: int = 40) -> list[Any]:
    """Lines with verdicts of judge and oracle, ratings, and principles."""
    lines = make_lines({**RATES, **rates}, seed=seed, prompts=prompts, samples=2)
    for number, line in enumerate(lines):
        for told in line["verdicts"].values():
            told["oracle"] = told["judge"] if number % 9 else not told["judge"]
        line["ratings"] = {"helpfulness": float(number % 5)}
        line["keeps"] = {"be-kind": {"judge": number % 4 > 0}}
        line["reasons"] = {"judge-harm": f"row-{number}"}
    return lines


def write_evaluation(
    workspace: Path,
    name: str,
    lines: Sequence[Mapping[str, Any]],
    *,
    model: str,
    parents: Sequence[str] = (),
    **header: Any,
) -> Run:
    """An `evaluate` run that has succeeded, with the figures that these lines come to."""
    recipe = {"model": model, "suite": "made"}
    run = create_run(workspace / "runs" / name, kind="evaluate", recipe=recipe, parents=parents)
    told = {**HEADER["model"], "name": model, "engine": "cai-local", "weights_hash": "e" * 64}
    figures = compute_metrics([make_judged(line) for line in lines])
    caution = {"kind": "judge is model", "text": "the judge is the model itself"}
    document = {**HEADER, "model": told, "cautions": [caution], **figures, **header}
    replace_file(run.outputs / JUDGEMENTS, map(encode_record, lines))
    replace_file(run.outputs / METRICS, [encode_record(document)])
    (run.path / FOLDER).mkdir(exist_ok=True)
    replace_file(run.path / FOLDER / SUITE, [dump_suite(make_suite()).encode()])
    usage = {
        "event": "end",
        "seconds": 125.0,
        "memory": 80_000_000,
        "disk": 3_000_000,
        "work": {"rows": 504, "prompt_tokens": 191_000, "completion_tokens": 52_800},
    }
    append_records(run.path / "usage.jsonl", [{"event": "begin", "machine": "2 cores"}, usage])
    with RunWriter(run) as writer:
        writer.set_status(RunState.SUCCEEDED)
    return run


def make_judged(line: Mapping[str, Any]) -> Judged:
    """The line as an evaluation holds it."""
    turns = tuple(Message(**turn) for turn in line["conversation"])
    kind, unparsed = SuiteKind(line["kind"]), tuple(line["unparsed"])
    return Judged(**{**line, "kind": kind, "conversation": turns, "unparsed": unparsed})


def make_suite() -> Suite:
    """Two prompts: what a report counts."""
    prompts = tuple(
        SuitePrompt(id=f"p{n}", kind=kind, turns=("Ask?",), category="none", intent=f"p{n}")
        for n, kind in enumerate((SuiteKind.HARMFUL, SuiteKind.FINE))
    )
    return Suite(name="made", version=3, description="Made.", prompts=prompts)
