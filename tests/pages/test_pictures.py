"""Pictures: what is drawn is what the filter leaves, told in words too, and points lead to rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cai_core.records import Finding, PromptKind, Verdict
from cai_core.workspace.index.comparison_views import ComparisonFilter
from cai_core.workspace.index.pictures import RoundPictures, VerdictTime
from cai_core.workspace.index.principles import OutcomeSums
from cai_core.workspace.index.views import RoundFilter
from tests.chain_workspace import Round, Texts, write_chains
from tests.label_workspace import write_labels
from tests.pages.test_critiques import HOSTILE, open_page, shown
from tests.workspace.index.test_comparisons import make_label
from ui import services
from ui.explorer_filter import build_params, parse_filter
from ui.pictures_charts import Unit, build_lines, describe, find_target, list_targets, name_line
from ui.pictures_critiques import build_distances, build_lengths, build_principles, build_verdicts
from ui.pictures_preferences import build_longer, list_verdict_targets, rank_principles

SHARE = Unit(name="share")
QUIET = Round(critique="Not touched.", finding=Finding.NOT_TOUCHED, revision="Same.")


@pytest.fixture
def chains(workspace: Path) -> list[str]:
    texts = [
        Texts(prompt="One?", kind=PromptKind.RED_TEAM, rounds=(Round(revision="Better."), QUIET)),
        Texts(prompt="Two?", response="Same.", rounds=(QUIET,)),
        Texts(prompt="Three?", rounds=(Round(revision="Better words."),)),
    ]
    return write_chains(workspace, "run-a", texts)


def picture(asked: RoundFilter | None = None) -> RoundPictures:
    index = services.index()
    index.ingest(patience=60)
    return index.picture_rounds(asked or RoundFilter())


def test_each_point_leads_to_its_rounds(chains: list[str]) -> None:
    told = picture()
    every = [*build_principles(told.found), *build_distances(told), *build_lengths(told)]
    points = [point for series in every for point in series.points]
    assert len(points) >= 5
    for point in points:
        asked = parse_filter(build_params(RoundFilter(**point.asks)))
        assert asked == RoundFilter(**point.asks)
        total = services.index().list_rounds(asked).total
        if "finding" in point.asks:
            assert total == round(point.value * point.n)
        else:
            assert total == point.n


def test_each_bar_leads_to_its_comparisons(workspace: Path) -> None:
    verdicts = (Verdict.A, Verdict.B, Verdict.A)
    labels = [make_label(n, principle_ids=("p1",), verdict=v) for n, v in enumerate(verdicts)]
    write_labels(workspace, "labels", labels)
    index = services.index()
    index.ingest(patience=60)
    told = index.picture_comparisons(ComparisonFilter())
    ranked = rank_principles(told.verdicts)
    (targets, others) = list_verdict_targets(ranked)
    assert targets == [{"principle": "p1", "verdict": "A"}]
    assert index.list_comparisons(ComparisonFilter(**targets[0])).total == 2
    assert index.list_comparisons(ComparisonFilter(**others[0])).total == 1
    (series,) = build_longer(told.longer, ("held-out",))
    assert series.points[0].asks["traits"] == ("held-out", "longer")


@pytest.mark.parametrize(
    ("selected", "target"),
    [
        (None, None),
        ({"selection": {"points": []}}, None),
        ({"selection": {"points": [{"curve_number": 0, "point_index": 1}]}}, {"a": 2}),
        ({"selection": {"points": [{"curve_number": 1, "point_index": 0}]}}, {"b": 1}),
        ({"selection": {"points": [{"curve_number": 5, "point_index": 0}]}}, None),
        ({"selection": {"points": [{"curve_number": 0, "point_index": 9}]}}, None),
    ],
)
def test_a_press_asks_for_its_point_alone(selected: Any, target: Any) -> None:
    assert find_target(selected, [[{"a": 1}, {"a": 2}], [{"b": 1}]]) == target


def test_verdicts_over_time_are_shares_with_their_number() -> None:
    times = [
        VerdictTime(at="2026-01-01T00:00:00Z", counts={"right": 3, "wrong": 1}),
        VerdictTime(at="2026-01-02T00:00:00Z", counts={"right": 4}),
    ]
    right, wrong = build_verdicts(times)
    assert [(p.value, p.n) for p in right.points] == [(0.75, 4), (1.0, 4)]
    assert [p.value for p in wrong.points] == [0.25, 0.0]
    assert right.points[0].low < 0.75 < right.points[0].high
    assert wrong.points[0].asks == {"review": "wrong"}
    words = describe("Said", [right, wrong], SHARE)
    assert "75% [30%, 95%], n = 4" in words


def test_hostile_names_are_text_in_a_picture() -> None:
    name = f"<a href='x'>$y$</a>&{HOSTILE}"
    series = build_principles({name: _sums(3, 2)})
    figure = build_lines(series, SHARE, dark=True)
    (label,) = figure.layout.yaxis.ticktext
    assert label == name_line(name) and not set("<>&$") & set(label)
    assert not set("<>&$") & set(figure.data[0].customdata[0][0])
    assert list_targets(series) == [[{"principle": name, "finding": "found"}]]


def test_the_switch_shows_pictures_and_the_address_holds_it(chains: list[str]) -> None:
    app = open_page(view="pictures")
    charts = app.get("plotly_chart")
    assert len(charts) == 3 and "One?" not in shown(app)
    assert "Of 4 rounds." in shown(app)
    app.query_params["finding"] = "not_touched"
    app.run()
    assert "Of 2 rounds." in shown(app)
    app.query_params["q"] = "nowhere"
    app.run()
    assert "there is nothing to draw" in shown(app) and not app.exception
    app.segmented_control(key="critiques_view").set_value("list").run()
    assert "view" not in app.query_params


def _sums(n: int, yes: int) -> OutcomeSums:
    return OutcomeSums(n=n, prompts=n, yes=yes, yes_squared=yes, crossed=yes, n_squared=n)
