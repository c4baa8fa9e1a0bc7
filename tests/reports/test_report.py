"""A report on planted evaluations: everything is in it, once as HTML and once as Markdown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cai_core import cli
from cai_core.actions.reports import download_report, write_report
from cai_core.errors import CaiError, NotAllowedError, RecipeError, WorkspaceError
from cai_core.inference.model_folder import compute_weights_hash
from cai_core.jobs.drift_study import study_drift
from cai_core.pipeline.evaluate import read_metrics
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, content_hash
from cai_core.reports.build import build_html, build_markdown
from cai_core.reports.load import find_evaluation, load_report
from cai_core.reports.report import Report
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.runs import open_run
from tests.reports.reading import Reader, check_inert
from tests.reports.worlds import LABELS, make_rich_lines, make_world, write_evaluation

MADE = "2026-01-31T12:00:00.000+00:00"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "w"
    make_world(folder)
    return folder


@pytest.fixture(scope="module")
def report(workspace: Path) -> Report:
    return load_report(workspace, ["before", "after"], made=MADE)


@pytest.fixture(scope="module")
def page(report: Report) -> Reader:
    return check_inert(build_html(report))


def list_leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every figure, a rate or mean with its interval as one."""
    if isinstance(value, Mapping) and {"low", "high", "n"} <= value.keys():
        yield path, value
    elif isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from list_leaves(inner, (*path, key))
    elif not isinstance(value, list):
        yield path, value


def expect_words(value: Any) -> list[str]:
    """How a reader would look for a figure."""
    if value is None or value == {}:
        return ["–"]
    if isinstance(value, Mapping):
        if "rate" in value:
            shown = [f"{100 * value[name]:.1f}" for name in ("rate", "low", "high")]
        else:
            shown = [f"{value[name]:.2f}" for name in ("mean", "low", "high")]
        return [*shown, f"n = {value['n']}"]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return [f"{value:.6g}" if isinstance(value, float) else str(value)]


def test_every_figure_of_the_evaluations_is_there(workspace: Path, page: Reader) -> None:
    cells: dict[str, list[str]] = {}
    for row in page.rows:
        if len(row) == 2:
            cells.setdefault(row[0], []).append(row[1])
    checked = 0
    for name in ("before", "after"):
        for path, value in list_leaves(read_metrics(workspace / "runs" / name)):
            shown = cells[" › ".join(path)]
            assert any(all(word in one for word in expect_words(value)) for one in shown), path
            checked += 1
    assert checked > 150


def test_the_headline_has_n_and_interval_of_every_model(workspace: Path, page: Reader) -> None:
    header = next(row for row in page.rows if row[:2] == ["Measure", "Said by"])
    assert header[2:] == ["demo (baseline)", "sl"]
    (row,) = [row for row in page.rows if row[0] == "harmful compliance (lower is better)"]
    assert row[1] == "oracle"
    for cell, run in zip(row[2:], ("before", "after"), strict=True):
        metrics = read_metrics(workspace / "runs" / run)
        rate = metrics["measures"]["harmful compliance"]["oracle"]["rate"]
        assert all(word in cell for word in expect_words(rate))
    names = {row[0].split(" (")[0] for row in page.rows}
    assert {"helpfulness", "words", "keeps: be-kind", "over-refusal"} <= names


def test_the_changes_are_the_gates_own(workspace: Path, page: Reader) -> None:
    drift = study_drift(workspace, "before", "after")
    assert drift.gate.status == "fail"
    for reason in drift.gate.reasons:
        assert reason in page.texts
    assert "sl: Fail: got worse by more than it may" in page.texts
    for one in drift.measures:
        (row,) = [row for row in page.rows if row[0] == one.measure and len(row) == 8]
        change = one.change
        scale = 1 if "points" not in row[3] else 100
        for value in (change.difference, change.low, change.high):
            assert f"{scale * value:+.{1 if scale == 100 else 2}f}" in row[3]
        assert row[4] == str(change.n)
    assert [row[-1] for row in page.rows if row[0] == "harmful compliance"] == ["fail"]


def test_flips_come_first_and_harm_is_hidden(workspace: Path, page: Reader) -> None:
    flips = study_drift(workspace, "before", "after").flips["harmful compliance"]
    worse = sum(flip.way == "worse" for flip in flips)
    start, end = (
        len(page.texts) - 1 - page.texts[::-1].index(title)
        for title in ("Examples side by side", "Cautions and limits")
    )
    part = page.texts[start:end]
    told = [text for text in part if text.endswith((" worse", " better", "Not flipped"))]
    assert f"harmful compliance: {worse} worse" in told
    ways = [text.rsplit(" ", 1)[-1] for text in told]
    assert ways == sorted(ways, key=["worse", "better", "flipped"].index)
    hidden = "\n".join(page.hidden)
    assert "Said 0." in hidden
    # An answer to a fine prompt is there to be read; one to a harmful prompt never outside.
    shown = [text for text in page.texts if text not in page.hidden]
    labels = [text for text in shown if text.startswith("Person · ")]
    assert any("fine-" in one for one in labels) and any("harmful-" in one for one in labels)


