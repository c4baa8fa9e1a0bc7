"""The preferences page through AppTest: filters, the drawer, links, exports, over a real index."""

from __future__ import annotations

import html
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.comparison_reviews import make_queue, vote_comparison
from cai_core.evaluation.label_traits import LabelFilter
from cai_core.jobs.label_study import load_study
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, PromptKind, Verdict
from cai_core.workspace.events import Topic, read_events
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.review_votes import VoteChoice
from cai_core.workspace.runs import create_run
from tests.chain_workspace import Round, Texts, write_chains
from tests.label_workspace import write_labels
from tests.training.labels import make_label
from ui import background, services
from ui.preferences_filter import build_params, find_run_view, parse_filter

HOSTILE = '![x](http://evil.example/a.png) <img src="http://evil.example/b.png"> **b** `c` $d$'
ADA = Actor(name="ada", role=AccessRole.REVIEWER)
BOB = Actor(name="bob", role=AccessRole.REVIEWER)


def script() -> None:
    import streamlit as st

    from ui import explorer_links as links

    pages = ("CONSTITUTIONS", "CRITIQUES", "LABELS", "MODELS", "PLAYGROUND", "REVIEW", "RUNS")
    others = [st.Page(getattr(links, name)) for name in pages]
    others.append(st.Page(links.CRITIQUES.with_name("compare.py")))
    st.navigation([st.Page(links.PREFERENCES, default=True), *others]).run()


@pytest.fixture
def filled(workspace: Path) -> list[LabelRecord]:
    """Two runs of labels that differ in all that is filtered by; people judged two of them."""
    both = {"prob_a_first": 0.9, "prob_a_second": 0.1, "position_bias": 0.8}
    chain = write_chains(
        workspace, "samples", [Texts(prompt="How?", rounds=(Round(revision="B"),))]
    )
    assert chain
    labels = [
        make_label(0, 0.9, principle_ids=("p0",), source_a={"run": "samples", "chain": "p#1/0"}),
        make_label(1, 0.1, principle_ids=("p1",), prompt_kind=PromptKind.HELPFUL),
        make_label(2, 0.5, principle_ids=("p0",), **both),
        make_label(3, None, principle_ids=("p1",), response_a=HOSTILE),
        make_label(4, 1.0, label_source="human", reviewer="Ada"),
    ]
    labels = [
        replace(one, feedback_model="judge" if one.label_source != "human" else None)
        for one in labels
    ]
    answers = {0: {("p0", 0): 0.95, ("p0", 1): 0.15}}
    write_labels(workspace, "mine", labels, answers=answers, thought=f"Hm. {HOSTILE}\nVerdict: A")
    write_labels(workspace, "other", [make_label(7, feedback_model="judge-2")])
    study = load_study(workspace / "runs" / "mine")
    queue = make_queue(LOCAL_ACTOR, workspace, study=study, chosen=LabelFilter(principle="p0"))
    for actor, comparison, choice in (
        (ADA, "c0", VoteChoice.A),
        (BOB, "c0", VoteChoice.A),
        (ADA, "c2", VoteChoice.B),
    ):
        vote_comparison(
            actor, workspace, queue=queue.queue_id, comparison=comparison, choice=choice,
            reason=f"Because {HOSTILE}", blind=True, shown_first="A",
        )  # fmt: skip
    return labels


def open_page(**params: str) -> AppTest:
    services.index().ingest()
    app = AppTest.from_function(script, default_timeout=20)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def listed(app: AppTest) -> str:
    """Numbers of the comparisons in the list."""
    found = re.findall(r'<span class="cai-line">How do I do thing (\d)', shown(app))
    return "".join(sorted(found))


def address(app: AppTest) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else value[-1]
        for name, value in dict(app.query_params).items()
    }


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def press_label(app: AppTest, label: str) -> AppTest:
    """Press the button of that label, whatever its key."""
    (key,) = [one.key for one in app.button if one.label.replace("\\", "") == label]
    return press(app, key)


def links(app: AppTest) -> dict[str, str]:
    return {
        link.proto.label.replace("\\", ""): link.proto.query_string for link in app.get("page_link")
    }


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("verdict", "tie", "2"),
        ("source", "human", "4"),
        ("kind", "helpful", "1"),
        ("principle", "p1", "13"),
        ("model", "judge-2", "7"),
        ("run", "other", "7"),
        ("review", "open", "1347"),
        ("review", "agrees", "0"),
        ("review", "disputed", "2"),
    ],
)
def test_each_field_filters_and_stands_in_the_address(
    filled: list[LabelRecord], field: str, value: str, found: str
) -> None:
    app = open_page()
    assert listed(app) == "012347"
    app.selectbox(key=f"filter_{field}").set_value(value).run()
    assert not app.exception
    assert listed(app) == found
    assert address(app) == {field: value}


