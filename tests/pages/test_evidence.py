"""The evidence page through AppTest: table, answers, pairs, calibration, what is missing."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions import jobs
from cai_core.jobs.queue import load_queue
from cai_core.pipeline.choices_run import FIGURES
from cai_core.pipeline.label_recipe import ComparisonSource, LabelRecipe
from cai_core.pipeline.label_records import LABELS
from cai_core.records import AccessRole, Actor, Message, PromptKind
from cai_core.workspace.answer_reviews import read_answer_reviews
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.runs import create_run, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter
from tests.drift_workspace import write_evaluation
from tests.evaluation.drift_makers import HEADER, make_line
from tests.hostile import HOSTILE as FORMS
from tests.jobs.test_registry import make_chains, make_model, set_kind
from tests.pipeline.makers import make_constitution
from tests.training.labels import make_label
from ui import services
from ui.evidence_data import load_evidence
from ui.evidence_frontier import build_frontier, describe_frontier, find_spots
from ui.evidence_pairs import build_ratings, describe_ratings
from ui.evidence_review import order_answers

HOSTILE = " ".join(FORMS)
HARM = "harmful compliance"
SYSTEM = {"name": "harmlessness", "hash": "12" * 32}


def script() -> None:
    import streamlit as st

    from ui.explorer_links import PLAYGROUND

    pages = [PLAYGROUND.with_name("evidence.py"), PLAYGROUND.with_name("preferences.py")]
    st.navigation([st.Page(page, default=page == pages[0]) for page in pages]).run()


def open_page(**params: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=60)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def read_table(app: AppTest) -> dict[str, str]:
    """Measure → the words of its row in the first table."""
    table = re.findall(r"<table>.*?</table>", shown(app))[0]
    rows = re.findall(r'<tr><th scope="row">([^<]*)<(.*?)</tr>', table)
    return {name: html.unescape(re.sub(r"<[^>]+>", " ", rest)) for name, rest in rows}


def address(app: AppTest) -> dict[str, Any]:
    told = dict(app.query_params)
    return {name: value if isinstance(value, str) else value[-1] for name, value in told.items()}


def write(workspace: Path, run: str, model: str, harm: float, refused: float, **more: Any) -> None:
    """Thirty harmful and thirty fine prompts, of which the first ones show it."""
    lines = []
    for number in range(30):
        for kind, name, rate in (("harmful", HARM, harm), ("fine", "over-refusal", refused)):
            lines.append(
                make_line(
                    f"{kind}-{number}",
                    kind,
                    0,
                    {name: {"judge": number < 30 * rate}},
                    response=f"{run} says {kind} {number}.",
                )
            )
    told = {**HEADER["model"], "name": model}
    write_evaluation(workspace, run, lines, model=told, thought=f"{run}: it gives steps.", **more)


@pytest.fixture
def trained(workspace: Path) -> Path:
    """A loop's models: base, SL-CAI, RL-CAI."""
    make_chains(workspace, "chains")
    sl = make_model(workspace, "sl", "chains", sources=[{"run": "chains", "use": "final"}])
    set_kind(make_model(workspace, "rl", "sl", base=str(sl.path / "outputs" / "model")), "rl")
    return workspace


@pytest.fixture
def filled(trained: Path) -> Path:
    """Every method is evaluated."""
    write(trained, "e-base", "demo", 1.0, 0.0)
    write(trained, "e-system", "demo", 0.5, 0.3, system_constitution=SYSTEM)
    rules = {f"feedback_constitution{'_hash' * (key == 'hash')}": SYSTEM[key] for key in SYSTEM}
    write(trained, "e-best", "demo", 0.9, 0.0, best_of=4, recipe=rules)
    write(trained, "e-sl", "sl", 0.2, 0.0)
    write(trained, "e-rl", "rl", 0.0, 0.1)
    return trained


def write_pairs(workspace: Path) -> str:
    """A label run that prefers SL-CAI over base in both orders, but for one that goes by place."""
    rules = make_constitution()
    recipe = LabelRecipe(
        sources=(ComparisonSource(run="e-sl", against="e-base"),),
        feedback_model="demo",
        constitution=rules.name,
        constitution_hash=rules.hash,
        similarity=1.0,
    )
    run = create_run(
        workspace / "runs" / "pairs", kind="label", recipe=recipe.as_dict(), parents=recipe.parents
    )
    labels = []
    for number in range(30):
        a_first = 0.9 if number else 0.5
        labels.append(
            make_label(
                number,
                0.9 if number else 0.5,
                comparison_id=f"c{number}",
                prompt_id=f"harmful-{number}",
                prompt_kind=PromptKind.RED_TEAM,
                conversation=(Message("user", f"Ask harmful-{number}?"),),
                source_a={"run": "e-sl", "chain": f"harmful-{number}/0"},
                source_b={"run": "e-base", "chain": f"harmful-{number}/0"},
                prob_a_first=a_first if number else 0.9,
                prob_a_second=a_first if number else 0.1,
            )
        )
    (run.path / "inputs").mkdir(exist_ok=True)
    from cai_core.pipeline.label_inputs import LabelInputs, build_label_inputs

    for name, build in build_label_inputs(LabelInputs(constitution=rules)).items():
        replace_file(run.path / "inputs" / name, build())
    replace_file(run.outputs / LABELS, (encode_record(one.as_dict()) for one in labels))
    with RunWriter(run) as writer:
        writer.set_status(RunState.SUCCEEDED)
    return run.run_id


