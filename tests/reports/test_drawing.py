"""The charts' geometry: a value stands where its figure says."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from cai_core.jobs.forecast_usage import Usage
from cai_core.reports.charts import Group, Interval, draw_changes, draw_values, shorten
from cai_core.reports.figures import list_figures, tell_large, tell_p, tell_seconds
from cai_core.reports.lineage_chart import draw_lineage, place_runs
from cai_core.reports.report import LineageRun


def make_interval(value: float, style: int | str = 0, half: float = 0.1) -> Interval:
    return Interval("m", value, value - half, value + half, f"{value}", style)


def find_bars(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    bars = [line for line in root.iter("line") if "bar" in str(line.get("class"))]
    return [(float(bar.get("x1", "")), float(bar.get("x2", ""))) for bar in bars]


def find_grid(svg: str) -> dict[str, float]:
    """What stands over each line of the grid → its place."""
    texts = [t for t in ElementTree.fromstring(svg).iter("text") if t.get("class") == "tick"]
    return {str(text.text): float(text.get("x", "")) for text in texts}


def test_values_stand_where_the_scale_says() -> None:
    svg = draw_values(
        [Group("g", (make_interval(0.5), make_interval(0.25, 1)))], highest=1, percent=True
    )
    grid, bars = find_grid(svg), find_bars(svg)
    span = grid["100 %"] - grid["0 %"]
    for (low, high), (left, right) in zip([(0.4, 0.6), (0.15, 0.35)], bars, strict=True):
        assert left == pytest.approx(grid["0 %"] + low * span, abs=0.02)
        assert right == pytest.approx(grid["0 %"] + high * span, abs=0.02)
    # What lies outside ends at the edge.
    ((left, right),) = find_bars(
        draw_values([Group("", (make_interval(1.0),))], highest=1, percent=True)
    )
    assert right == grid["100 %"] and left < right


def test_changes_stand_around_zero_on_a_scale_that_holds_them() -> None:
    some = [make_interval(-0.3, "better", 0.15), make_interval(0.02, "same", 0.05)]
    svg = draw_changes(some, percent=True)
    grid, bars = find_grid(svg), find_bars(svg)
    assert set(grid) == {"-50", "-25", "0", "+25", "+50"}
    assert bars[0][1] < grid["0"] and bars[1][0] < grid["0"] < bars[1][1]
    assert find_bars(draw_changes([make_interval(0.0, "same", 0.0)], percent=False))


def test_every_model_has_a_shape_of_its_own() -> None:
    svgs = [
        draw_values([Group("", (make_interval(0.5, n),))], highest=1, percent=True)
        for n in range(4)
    ]
    shapes = set()
    for svg in svgs:
        (mark,) = [
            one for one in ElementTree.fromstring(svg).iter() if "mark" in str(one.get("class"))
        ]
        shapes.add((mark.tag, str(mark.get("points")).count(",")))
    # Circle, square, triangle, diamond.
    assert shapes == {("circle", 0), ("rect", 0), ("polygon", 3), ("polygon", 4)}


def make_run(run: str, *parents: str) -> LineageRun:
    return LineageRun(
        run=run,
        kind="sft",
        state="succeeded",
        parents=parents,
        recipe_hash=None,
        weights_hash=None,
        usage=Usage(),
    )


def test_what_a_run_was_made_from_stands_at_its_left() -> None:
    runs = [
        make_run("eval", "rl"),
        make_run("rl", "sl", "rm"),
        make_run("rm", "sl"),
        make_run("sl"),
    ]
    assert place_runs(runs) == {"sl": 0, "rm": 1, "rl": 2, "eval": 3}
    root = ElementTree.fromstring(draw_lineage(runs))
    assert len(list(root.iter("rect"))) == 4
    assert len([one for one in root.iter("path") if one.get("class") == "edge"]) == 4


def test_a_damaged_lineage_is_drawn_too() -> None:
    assert set(place_runs([make_run("a", "b"), make_run("b", "a")])) == {"a", "b"}
    assert draw_lineage([make_run("a", "gone")]).count("<rect") == 1


def test_figures_in_words() -> None:
    assert (tell_p(1e-9), tell_p(0.0432)) == ("< 0.0001", "0.043")
    assert (tell_seconds(12), tell_seconds(600), tell_seconds(9000)) == ("12 s", "10 min", "2.5 h")
    assert (tell_large(191_000), tell_large(80e6, "B"), tell_large(12)) == ("191 k", "80 MB", "12")
    assert tell_large(None) == "–"
    assert dict(list_figures({"a": {"b": [True, None]}, "c": {}, "d": 0.25})) == {
        "a › b › 1": "yes",
        "a › b › 2": "–",
        "c": "–",
        "d": "0.25",
    }
    assert shorten("x" * 40, 11) == "xxxxx…xxxxx"