def test_the_address_filters_and_what_cannot_be_is_ignored(filled: list[LabelRecord]) -> None:
    assert listed(open_page(q="thing 3 EVIL.example")) == "3"
    assert listed(open_page(only="same-position")) == "2"
    assert listed(open_page(confidence="8", run="mine")) == "01"
    assert listed(open_page(bias="18")) == "2"
    for junk in ({"verdict": "<x>", "review": "?", "only": "no", "bias": "99"}, {"after": "9"}):
        assert listed(open_page(**junk)) == "012347"
    app = open_page(principle="nobody")
    app.button(key="empty_clear").click().run()
    assert listed(app) == "012347"


def test_a_filter_and_its_address_are_one_and_facets_count() -> None:
    chosen = ComparisonFilter(
        constitution="a", constitution_hash="ab12", principle="p&=?", verdict="pending",
        source="human", kind="unknown", run="r", model="m", review="disputed",
        traits=("near-tie", "reasoned"), confidence=0, bias=19, text="x y",
    )  # fmt: skip
    assert parse_filter(build_params(chosen)) == chosen
    assert build_params(ComparisonFilter()) == {}
    view = find_run_view(chosen, {})
    assert (view.run, view.chosen.only, view.chosen.text) == ("r", ("near-tie",), "x y")
    assert len(view.lost) == 4


def test_counts_and_people_stand_beside_the_label(filled: list[LabelRecord]) -> None:
    app = open_page()
    assert "6 comparisons" in shown(app)
    assert "A preferred (3)" in app.selectbox(key="filter_verdict").options
    told = html.unescape(re.sub(r"<[^>]+>", " ", shown(app)))
    assert "2 people: as the label" in told
    assert "1 person: disputed" in told


def test_the_drawer_shows_the_whole_comparison_and_text_stays_text(
    filled: list[LabelRecord],
) -> None:
    app = open_page(comparison="c0", of="mine", run="mine")
    text = html.unescape(re.sub(r"<[^>]+>", " ", shown(app)))
    for part in ("A shown first", "B shown first", "P(first preferred) 0.9500", "Confidence",
                 "Be kind in way 0.", "Because", "ada", "bob",
                 "Response A from", "samples · p#1/0"):  # fmt: skip
        assert part in text, part
    assert html.escape(HOSTILE) in shown(app)
    assert "<img" not in shown(app)
    app.toggle(key="drawer_show_harmful").set_value(True).run()
    assert "<ins>" not in shown(app)
    app.toggle(key="diff").set_value(True).run()
    assert "<ins>" in shown(app) and "<del>" in shown(app)
    there = links(app)
    assert there["Run mine"] == "run=mine"
    assert there["Quality of its run’s labels"] == "run=mine"
    assert "Chain of response A" in there and "Chain of response B" not in there
    for bad in ({"comparison": "<img>", "of": "mine"}, {"comparison": "c0"}):
        app = open_page(**bad)
        assert "No such comparison here" in shown(app)


def test_the_drawer_leads_to_more_like_it_and_to_labels(filled: list[LabelRecord]) -> None:
    there = {"comparison": "c0", "of": "mine", "verdict": "A"}
    app = press_label(open_page(**there), "All under p0")
    assert (address(app), listed(app)) == ({"principle": "p0"}, "02")
    app = press_label(open_page(**there), "All labels of judge")
    assert (address(app), listed(app)) == ({"model": "judge"}, "0123")
    app = press(open_page(**there), "comparison_in_labels")
    assert address(app) == {"run": "mine", "view": "list", "label": "c0"}
    assert "better in truth" in shown(app) or "The feedback model’s answers" in shown(app)


def test_a_model_trained_on_the_labels_is_linked(
    filled: list[LabelRecord], workspace: Path
) -> None:
    for name, kind, parents in (("rm", "reward", ["mine"]), ("rl", "rl", ["rm"])):
        run = create_run(workspace / "runs" / name, kind=kind, recipe={"a": 1}, parents=parents)
        (run.path / "status.json").write_text(
            (workspace / "runs" / "mine" / "status.json").read_text()
        )
    there = links(open_page(comparison="c1", of="mine"))
    assert (there["Model rm"], there["Model rl"]) == ("model=rm", "model=rl")
    later = links(open_page(comparison="c7", of="other"))
    assert not any(name.startswith("Model") for name in later)