def test_an_empty_workspace_says_what_to_do() -> None:
    app = open_page()
    assert "Nothing to compare yet" in shown(app)
    assert "No run has compared models yet" in shown(app)
    assert "No file of questions" in shown(app)


def test_what_was_trained_is_evaluated_by_one_button(
    trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)
    app = open_page()
    assert "Base, System prompt only, Best of n, SL-CAI, RL-CAI" in shown(app)
    app.selectbox(key="evidence_preset").set_value("demo-look").run()
    assert any("evidence --run --preset demo-look --judge demo" in one.value for one in app.code)
    # The constitution of the fixture's chains is not one of this workspace: said, not guessed.
    app.button(key="evidence_go").click().run()
    assert "Not begun" in shown(app) and load_queue(trained) == []


def test_only_what_is_missing_is_asked_like_the_others(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)
    (filled / "runs" / "e-rl").rename(filled / "gone")
    for run in ("e-base", "e-system", "e-best", "e-sl"):
        path = filled / "runs" / run / "recipe.yaml"
        text = path.read_text("utf-8").replace(
            "model: demo", "model: demo\n  suite: demo-fine\n  limit: 6\n  samples: 1\n  seed: 4"
        )
        path.write_text(text, "utf-8")
    app = open_page()
    assert "Not evaluated by this suite yet: RL-CAI" in shown(app)
    app.button(key="evidence_go").click().run()
    (run,) = load_queue(filled)
    recipe = open_run(filled / "runs" / run).recipe
    assert recipe["model"].endswith("runs/rl/outputs/model")
    assert (recipe["limit"], recipe["samples"], recipe["seed"]) == (6, 1, 4)
    assert run in shown(app) and "queued" in shown(app)


def test_the_table_tells_figures_changes_and_what_is_better(filled: Path) -> None:
    app = open_page()
    rows = read_table(app)
    assert list(rows)[:2] == [HARM, "over-refusal"]
    told = rows[HARM]
    for words in ("100.0 %", "50.0 %", "20.0 %", "0.0 %", "n = 30", "better", "−100.0 points"):
        assert words in told
    found = load_evidence(filled, ("e-base", "e-system", "e-best", "e-sl", "e-rl"), None)
    change = found.changes[HARM, "e-sl"]
    assert f"[−{-100 * change.low:.1f}, −{-100 * change.high:.1f}]" in told
    assert "may be chance" in rows["over-refusal"]
    assert f"for all {found.compared} differences" in shown(app)
    # Held against another one the signs turn.
    app.selectbox(key="evidence_against").set_value("e-rl").run()
    assert address(app)["against"] == "e-rl"
    assert "+100.0 points" in read_table(app)[HARM] and "worse" in read_table(app)[HARM]
    app.multiselect(key="evidence_models").set_value(["e-rl", "e-sl"]).run()
    assert "50.0 %" not in read_table(app)[HARM]


def test_a_cell_opens_the_answers_of_all_models_blurred(filled: Path) -> None:
    assert re.search(r'href="\?[^"]*run=e-sl[^"]*measure=harmful\+compliance', shown(open_page()))
    app = open_page(run="e-sl", measure=HARM)
    text = shown(app)
    # The first ones differ: base complies, SL-CAI does not.
    assert text.index("harmful-6, sample 1") < text.index('class="cai-beside"')
    for run in ("e-base", "e-system", "e-sl", "e-rl"):
        assert f"{run} says harmful 6." in text
    assert 'class="cai-blur"' in text and "The judge: harm" in text
    assert "harmful compliance: yes" in text and "harmful compliance: no" in text
    app.toggle(key="evidence_show_harmful").set_value(True).run()
    assert "cai-blur" not in shown(app)
    for params in ({"run": "../..", "measure": HARM}, {"run": "e-sl", "measure": "no"}):
        assert "No such cell" in shown(open_page(**params))


def test_the_frontier_draws_boxes_of_both_intervals(filled: Path) -> None:
    from ui.evidence_data import Chosen, choose_runs, label_evaluations, list_groups

    methods, (group,) = list_groups(filled)
    runs = choose_runs(group, asked=(), against="")
    chosen = Chosen(runs=runs, labels=label_evaluations(group), group=group, methods=methods)
    found = load_evidence(filled, runs, None)
    spots, refused = find_spots(chosen, found)
    assert refused and [spot.label for spot in spots] == [
        "Base",
        "System prompt only",
        "Best of n",
        "SL-CAI",
        "RL-CAI",
    ]
    figure = build_frontier(spots, refused=refused, dark=False)
    box = figure.layout.shapes[1]
    harm, over = found.figures[HARM, "e-system"], found.figures["over-refusal", "e-system"]
    assert (box.x0, box.x1) == (100 * harm.low, 100 * harm.high)
    assert (box.y0, box.y1) == (100 * (1 - over.high), 100 * (1 - over.low))
    assert "SL-CAI: harm 20.0 % [" in describe_frontier(spots)


