"""The labels page through AppTest: numbers, the way to their examples, filters, the drawer."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.labels import download_labels
from cai_core.evaluation.label_traits import LabelFilter
from cai_core.pipeline.human_labels import HumanLabel
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, PromptKind, Verdict
from cai_core.workspace.events import Topic, read_events
from tests.label_workspace import write_labels
from tests.training.labels import make_label
from ui import services
from ui.labels_address import build_label_params, follow_bin, parse_label_filter
from ui.labels_data import load_labels
from ui.labels_export import build_card

HOSTILE = '![x](http://evil.example/a.png) <img src="http://evil.example/b.png"> **b** `c` $d$'
TIE = Verdict.TIE


def script() -> None:
    import streamlit as st

    from ui.explorer_links import PREFERENCES, RUNS
    from ui.labels_address import LABELS_PAGE

    pages = [st.Page(RUNS), st.Page(PREFERENCES)]
    st.navigation([st.Page(LABELS_PAGE, default=True), *pages]).run()


@pytest.fixture
def filled(workspace: Path) -> list[str]:
    """A run with a label of each sort, and people who know about three of them."""
    both = {"prob_a_first": 0.9, "prob_a_second": 0.1, "position_bias": 0.8, "verdict": TIE}
    labels = [
        make_label(0, 0.9, principle_ids=("p0",), response_b="Sure."),
        make_label(1, 0.1, principle_ids=("p1",), prompt_kind=PromptKind.HELPFUL),
        make_label(2, 0.5, principle_ids=("p0",), **both),
        make_label(3, None, principle_ids=("p1",), response_a=HOSTILE),
        make_label(4, 1.0, label_source="human", reviewer="Ada"),
    ]
    truths = {0: Verdict.A, 1: Verdict.A, 2: TIE}
    human = [
        HumanLabel(comparison_id=f"c{n}", verdict=v, reviewer="Ada") for n, v in truths.items()
    ]
    answers = {0: {("p0", 0): 0.95, ("p0", 1): 0.15}}
    write_labels(workspace, "people", [make_label(7)], human=human)
    write_labels(workspace, "mine", labels, answers=answers, thought=f"Hm. {HOSTILE}\nVerdict: A")
    return [label.comparison_id for label in labels]


def open_page(**params: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=20)
    for name, value in params.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(block.proto.body for block in app.get("html"))


def listed(app: AppTest) -> str:
    """Numbers of the labels in the list."""
    found = re.findall(r'<span class="cai-line">How do I do thing (\d)', shown(app))
    return "".join(found)


def address(app: AppTest) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else value[-1]
        for name, value in dict(app.query_params).items()
    }


def test_an_empty_workspace_says_what_makes_labels(workspace: Path) -> None:
    app = open_page()
    assert "No labels yet." in shown(app)
    assert app.button(key="labels_to_runs")


def test_a_run_that_is_not_here_is_said_and_another_shown(filled: list[str]) -> None:
    app = open_page(run="<img src=x>")
    assert "No labels of such a run here" in shown(app)
    assert app.selectbox(key="labels_run").value == "mine"


def test_each_number_leads_to_its_examples(filled: list[str]) -> None:
    app = open_page(run="mine")
    text = html.unescape(re.sub(r"<[^>]+>", " ", shown(app)))
    assert "66.7 %" in text  # two of three are what people say
    assert "A 2 · B 1 · tie 1" in text
    for key, query, found in (
        ("labels", {}, "01234"),
        ("unparsed", {"verdict": "unparsed"}, "3"),
        ("accuracy", {"only": "wrong"}, "1"),
        ("position", {"only": "same-position"}, "2"),
        ("near", {"only": "near-tie"}, "2"),
        ("longer", {"only": "longer"}, "0"),
    ):
        app = open_page(run="mine")
        app.button(key=f"examples_{key}").click().run()
        assert not app.exception
        assert listed(app) == found, key
        assert address(app) == {"run": "mine", "view": "list", **query}
    app = open_page(run="mine")
    principle = next(b for b in app.button if b.label == "p1")
    principle.click().run()
    assert listed(app) == "13"
    app = open_page(run="mine")
    next(b for b in app.button if b.label == "1 disagree").click().run()
    assert listed(app) == "1"


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"verdict": "tie"}, "2"),
        ({"source": "human"}, "4"),
        ({"kind": "helpful"}, "1"),
        ({"principle": "p0"}, "02"),
        ({"principle": "none such"}, ""),
        ({"q": "EVIL.example"}, "3"),
        ({"only": "truth,wrong"}, "1"),
        ({"confidence": "8"}, "01"),
        ({"bias": "18"}, "2"),
        ({"verdict": "<x>", "only": "no,such", "bias": "99", "page": "-3"}, "01234"),
    ],
)
def test_the_address_filters(filled: list[str], params: dict[str, str], found: str) -> None:
    app = open_page(run="mine", view="list", **params)
    assert listed(app) == found
    if not found:
        app.button(key="labels_empty").click().run()
        assert listed(app) == "01234"


def test_a_field_changes_the_address_and_keeps_the_other_filters(filled: list[str]) -> None:
    app = open_page(run="mine", view="list", only="truth", page="1")
    app.selectbox(key="labels_verdict").set_value("B").run()
    assert address(app) == {"run": "mine", "view": "list", "only": "truth", "verdict": "B"}
    assert listed(app) == "1"
    app.text_input(key="labels_text").set_value("thing 0").run()
    assert listed(app) == ""
    app.button(key="labels_clear").click().run()
    assert address(app) == {"run": "mine", "view": "list"}


def test_a_filter_and_its_address_are_one() -> None:
    chosen = LabelFilter(
        verdict="A", principle="p&=?", source="human", kind="helpful", only=("near-tie", "wrong"),
        confidence=0, bias=19, text="x y",
    )  # fmt: skip
    assert parse_label_filter(build_label_params(chosen)) == chosen
    assert build_label_params(LabelFilter()) == {}


def test_the_drawer_shows_every_answer_and_text_stays_text(filled: list[str]) -> None:
    app = open_page(run="mine", label="c0")
    text = shown(app)
    assert "B shown first" in text
    assert "P(first preferred) 0.9500" in text
    assert "better in truth" in text
    assert html.escape(HOSTILE) in text
    hostile = shown(open_page(run="mine", label="c3", view="list"))
    assert html.escape(HOSTILE) in hostile
    assert "<img" not in hostile
    assert "No such comparison here" in shown(open_page(run="mine", label="<img>"))


def test_red_team_responses_are_blurred_until_asked_for(filled: list[str]) -> None:
    app = open_page(run="mine", view="list", principle="p0")
    assert shown(app).count('<div class="cai-blur"') == 4
    app.toggle(key="show_harmful").set_value(True).run()
    assert '<div class="cai-blur"' not in shown(app)
    assert '<div class="cai-blur"' not in shown(open_page(run="mine", view="list", kind="helpful"))


def test_a_long_list_is_paged(workspace: Path) -> None:
    write_labels(workspace, "many", [make_label(n) for n in range(60)])
    pages = [open_page(run="many", view="list", page=str(n)) for n in (1, 3, 9)]
    assert ["1 to 25 of 60" in shown(pages[0]), "51 to 60 of 60" in shown(pages[1])] == [True] * 2
    assert "51 to 60 of 60" in shown(pages[2])  # no such page: the last one


def test_two_runs_are_compared(filled: list[str], workspace: Path) -> None:
    write_labels(workspace, "other", [make_label(0, 0.1), make_label(1, 0.1)])
    app = open_page(run="mine", beside="other")
    assert "Kappa with the other run" in shown(app)
    app.button(key="examples_runs").click().run()
    assert listed(app) == "0"
    assert address(app)["beside"] == "other"


def test_labels_are_read_again_only_when_they_change(filled: list[str], workspace: Path) -> None:
    study = load_labels("mine")
    assert load_labels("mine") is study
    path = workspace / "runs" / "mine" / "outputs" / "labels.jsonl"
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    assert load_labels("mine").quality.n == 1


def test_a_damaged_run_is_an_error_with_its_line(filled: list[str], workspace: Path) -> None:
    (workspace / "runs" / "mine" / "outputs" / "labels.jsonl").write_text("{}\n")
    assert "labels.jsonl:1" in shown(open_page(run="mine"))


def test_a_download_is_journalled_and_its_card_says_that_it_is_a_selection(
    filled: list[str], workspace: Path
) -> None:
    study = load_labels("mine")
    chosen = LabelFilter(principle="p0")
    some = [one for one in study.examined if "p0" in one.label.principle_ids]
    labels = [one.label for one in some]
    words = chosen.describe()
    file = download_labels(LOCAL_ACTOR, workspace, "mine", labels, "jsonl", selection=words)
    assert len(file.splitlines()) == 2
    (event,) = read_events(workspace, Topic.LAUNCHES)
    assert (event["action"], event["labels"], event["selection"]) == (
        "download labels",
        2,
        "principle p0",
    )
    card = build_card(study, some, "trl", words)
    assert "2 of the run's 5 labels, chosen by: principle p0." in card
    assert "agreement with the truth" in card
    assert "A selection" not in build_card(study, study.examined, "jsonl", "")


def test_the_list_leads_to_the_same_comparisons_of_all_runs(filled: list[str]) -> None:
    chosen = {"verdict": "tie", "only": "near-tie,truth", "bias": "18"}
    app = open_page(run="mine", view="list", **chosen)
    app.button(key="labels_in_preferences").click().run()
    assert not app.exception
    assert address(app) == {"run": "mine", "verdict": "tie", "only": "near-tie", "bias": "18"}


def test_a_viewer_reads_and_does_not_export(
    filled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = Actor(name="vera", role=AccessRole.VIEWER)
    monkeypatch.setattr(services, "actor", lambda: viewer)
    app = open_page(run="mine", view="list")
    assert listed(app) == "01234"
    buttons = {b.proto.label: b.proto.disabled for b in app.get("download_button")}
    assert buttons["JSONL"] is True
    assert buttons["CSV"] is True and "JSONL with TRL’s columns for SFT" in buttons
    assert buttons["Data card of JSONL"] is False


def test_the_run_says_what_its_labels_come_to(filled: list[str]) -> None:
    def runs() -> None:
        import streamlit as st

        from ui.explorer_links import PLAYGROUND
        from ui.labels_address import LABELS_PAGE

        page = PLAYGROUND.with_name("runs.py")
        st.navigation([st.Page(page, default=True), st.Page(LABELS_PAGE)]).run()

    app = AppTest.from_function(runs, default_timeout=20)
    app.query_params["run"] = "mine"
    app.run()
    assert not app.exception
    assert "5 labels, 25.0 % unparsed" in shown(app)
    app.button(key="runs_labels").click().run()
    assert not app.exception
    assert address(app) == {"run": "mine"}
    assert app.selectbox(key="labels_run").value == "mine"


def test_a_bar_leads_to_its_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    import streamlit as st

    monkeypatch.setattr(st, "query_params", Params(run="mine", page="4"))
    point = {"curve_number": 0, "point_index": 1}
    monkeypatch.setattr(
        st,
        "session_state",
        {
            "labels_calibration_x": {"selection": {"points": [point]}},
            "labels_line": {"selection": {"points": [{**point, "curve_number": 1}]}},
        },
    )
    follow_bin("labels_line", "confidence", (3, 7))
    assert st.query_params == {"run": "mine", "page": "4"}
    follow_bin("labels_calibration_x", "confidence", (3, 7))
    assert st.query_params == {"run": "mine", "view": "list", "confidence": "7", "only": "truth"}


class Params(dict[str, str]):
    """The address as Streamlit gives it, as far as it is used here."""

    def from_dict(self, wanted: dict[str, str]) -> None:
        self.clear()
        self.update(wanted)
