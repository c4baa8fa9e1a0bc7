"""What changed between two evaluations: planted flips are found, told, and turn the right light."""

from __future__ import annotations

from typing import Any

import pytest

from cai_core.evaluation.drift import compute_changes, compute_drift
from cai_core.evaluation.measures import THRESHOLDS
from cai_core.evaluation.paired import compute_mcnemar
from tests.evaluation.drift_makers import HEADER, make_line, make_lines, make_side

RATES = {"harmful compliance": 0.1, "leak": 0.02, "evasive": 0.1, "over-refusal": 0.05}


def planted(measure: str, **rates: float) -> list[str]:
    """Measures that fail when the candidate's rates are these."""
    before = make_side(make_lines(RATES, seed=1), "before")
    after = make_side(make_lines({**RATES, **rates}, seed=2), "after")
    gate = compute_drift(before, after).gate
    return [one.threshold.metric for one in gate.verdicts if one.status == "fail"]


def test_flips_are_counted_and_told_worst_first() -> None:
    before = [make_line(f"p{n}", "harmful", 0, shown(n < 4)) for n in range(20)]
    after = [make_line(f"p{n}", "harmful", 0, shown(2 <= n < 12)) for n in range(20)]
    drift = compute_drift(make_side(before, "a"), make_side(after, "b"))
    (one,) = [told for told in drift.measures if told.measure == "harmful compliance"]
    assert (one.reader, one.change.n, one.unknown) == ("judge", 20, 0)
    assert (one.change.before, one.change.after) == (0.2, 0.5)
    assert (one.worse, one.better) == (8, 2)
    assert one.mcnemar == pytest.approx(compute_mcnemar(8, 2))
    assert one.change.p <= one.q <= one.p
    flips = drift.flips["harmful compliance"]
    assert [flip.way for flip in flips] == ["worse"] * 8 + ["better"] * 2
    assert flips[0].prompt_id == "p4" and flips[-1].prompt_id == "p1"
    assert (flips[0].before_text, flips[0].conversation[0]["content"]) == ("Said 0.", "Ask p4?")
    assert drift.as_dict(most_flips=3)["flips"]["harmful compliance"][2]["prompt_id"] == "p6"


def test_swapping_the_sides_turns_everything_round() -> None:
    one = make_side(make_lines(RATES, seed=1), "one")
    two = make_side(make_lines({**RATES, "leak": 0.2}, seed=2), "two")
    there, back = compute_drift(one, two), compute_drift(two, one)
    for first, second in zip(there.measures, back.measures, strict=True):
        assert first.measure == second.measure
        assert first.change.difference == pytest.approx(-second.change.difference)
        assert first.change.p == pytest.approx(second.change.p)
        assert (first.worse, first.better) == (second.better, second.worse)


def test_a_model_that_complies_more_fails_for_that() -> None:
    assert planted("harmful compliance", **{"harmful compliance": 0.3}) == ["harmful compliance"]


def test_a_model_that_refuses_everything_fails_for_over_refusal() -> None:
    refuses = {"harmful compliance": 0.0, "leak": 0.0, "over-refusal": 1.0}
    assert planted("over-refusal", **refuses) == ["over-refusal"]


def test_the_same_model_at_another_seed_passes() -> None:
    one = make_side(make_lines(RATES, seed=1), "one")
    statuses = [
        compute_drift(one, make_side(make_lines(RATES, seed=seed), "two")).gate.status
        for seed in range(2, 22)
    ]
    assert statuses.count("pass") >= 18


def test_ten_points_are_red_in_most_repeats() -> None:
    one = make_side(make_lines(RATES, seed=1), "one")
    worse = {**RATES, "harmful compliance": 0.2}
    statuses = [
        compute_drift(one, make_side(make_lines(worse, seed=seed), "two")).gate.status
        for seed in range(2, 22)
    ]
    assert statuses.count("fail") >= 16


def test_what_could_not_be_read_is_in_no_rate_and_is_counted() -> None:
    before = [make_line(f"p{n}", "harmful", 0, shown(None if n < 3 else False)) for n in range(9)]
    after = [make_line(f"p{n}", "harmful", 0, shown(True)) for n in range(9)]
    drift = compute_drift(make_side(before, "a"), make_side(after, "b"))
    one = drift.measures[0]
    assert (one.change.n, one.unknown, one.worse) == (6, 3, 6)


def test_whose_word_counts() -> None:
    told: dict[str, bool | None] = {"oracle": True, "judge": False, "phrases": False}
    lines = [make_line(f"p{n}", "harmful", 0, {"refusal": told}) for n in range(5)]
    bare = [make_line(f"p{n}", "harmful", 0, {"refusal": {"judge": True}}) for n in range(5)]
    one, two = make_side(lines, "one"), make_side(bare, "two")
    assert compute_drift(one, one, thresholds=HELD).measures[0].reader == "oracle"
    assert compute_drift(one, two, thresholds=HELD).measures[0].reader == "judge"
    only = compute_drift(one, two, reader="oracle", thresholds=HELD)
    assert [m.measure for m in only.measures] == ["words"]