def test_pairs_are_told_both_ways_and_open_their_comparisons(filled: Path) -> None:
    run = write_pairs(filled)
    app = open_page()
    text = shown(app)
    assert "29, 1, 0" in text and "1 tie went by the place" in text
    assert "SL-CAI<small>against Base" in text and "98.3 %" in text
    assert app.selectbox(key="evidence_anchor").value == "e-base"
    app.selectbox(key="evidence_anchor").set_value("e-sl").run()
    assert address(app)["anchor"] == "e-sl"
    opened = shown(open_page(pairs=run, pair="e-sl,e-base"))
    assert "30 comparisons" in opened and "I will not help with thing 0" in opened
    assert "cai-blur" in opened
    assert "No such pair" in shown(open_page(pairs=run, pair="e-sl,nobody"))
    from ui.evidence_data import load_pairs

    study, found = load_pairs(filled, run, "e-base")
    figure = build_ratings(found.elo, study.names, dark=True)
    assert list(figure.data[0].y) == ["demo", "sl"]
    assert "demo 1000, the anchor" in describe_ratings(found.elo, study.names)


def test_comparisons_of_the_table_are_handed_in(
    filled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ensure_dispatcher", lambda workspace: False)
    app = open_page()
    app.toggle(key="evidence_reasons").set_value(False).run()
    app.button(key="evidence_compare").click().run()
    (run,) = load_queue(filled)
    recipe = open_run(filled / "runs" / run).recipe
    assert [(one["run"], one["against"]) for one in recipe["sources"]][:2] == [
        ("e-system", "e-base"),
        ("e-best", "e-base"),
    ]
    assert recipe["orders"] == "both" and not recipe["reasoned"]


def test_a_judge_is_not_calibrated_until_people_have_read_answers_blind(filled: Path) -> None:
    assert "The judge judge: not calibrated against people yet" in shown(open_page())
    app = open_page(review="e-system", asked=HARM)
    text = shown(app)
    assert "you have read 0 of them" in text and "the judge: " not in text
    # What is blurred cannot be judged.
    assert app.button(key="review_yes").disabled
    app.toggle(key="review_show_harmful").set_value(True).run()
    from cai_core.jobs.drift_study import load_side

    first, second, *_ = order_answers(load_side(filled, "e-system"), HARM)
    assert f"says harmful {first[0].partition('-')[2]}." in shown(app)
    app.button(key="review_yes").click().run()
    (said,) = read_answer_reviews(filled)
    assert (said.prompt_id, said.shown, said.blind) == (first[0], True, True)
    assert "you: yes" in shown(app) and "the judge: " in shown(app)
    assert f"says harmful {second[0].partition('-')[2]}." in shown(app)
    app.button(key="review_cannot_tell").click().run()
    page = shown(open_page())
    assert "not calibrated" not in page and "The judge judge against 1 person on 1 cases" in page
    assert "1 undecided; 100 % blind" in page


def test_choices_are_listed_with_intervals(filled: Path) -> None:
    mean = {"mean": 0.7, "low": 0.6, "high": 0.8, "n": 100, "clusters": 80}
    rate = {"rate": 0.5}
    document = {
        "model": HOSTILE,
        "scorer": "judge",
        "file": "hhh.jsonl",
        "shuffled": 1,
        "accuracy": mean,
        "by_kind": {"honest": mean, HOSTILE: mean},
        "chance": 0.5,
        "above_chance": True,
        "first_chosen": rate,
        "first_right": rate,
        "unscored": 3,
        "n": 103,
    }
    run = create_run(filled / "runs" / "choices-1", kind="choices", recipe={"a": 1})
    replace_file(run.outputs / FIGURES, [encode_record(document)])
    text = shown(open_page())
    assert "70.0 % [60.0, 80.0]" in text and "right answers drawn anew" in text
    assert "3 of 103" in text and "<img" not in text


def test_names_and_addresses_are_not_trusted(filled: Path) -> None:
    write(filled, "e-bad", HOSTILE, 0.5, 0.5)
    app = open_page(models="e-base,e-bad,../x", against="<b>", suite="<b>", by="nobody", pairs="x")
    drawn = "".join(line for line in shown(app).splitlines() if not line.startswith("<style>"))
    for tag in ("<img", "<script", "<svg", "<iframe", "<object", "<meta", "<video"):
        assert tag not in drawn
    assert html.escape("<script") in drawn
    assert "This evaluation cannot be read" in shown(open_page(review="../x"))


def test_a_viewer_can_look_and_nothing_else(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Actor(name="vera", role=AccessRole.VIEWER)
    monkeypatch.setattr(services, "actor", lambda: viewer)
    (filled / "runs" / "e-rl").rename(filled / "gone")
    app = open_page()
    assert read_table(app)
    assert not {button.key for button in app.button} & {"evidence_go", "evidence_compare"}
    assert "Not yours to review" in shown(open_page(review="e-base"))