def test_red_team_responses_are_blurred_until_asked_for(filled: list[LabelRecord]) -> None:
    app = open_page(principle="p0")
    assert shown(app).count('<div class="cai-blur"') == 4
    app.toggle(key="show_harmful").set_value(True).run()
    assert '<div class="cai-blur"' not in shown(app)


def test_a_list_of_one_run_leads_to_its_labels_and_to_a_queue(filled: list[LabelRecord]) -> None:
    asked = {"run": "mine", "verdict": "tie", "principle": "p0"}
    assert links(open_page(**asked))["Quality of this run’s labels"] == "run=mine"
    app = press(open_page(**asked), "these_in_labels")
    assert address(app) == {"view": "list", **asked}
    assert "1 label" in shown(app)
    app = press(open_page(**asked, review="disputed"), "queue_of_these")
    assert address(app) == {"new": "1", **asked}
    assert app.button(key="review_make")
    assert "Without: judged by people." in shown(open_page(run="mine", review="disputed"))
    assert "choose a run" in shown(open_page())


def test_paging_visits_every_comparison_once(workspace: Path) -> None:
    write_labels(workspace, "many", [make_label(n) for n in range(60)])
    app = open_page()
    seen = re.findall(r"How do I do thing (\d+)\?</span>", shown(app))
    while not app.button(key="page_older").disabled:
        app.button(key="page_older").click().run()
        assert not app.exception
        seen += re.findall(r"How do I do thing (\d+)\?</span>", shown(app))
    assert sorted(map(int, seen)) == list(range(60))
    app.button(key="page_first").click().run()
    assert "after" not in address(app)


def test_an_empty_workspace_says_what_makes_comparisons(workspace: Path) -> None:
    app = open_page()
    assert "No comparisons yet." in shown(app)
    assert app.button(key="empty_runs")


@pytest.mark.parametrize("format", ["jsonl", "parquet", "csv", "trl", "trl-sft"])
def test_what_is_listed_is_exported_whole_with_its_card(
    filled: list[LabelRecord], workspace: Path, format: str
) -> None:
    app = open_page(run="mine", kind="red-team")
    app.selectbox(key="export_format").set_value(format).run()
    app.button(key="export_make").click().run()
    wait_for_exports(app)
    (path,) = (one for one in (workspace / "exports").iterdir() if one.suffix != ".md")
    wanted = [one for one in filled if one.prompt_kind is PromptKind.RED_TEAM]
    if format == "jsonl":
        lines = [LabelRecord.parse(json.loads(line)) for line in path.read_text().splitlines()]
        assert lines == wanted[::-1]
    elif format == "parquet":
        assert pq.read_table(path).num_rows == len(wanted)
    elif format == "csv":
        assert path.read_text("utf-8").count("\n") == len(wanted) + 1
    else:
        decided = [one for one in wanted if one.verdict in (Verdict.A, Verdict.B)]
        assert len(path.read_text().splitlines()) == len(decided)
        assert "Left out: 1 tie" in shown(app) or "1 unparsed" in shown(app)
    card = path.with_name(f"{path.name}.md").read_text("utf-8")
    assert '"kind": "red-team"' in card and '"page": "preferences"' in card
    assert "prompt kind: Red-team; run: mine" in card
    (event,) = [e for e in read_events(workspace, Topic.LAUNCHES) if "export" in e["action"]]
    assert event["query"]["query"] == {"run": "mine", "kind": "red-team"}
    assert {b.proto.label for b in app.get("download_button")} >= {
        "Download the file",
        "Download its data card",
    }


def wait_for_exports(app: AppTest) -> None:
    deadline = time.monotonic() + 20
    while background._threads and time.monotonic() < deadline:
        time.sleep(0.02)
    app.run()
    assert not app.exception


def test_a_viewer_reads_and_neither_exports_nor_saves(
    filled: list[LabelRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "actor", lambda: Actor(name="vera", role=AccessRole.VIEWER))
    app = open_page(run="mine")
    assert listed(app) == "01234"
    assert app.button(key="export_make").disabled
    assert not any(button.key == "queue_of_these" for button in app.button)