def test_ratings_principles_and_words() -> None:
    def line(number: int, rating: float, keeps: bool, words: int) -> dict[str, Any]:
        return make_line(
            f"p{number}",
            "harmful",
            0,
            shown(False),
            ratings={"harmfulness": rating},
            keeps={"be-kind": {"judge": keeps}},
            response="word " * words,
        )

    before = [line(n, 0.5, True, 5) for n in range(30)]
    after = [line(n, 2.0, n % 2 == 0, 9) for n in range(30)]
    drift = compute_drift(make_side(before, "a"), make_side(after, "b"))
    found = {one.measure: one for one in drift.measures}
    assert list(found) == ["harmful compliance", "harmfulness", "words", "keeps: be-kind"]
    assert found["harmfulness"].change.difference == pytest.approx(1.5)
    assert (found["harmfulness"].mcnemar, found["harmfulness"].worse) == (None, 30)
    assert (found["words"].change.difference, found["words"].worse) == (4.0, 0)
    assert (found["keeps: be-kind"].worse, found["keeps: be-kind"].reader) == (15, "judge")
    assert "words" not in drift.flips or not drift.flips["words"]
    assert "harmfulness" in [
        one.threshold.metric for one in drift.gate.verdicts if one.status == "fail"
    ]


def test_only_shared_cases_are_compared() -> None:
    before = [make_line(f"p{n}", "harmful", 0, shown(True)) for n in range(10)]
    after = [make_line(f"p{n}", "harmful", 0, shown(True)) for n in range(5, 15)]
    after[0] = {**after[0], "response": None, "error": "gone"}
    drift = compute_drift(make_side(before, "a"), make_side(after, "b"))
    assert (drift.cases, drift.unpaired) == (4, 11)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"suite": {**HEADER["suite"], "hash": "6" * 64}}, "the suites differ"),
        ({"judge": None}, "only one of them was judged"),
        ({"judge": {**HEADER["judge"], "weights_hash": "v" * 64}}, "the judges differ"),
        (
            {"judge": {**HEADER["judge"], "weights_hash": None, "model_id": "other"}},
            "the judges differ",
        ),
        ({"judge": {**HEADER["judge"], "template": "judge/1"}}, "templates differ"),
        ({"judge": {**HEADER["judge"], "rubric_hash": "s" * 64}}, "the rubrics differ"),
        ({"sampling": {**HEADER["sampling"], "temperature": 0.7}}, "the sampling differs"),
        ({"samples": 2}, "4 and 2 samples"),
        ({"constitution": {"name": "c", "hash": "d"}}, "different constitutions"),
        ({"cautions": [{"kind": "judge is model", "text": "it is itself"}]}, "two: it is itself"),
    ],
)
def test_what_makes_it_doubtful_is_a_warning_of_the_gate(
    changes: dict[str, Any], told: str
) -> None:
    lines = make_lines(RATES, seed=1)
    calm = compute_drift(make_side(lines, "one"), make_side(lines, "two"))
    assert (calm.warnings, calm.gate.status) == ((), "pass")
    drift = compute_drift(make_side(lines, "one"), make_side(lines, "two", **changes))
    assert len(drift.warnings) == 1 and told in drift.warnings[0]
    assert (drift.gate.status, drift.gate.reasons) == ("warn", drift.warnings)


def test_where_the_oracle_speaks_judges_do_not_matter() -> None:
    lines = make_lines(RATES, seed=1, reader="oracle")
    cautions = [{"kind": "judge is model", "text": "x"}, {"kind": "not held out", "text": "seen"}]
    drift = compute_drift(
        make_side(lines, "one"), make_side(lines, "two", judge=None, cautions=cautions)
    )
    assert drift.warnings == ("two: seen",)


def test_a_measure_that_one_side_lacks_is_a_warning() -> None:
    one = make_lines(RATES, seed=1)
    two = [line for line in one if line["kind"] == "harmful"]
    drift = compute_drift(make_side(one, "one"), make_side(two, "two"))
    assert drift.gate.status == "warn"
    assert any(reason.startswith("over-refusal: not measured") for reason in drift.gate.reasons)


def test_several_models_at_once_are_as_one_by_one() -> None:
    base = make_side(make_lines(RATES, seed=1), "base")
    others = [
        make_side(make_lines({**RATES, "leak": 0.02 * n}, seed=n), f"m{n}") for n in range(2, 5)
    ]
    together = compute_changes(base, others)
    for at, other in enumerate(others):
        alone = {one.measure: one.change for one in compute_drift(base, other).measures}
        assert {name: changes[at] for name, (_, changes) in together.items()} == alone


def test_without_a_threshold_it_says_so() -> None:
    lines = [make_line("p", "harmful", 0, {"refusal": {"judge": True}})]
    with pytest.raises(ValueError, match="give at least one"):
        compute_drift(make_side(lines, "a"), make_side(lines, "b"))


def shown(value: bool | None) -> dict[str, dict[str, bool | None]]:
    return {"harmful compliance": {"judge": value}}


HELD = tuple(type(THRESHOLDS[0])(metric=name, better="higher") for name in ("refusal", "words"))
