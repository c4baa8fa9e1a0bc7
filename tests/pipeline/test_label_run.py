"""`label` runs of the demo model on the real bundled server: resumed, stopped, mixed, exported."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cai_core import cli
from cai_core.inference.capabilities import Capabilities, Capability, ScoringWay
from cai_core.inference.launcher import stop_server
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.jobs import label_stage
from cai_core.jobs.label_stage import run_label
from cai_core.pipeline.comparison_records import read_comparisons
from cai_core.pipeline.human_labels import HumanLabel
from cai_core.pipeline.label_answers import Scorer, choose_scorer, cut_before_verdict
from cai_core.pipeline.label_export import build_export
from cai_core.pipeline.label_records import LabelRecord, read_labels
from cai_core.pipeline.recipe import TemplateName
from cai_core.records import SamplingParams, Verdict
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState
from tests.pipeline.label_runs import (
    REPOSITORY,
    held_out_prompts,
    make_chains,
    make_label_run,
)

SOURCES = [{"run": "base", "against": "chains"}]
# What a worker does, until the lead's stage knows the kind.
WORKER = (
    "import sys; from pathlib import Path; from cai_core.jobs.label_stage import run_label;"
    "from cai_core.workspace.runs import open_run;"
    "folder = Path(sys.argv[1]); run_label(open_run(folder), folder.parents[1])"
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("labels")
    prompts = [*held_out_prompts("redteam", 16), *held_out_prompts("helpful", 8)]
    try:
        make_chains(folder, "base", prompts, revisions=0, seed=1)
        make_chains(folder, "chains", prompts, revisions=1, seed=2)
        yield folder
    finally:
        stop_server("demo", folder)


@pytest.fixture(scope="module")
def plain(workspace: Path) -> Run:
    run = make_label_run(workspace, "plain", SOURCES, seed=3)
    run_label(run, workspace)
    return run


def labels_of(run: Run) -> list[LabelRecord]:
    return list(read_labels(run.path))


def test_a_label_for_each_comparison_in_order_with_raw_values_kept(plain: Run) -> None:
    assert plain.status().state is RunState.SUCCEEDED
    comparisons, labels = list(read_comparisons(plain.path)), labels_of(plain)
    assert [one.comparison_id for one in labels] == [one.comparison_id for one in comparisons]
    assert 20 <= len(labels) <= 24
    assert all("split:held-out" in label.tags for label in labels)
    rows = list(RowIndex(plain, "label").values())
    assert len(rows) == 2 * len(labels)
    for row in rows:
        assert row.scoring is not None
        assert row.scoring["options"] == ["A", "B", "Tie"]
        assert row.scoring["mass"] > 0.5
        assert row.text is None
    for label in labels:
        assert label.prob_a is not None and label.prob_a_clamped == label.prob_a
        assert label.feedback_model == "demo"
    assert len({label.principle_ids for label in labels}) > 5


def test_the_same_answers_whoever_stands_first(plain: Run, workspace: Path) -> None:
    """Another seed puts other responses first: the label of a swapped comparison is mirrored."""
    run = make_label_run(workspace, "swapped", SOURCES, seed=4, principles=("no-harm",))
    other = make_label_run(workspace, "unswapped", SOURCES, seed=3, principles=("no-harm",))
    for one in (run, other):
        run_label(one, workspace)
    swapped = 0
    for first, second in zip(labels_of(run), labels_of(other), strict=True):
        assert first.prob_a is not None and second.prob_a is not None
        if first.comparison_id == second.comparison_id:
            assert first.prob_a == pytest.approx(second.prob_a, abs=1e-4)
        else:
            swapped += 1
            assert first.response_a == second.response_b
            assert first.prob_a == pytest.approx(1 - second.prob_a, abs=1e-4)
    assert 3 <= swapped <= 21


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(plain: Run, workspace: Path) -> None:
    settings = {"seed": 3, "reasoned": True}
    calm = make_label_run(workspace, "calm", SOURCES, **settings)
    run_label(calm, workspace)
    # Ids of rows hold the run's name; labels do not.
    run = make_label_run(workspace, "killed", SOURCES, **settings)
    command = [sys.executable, "-c", WORKER, str(run.path)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not any(path.read_bytes().count(b"\n") > 8 for path in run.path.glob("rows/*.jsonl")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert run.status().state is RunState.INTERRUPTED
    before = {row.row_id: row for row in RowIndex(run, "label").values()}
    assert 8 <= len(before) < 2 * len(labels_of(calm))
    run_label(run, workspace)
    index = RowIndex(run, "label")
    assert all(index[row_id] == row for row_id, row in before.items())
    assert (len(index), index.doubled) == (len(RowIndex(calm, "label")), 0)
    for name in ("labels.jsonl", "comparisons.jsonl", "labels.json"):
        assert (run.outputs / name).read_bytes() == (calm.outputs / name).read_bytes(), name


def test_reasoned_labels_keep_the_thought_and_score_its_verdict(workspace: Path) -> None:
    run = open_run(workspace / "runs" / "calm")
    agree = 0
    rows = list(RowIndex(run, "label").values())
    for row in rows:
        assert row.text is not None and "Verdict:" in row.text
        cut = cut_before_verdict(row.text)
        assert cut is not None and cut.begun.endswith("Verdict:")
        assert row.scoring is not None and row.scoring["options"] == [" A", " B", " Tie"]
        assert row.scoring["mass"] > 0.9
        best = max(range(3), key=row.scoring["probabilities"].__getitem__)
        agree += (Verdict.A, Verdict.B, Verdict.TIE)[best] is row.verdict
    # Greedy text is the most probable one.
    assert agree == len(rows)
    for label in labels_of(run):
        assert label.reasoned and label.prob_a_clamped is not None
        assert 0.4 <= label.prob_a_clamped <= 0.6
    assert any(label.prob_a != label.prob_a_clamped for label in labels_of(run))


def test_several_thoughts_are_drawn_and_averaged(workspace: Path) -> None:
    few = [{"run": "base", "against": "chains"}]
    drawn = SamplingParams(temperature=1.5, max_tokens=96)
    run = make_label_run(
        workspace, "thoughts", few, reasoned=True, thoughts=3, sampling=drawn, max_unparsed=1.0
    )
    run_label(run, workspace)
    by_comparison: dict[int, set[str | None]] = {}
    for row in RowIndex(run, "label").values():
        by_comparison.setdefault(row.sample, set()).add(row.text)
    assert any(len(texts) > 2 for texts in by_comparison.values())
    greedy = [label.prob_a for label in labels_of(open_run(workspace / "runs" / "calm"))]
    assert [label.prob_a for label in labels_of(run)] != greedy


def test_a_run_stops_when_too_much_is_unreadable(workspace: Path) -> None:
    cut = SamplingParams(max_tokens=3)
    run = make_label_run(workspace, "unread", SOURCES, reasoned=True, sampling=cut)
    run_label(run, workspace)
    status = run.status()
    assert status.state is RunState.FAILED
    assert status.reason is not None and "unreadable, more than max_unparsed 0.2" in status.reason
    assert not (run.outputs / "labels.jsonl").exists()
    rows = list(RowIndex(run, "label").values())
    assert rows and all(row.text and row.verdict is Verdict.UNPARSED for row in rows)
    # The limit is a knob; unparsed labels are none of A, B and tie.
    allowed = make_label_run(
        workspace, "allowed", SOURCES, reasoned=True, sampling=cut, max_unparsed=1.0
    )
    run_label(allowed, workspace)
    assert allowed.status().state is RunState.SUCCEEDED
    assert {label.verdict for label in labels_of(allowed)} == {Verdict.UNPARSED}
    assert {label.prob_a for label in labels_of(allowed)} == {None}


def test_people_are_believed_and_not_asked_again(plain: Run, workspace: Path) -> None:
    asked = list(read_comparisons(plain.path))
    human = [
        HumanLabel(comparison_id=asked[0].comparison_id, verdict=Verdict.B, reviewer="Ada"),
        HumanLabel(comparison_id=asked[1].swapped_id, verdict=Verdict.B, reviewer="Bo"),
        HumanLabel(comparison_id="of another run", verdict=Verdict.A, reviewer="Bo"),
    ]
    run = make_label_run(workspace, "mixed", SOURCES, seed=3, human=human)
    run_label(run, workspace)
    labels = labels_of(run)
    assert [(one.label_source, one.prob_a, one.reviewer) for one in labels[:2]] == [
        ("human", 0.0, "Ada"),
        ("human", 1.0, "Bo"),
    ]
    assert labels[2:] == labels_of(plain)[2:]
    assert {0, 1}.isdisjoint(row.sample for row in RowIndex(run, "label").values())
    counts = json.loads((run.outputs / "labels.json").read_bytes())
    assert (counts["human"], counts["human_unmatched"]) == (2, 1)


def test_a_question_too_long_is_an_error_row_of_its_comparison(workspace: Path) -> None:
    example = {
        "conversation": [{"role": "user", "content": "How do I do it? " * 300}],
        "preferred": "No.",
        "other": "Yes.",
    }
    run = make_label_run(workspace, "long", SOURCES, few_shot=[example])
    run_label(run, workspace)
    status = run.status()
    assert status.state is RunState.FAILED
    assert status.reason is not None and "context" in status.reason
    assert all(row.error_kind == "ContextLengthError" for row in RowIndex(run, "label").values())


def test_labels_of_the_paper_template_are_scored_after_a_text(workspace: Path) -> None:
    run = make_label_run(workspace, "paper", SOURCES, template="paper", least_mass=0.0)
    run_label(run, workspace)
    assert run.status().state is RunState.SUCCEEDED
    for row in RowIndex(run, "label").values():
        assert row.scoring is not None and row.scoring["options"] == [" (A)", " (B)"]
        assert row.template_version == "paper-labels/1"


def test_the_command_line_shows_and_exports(
    plain: Run, workspace: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(workspace))
    assert cli.main(["labels", "show", "plain"]) == 0
    told = capsys.readouterr().out
    assert "plain: succeeded" in told and "unparsed 0" in told and "token-ids" in told
    assert cli.main(["labels", "show", "plain", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"]["comparisons"] == len(labels_of(plain))
    assert cli.main(["labels", "show", "unread"]) == 0
    assert "none yet" in capsys.readouterr().out
    for name in ("jsonl", "parquet", "trl"):
        out = tmp_path / f"labels.{name}"
        assert cli.main(["labels", "export", "plain", "--format", name, "--out", str(out)]) == 0
        card = Path(f"{out}.md").read_text()
        assert "run plain" in card and "demo" in card
    lines = (tmp_path / "labels.jsonl").read_text().splitlines()
    assert [LabelRecord.parse(json.loads(line)) for line in lines] == labels_of(plain)
    table = pq.read_table(io.BytesIO((tmp_path / "labels.parquet").read_bytes())).to_pylist()
    assert [row["prob_a"] for row in table] == [label.prob_a for label in labels_of(plain)]
    # Every prompt here is held out, and nothing may be trained on those.
    assert (tmp_path / "labels.trl").read_bytes() == b""
    assert cli.main(["labels", "export", "plain", "--out", str(tmp_path / "no" / "x")]) == 2


def test_trl_columns_prefer_what_the_label_prefers(plain: Run) -> None:
    labels = [replace(label, tags=()) for label in labels_of(plain)]
    rows = [json.loads(line) for line in build_export(labels, "trl").splitlines()]
    decided = [label for label in labels if label.verdict in (Verdict.A, Verdict.B)]
    assert len(rows) == len(decided) > 0
    for row, label in zip(rows, decided, strict=True):
        chosen = label.response_a if label.verdict is Verdict.A else label.response_b
        assert row["chosen"] == [{"role": "assistant", "content": chosen}]
        assert row["prob"] >= 0.5
        assert row["margin"] == pytest.approx(2 * row["prob"] - 1)


@pytest.mark.parametrize("reasoned", [False, True])
def test_without_log_probabilities_the_written_verdict_is_a_hard_label(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, reasoned: bool
) -> None:
    monkeypatch.setattr(
        label_stage, "choose_scorer", lambda *_, **__: Scorer(way=None, cache=OptionTokens())
    )
    run = make_label_run(workspace, f"written-{reasoned}", SOURCES, seed=3, reasoned=reasoned)
    run_label(run, workspace)
    assert {label.prob_a for label in labels_of(run)} <= {0.0, 0.25, 0.5, 0.75, 1.0}
    counts = json.loads((run.outputs / "labels.json").read_bytes())
    assert counts["ways"] == {"text": counts["answers"]}
    # Greedy, it writes what is most probable where options are scored.
    scored = open_run(workspace / "runs" / ("calm" if reasoned else "plain"))
    index = {(row.sample, row.order): row for row in RowIndex(scored, "label").values()}
    for row in RowIndex(run, "label").values():
        told = index[row.sample, row.order].scoring
        assert told is not None
        best = max(range(3), key=told["probabilities"].__getitem__)
        assert row.verdict is (Verdict.A, Verdict.B, Verdict.TIE)[best]


def test_how_verdicts_are_scored_depends_on_the_server() -> None:
    def choose(way: ScoringWay | None, template: TemplateName, *, can: bool, reasoned: bool) -> str:
        able = Capability(
            name="continue_final_message", support="yes" if can else "no", evidence=""
        )
        server = Capabilities(
            model_id="m",
            engine="e",
            engine_version="1",
            context_length=None,
            scoring_way=way,
            capabilities=(able,),
            seconds=0.0,
        )
        return str(choose_scorer(server, template, reasoned=reasoned).way)

    assert choose("token-ids", "chat", can=True, reasoned=True) == "token-ids"
    assert choose("token-ids", "chat", can=False, reasoned=True) == "None"
    assert choose("token-ids", "chat", can=False, reasoned=False) == "token-ids"
    assert choose("prompt-logprobs", "chat", can=True, reasoned=False) == "None"
    assert choose("prompt-logprobs", "paper", can=False, reasoned=True) == "prompt-logprobs"
    assert choose(None, "paper", can=True, reasoned=False) == "None"


@pytest.mark.parametrize(
    ("text", "begun", "options"),
    [
        ("Well.\nVerdict: A", "Well.\nVerdict:", (" A", " B", " Tie")),
        ("Verdict: a.", "Verdict:", (" a", " b", " tie")),
        ("**Verdict:** **B**", "**Verdict:** **", ("A", "B", "Tie")),
        ("Verdict: A\nNo.\nVerdict: TIE", "Verdict: A\nNo.\nVerdict:", (" A", " B", " TIE")),
    ],
)
def test_a_thought_is_cut_before_its_last_verdict(
    text: str, begun: str, options: tuple[str, ...]
) -> None:
    cut = cut_before_verdict(text)
    assert cut is not None
    assert (cut.begun, cut.options) == (begun, options)
    assert cut_before_verdict("I like A.") is None