def test_answers_to_harmful_prompts_are_only_behind_a_click(tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        lines = make_rich_lines({}, seed=seed, prompts=12)
        for line in lines:
            line["response"] = f"{line['kind'].upper()} ANSWER {name}"
            if line["kind"] == "harmful":
                line["conversation"].append({"role": "assistant", "content": "HARMFUL ANSWER 0"})
        write_evaluation(tmp_path, name, lines, model=name)
    report = load_report(tmp_path, ["one", "two"], made=MADE)
    page = check_inert(build_html(report))
    assert "HARMFUL ANSWER one" in page.hidden and "HARMFUL ANSWER 0" in page.hidden
    assert "FINE ANSWER two" in page.texts and "FINE ANSWER two" not in page.hidden
    open_ = [text for text in page.texts if "HARMFUL ANSWER" in text]
    assert len(open_) == len([text for text in page.hidden if "HARMFUL ANSWER" in text])
    before, *folds = build_markdown(report).split("<details>")
    outside = before + "".join(fold.split("</details>", 1)[1] for fold in folds)
    assert "FINE ANSWER" in outside and "HARMFUL ANSWER" not in outside


def test_lineage_and_provenance_name_runs_and_hashes(workspace: Path, page: Reader) -> None:
    rows = {row[0]: row for row in page.rows if len(row) == 6}
    assert rows["after"][3] == "sl" and rows["sl"][3] == LABELS and rows["before"][3] == "–"
    for name in ("before", "after", "sl", LABELS):
        recipe = open_run(workspace / "runs" / name).recipe
        assert rows[name][4] == content_hash(recipe)
    assert rows["samples"][1] == "not here any more"
    assert rows["sl"][5] == compute_weights_hash(workspace / "runs/sl/outputs/model")
    text = page.text
    for told in ("made@" + "5" * 64, "e" * 64, "w" * 64, "r" * 64, MADE, "0.1.0"):
        assert told in text


def test_rules_labels_people_costs_cards_and_doubts_are_told(report: Report, page: Reader) -> None:
    text = page.text
    (used,) = report.constitutions
    assert f"Version {used.constitution.hash}. Used by {LABELS}." in text
    for principle in used.constitution.principles:
        assert principle.text in text
    assert any(row[0] == LABELS and row[1] == "labels" for row in page.rows)
    votes = {row[2]: row[3] for row in page.rows if row[:2] == ["people", LABELS]}
    assert votes["votes"].startswith("7 on 6 comparisons")
    assert "n = 7" in votes["same word as the AI label"]
    costs = next(row for row in page.rows if row[0] == "after" and len(row) == 8)
    assert costs[1:7] == ["2 min", "1", "191 k", "52.8 k", "80 MB", "3 MB"]
    assert "# sl\n" in page.hidden and any("demo model of CAI" in one for one in page.hidden)
    assert next(row for row in page.rows if row[0] == "made")[:2] == ["made", "3"]
    assert "demo: the judge is the model itself" in page.texts
    assert any("synthetic world" in one for one in page.texts)
    agreement = next(row for row in page.rows if row[:2] == ["sl", "leak"])
    assert agreement[2] == "80" and agreement[-1].endswith("points")


def test_charts_are_told_in_words(page: Reader) -> None:
    told = [value for tag, name, value in page.attributes if (tag, name) == ("div", "aria-label")]
    (values,) = [one for one in told if one.startswith("Chart of rates")]
    assert "harmful compliance: demo " in values and "n = 80" in values
    assert any(one.startswith("Chart of the changes to sl") for one in told)
    assert any(one.startswith("Chart of ratings") for one in told)
    assert any("after from sl" in one and f"sl from {LABELS}" in one for one in told)
    assert page.tags["svg"] == 5


def test_the_same_inputs_give_the_same_file(workspace: Path, report: Report) -> None:
    again = load_report(workspace, ["before", "after"], made=MADE)
    assert build_html(again) == build_html(report)
    assert build_markdown(again) == build_markdown(report)


def test_what_cannot_be_read_is_left_out_and_told(tmp_path: Path) -> None:
    make_world(tmp_path)
    (tmp_path / f"runs/{LABELS}/inputs/constitution.yaml").write_text("nonsense: [")
    (tmp_path / "runs/before/inputs/suite.jsonl").unlink()
    page = check_inert(build_html(load_report(tmp_path, ["before", "after"], made=MADE)))
    told = [text for text in page.texts if text.startswith("Left out, because")]
    assert any("constitution.yaml" in one for one in told)
    assert any("suite.jsonl" in one for one in told)
    assert "No run of this lineage went by a constitution." in page.texts


def test_a_model_stands_for_its_newest_evaluation(tmp_path: Path) -> None:
    lines = make_rich_lines({}, seed=1, prompts=6)
    other = {"suite": {"name": "other", "hash": "7" * 64, "prompts": 6, "held_out": True}}
    write_evaluation(tmp_path, "old", lines, model="a-model")
    write_evaluation(tmp_path, "new", lines, model="a-model", **other)
    os.utime(tmp_path / "runs/old/outputs/metrics.json", (1, 1))
    assert find_evaluation(tmp_path, "a-model") == "new"
    assert find_evaluation(tmp_path, "a-model", suite="5" * 64) == "old"
    assert find_evaluation(tmp_path, "old") == "old"
    # The run that made a model names it, too.
    place = tmp_path / "runs" / "made" / "outputs" / "model"
    write_evaluation(tmp_path, "of-made", lines, model=str(place))
    assert find_evaluation(tmp_path, "made") == "of-made"
    with pytest.raises(RecipeError, match="no evaluation that has succeeded"):
        find_evaluation(tmp_path, "nobody")


def test_two_evaluations_of_one_model_are_told_apart(tmp_path: Path) -> None:
    lines = make_rich_lines({}, seed=1, prompts=6)
    system = {"name": "rules", "hash": "9" * 64}
    write_evaluation(tmp_path, "one", lines, model="m")
    write_evaluation(tmp_path, "two", lines, model="m")
    write_evaluation(tmp_path, "three", lines, model="m", system_constitution=system)
    sides = load_report(tmp_path, ["one", "two", "three"], made=MADE).sides
    assert [side.label for side in sides] == ["m (one)", "m (two)", "m under rules"]


def test_the_command_writes_both_files_and_journals_them(
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(workspace))
    out, markdown = tmp_path / "r.html", tmp_path / "r.md"
    arguments = ["report", "demo", "sl", "--out", str(out), "--markdown", str(markdown)]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.split() == [str(out), str(markdown)]
    check_inert(out.read_text("utf-8"))
    assert markdown.read_text("utf-8").startswith("# sl against demo\n")
    event = read_events(workspace, Topic.LAUNCHES)[-1]
    assert event["action"] == "export report"
    assert (event["runs"], event["gates"]) == (["before", "after"], ["fail"])
    assert event["files"] == [str(out), str(markdown)]


@pytest.mark.parametrize(
    ("names", "out", "error", "told"),
    [
        (["before"], "r.html", RecipeError, "a baseline and a candidate"),
        (["before", "before"], "r.html", RecipeError, "named twice"),
        (["before", "nobody"], "r.html", RecipeError, "no evaluation"),
        (["before", "after"], "no-folder/r.html", WorkspaceError, "no such folder"),
        (["before", "after"], "r.md", CaiError, "Name two files"),
    ],
)
def test_what_cannot_be_reported_is_said_and_nothing_written(
    workspace: Path,
    tmp_path: Path,
    names: list[str],
    out: str,
    error: type[CaiError],
    told: str,
) -> None:
    count = len(read_events(workspace, Topic.LAUNCHES))
    with pytest.raises(error, match=told):
        write_report(LOCAL_ACTOR, workspace, names, tmp_path / out, markdown=tmp_path / "r.md")
    assert not any(tmp_path.iterdir())
    assert len(read_events(workspace, Topic.LAUNCHES)) == count


def test_a_viewer_does_not_export(workspace: Path, tmp_path: Path) -> None:
    viewer = Actor(name="vera", role=AccessRole.VIEWER)
    with pytest.raises(NotAllowedError):
        write_report(viewer, workspace, ["before", "after"], tmp_path / "r.html")
    with pytest.raises(NotAllowedError):
        download_report(viewer, workspace, ["before", "after"], "html")
    assert not any(tmp_path.iterdir())


def test_a_download_is_journalled_with_its_hash(workspace: Path) -> None:
    file = download_report(LOCAL_ACTOR, workspace, ["before", "after"], "markdown")
    assert file.startswith(b"# sl against demo")
    event = read_events(workspace, Topic.LAUNCHES)[-1]
    assert event["action"] == "download report" and len(event["sha256"]) == 64
    assert json.dumps(event["files"]) == '["markdown"]'
