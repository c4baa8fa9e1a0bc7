"""What a run's labels are like: by hand, and mirrored by swapping any of the comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.evaluation.kappa import compute_kappa, mirror_verdict
from cai_core.evaluation.label_quality import measure_examined, measure_labels
from cai_core.evaluation.label_traits import (
    BIAS_BINS,
    CONFIDENCE_BINS,
    LabelFilter,
    Truth,
    TruthSource,
    examine_labels,
    find_bin,
    select_labels,
)
from cai_core.pipeline.label_records import LabelRecord
from cai_core.records import PromptKind, Verdict
from tests.training.labels import make_label

A, B, TIE, UNPARSED = Verdict.A, Verdict.B, Verdict.TIE, Verdict.UNPARSED


def both(number: int, first: float, second: float, **changes: Any) -> LabelRecord:
    """A label of two orders: P(A) with A shown first, and with A shown second."""
    prob = (first + second) / 2
    verdict = TIE if abs(prob - 0.5) < 0.1 else A if prob > 0.5 else B
    told = {"prob_a_first": first, "prob_a_second": second, "position_bias": first - second}
    return make_label(number, prob, **{"verdict": verdict, **told, **changes})


def truth(verdict: Verdict, group: str = "g", by: TruthSource = "oracle") -> Truth:
    return Truth(verdict=verdict, by=by, group=group)


def test_nothing_is_measured_of_nothing() -> None:
    quality = measure_labels([], {})
    assert quality.n == 0
    assert quality.confidence == (0,) * CONFIDENCE_BINS
    assert quality.biases == (0,) * BIAS_BINS
    assert (quality.principles, quality.calibration) == ((), ())
    for rate in (
        quality.unparsed, quality.same_position, quality.position_bias, quality.near_ties,
        quality.accuracy, quality.accuracy_decided, quality.accuracy_ties, quality.other_kappa,
        quality.calibration_error, quality.length.longer, quality.length.in_truth,
        quality.length.correlation,
    ):  # fmt: skip
        assert rate is None


def test_orders_that_prefer_one_place_are_told_from_those_that_prefer_one_response() -> None:
    labels = [
        both(1, 0.9, 0.8),  # A both times
        both(2, 0.9, 0.1),  # the first, whoever stands there
        both(3, 0.55, 0.1),  # one order says no more than a tie
        make_label(4, 0.9, prob_a_first=0.9),  # asked once
    ]
    quality = measure_labels(labels, {})
    assert quality.same_position is not None
    assert (quality.same_position.n, quality.same_position.rate) == (2, 0.5)
    assert quality.position_bias == pytest.approx((0.1 + 0.8 + 0.45) / 3)
    assert quality.both_orders == 3
    found = select_labels(examine_labels(labels, {}), LabelFilter(only=("same-position",)))
    assert [one.label.comparison_id for one in found] == ["c2"]


def test_people_and_constructions_are_counted_and_not_taken_for_the_model() -> None:
    labels = [
        make_label(1, 0.9),
        make_label(2, None),
        make_label(3, 1.0, label_source="human", reviewer="Ada"),
        make_label(4, 0.5, label_source="revision"),
    ]
    truths = {f"c{n}": truth(A, str(n)) for n in range(1, 5)}
    quality = measure_labels(labels, truths)
    assert quality.sources == {"feedback-model": 2, "human": 1, "revision": 1}
    assert quality.unparsed is not None
    assert (quality.unparsed.rate, quality.unparsed.n) == (0.5, 2)
    assert quality.near_ties is not None
    assert (quality.near_ties.rate, quality.near_ties.n) == (0.0, 1)
    assert sum(quality.confidence) == 1
    # A person is not compared with the truth; an unparsed label is wrong, as is the construction.
    assert quality.accuracy is not None
    assert (quality.accuracy.rate, quality.accuracy.n) == (pytest.approx(1 / 3), 3)


def test_accuracy_has_ties_of_its_own_and_intervals_by_group() -> None:
    labels = [make_label(n, p) for n, p in enumerate((0.9, 0.1, 0.5, 0.9))]
    truths = {"c0": truth(A, "x"), "c1": truth(A, "x"), "c2": truth(TIE, "y", "person")}
    quality = measure_labels(labels, truths)
    assert quality.accuracy is not None
    assert quality.accuracy_decided is not None
    assert quality.accuracy_ties is not None
    assert (quality.accuracy.n, quality.accuracy.clusters) == (3, 2)
    assert quality.accuracy.rate == pytest.approx(2 / 3)
    assert (quality.accuracy_decided.rate, quality.accuracy_decided.n) == (0.5, 2)
    assert (quality.accuracy_ties.rate, quality.accuracy_ties.n) == (1.0, 1)
    assert quality.truths == {"oracle": 2, "person": 1}


def test_calibration_says_how_often_the_surer_side_is_right() -> None:
    labels = [make_label(n, p) for n, p in enumerate((0.97, 0.03, 0.98, 0.04, 0.62))]
    truths = {f"c{n}": truth(v, str(n)) for n, v in enumerate((A, B, A, A, TIE))}
    sure, unsure = sorted(measure_labels(labels, truths).calibration, key=lambda b: -b.predicted)
    assert (sure.number, sure.n, sure.right) == (9, 4, 0.75)
    assert sure.predicted == pytest.approx((0.97 + 0.97 + 0.98 + 0.96) / 4)
    assert sure.low < 0.75 < sure.high
    assert (unsure.number, unsure.n, unsure.right) == (2, 1, 0.5)
    error = measure_labels(labels, truths).calibration_error
    assert error == pytest.approx((4 * (sure.predicted - 0.75) + 0.12) / 5)


def test_longer_responses_are_compared_with_the_truth() -> None:
    longer = {"response_a": "one two three", "response_b": "one"}
    labels = [
        make_label(1, 0.9, **longer),
        make_label(2, 0.8, **longer),
        make_label(3, 0.2, **longer),
        make_label(4, 0.9, response_a="same", response_b="size"),
        make_label(5, 0.5, **longer),
    ]
    truths = {"c1": truth(B, "1"), "c3": truth(B, "3"), "c4": truth(A, "4"), "c5": truth(A, "5")}
    length = measure_labels(labels, truths).length
    assert length.longer is not None
    assert length.in_truth is not None
    assert (length.longer.rate, length.longer.n) == (pytest.approx(2 / 3), 3)
    assert (length.in_truth.rate, length.in_truth.n) == (pytest.approx(1 / 3), 3)
    assert length.equal == 1
    all_longer = measure_labels([make_label(n, 0.9, **longer) for n in range(3)], {})
    assert all_longer.length.correlation == pytest.approx(1.0)


def test_each_principle_has_its_own_numbers_and_pairs_of_them_a_kappa() -> None:
    labels = [make_label(n, 0.9, principle_ids=("p", "q")) for n in range(4)]
    labels.append(make_label(9, None, principle_ids=("q",)))
    verdicts = [(A, A), (B, B), (A, B), (TIE, TIE)]
    quality = measure_examined(
        examine_labels(
            labels,
            {"c0": truth(A), "c1": truth(B)},
            by_principle={f"c{n}": {"p": p, "q": q} for n, (p, q) in enumerate(verdicts)},
        )
    )
    p, q = quality.principles
    assert (p.principle, p.n, p.unparsed, q.n, q.unparsed) == ("p", 4, 0, 5, 1)
    assert p.accuracy is not None
    assert p.accuracy.rate == 0.5
    assert p.confidence == pytest.approx(0.4)
    kappa = quality.principle_kappas["p", "q"]
    # Both ways: A and B 3 of 8 each, ties 2 of 8; chance is 2 · (3/8)² + (2/8)².
    chance = 2 * (3 / 8) ** 2 + (2 / 8) ** 2
    assert kappa.kappa == pytest.approx((0.75 - chance) / (1 - chance))
    assert kappa.low < kappa.kappa < kappa.high
    assert kappa.n == 4


def test_kappa_at_its_ends() -> None:
    assert compute_kappa([]) is None
    assert compute_kappa([("g", TIE, TIE)] * 3) is None  # chance explains all
    same = compute_kappa([(n, v, v) for n, v in enumerate((A, B, TIE, A))])
    assert same is not None
    assert (same.kappa, same.high) == (1.0, 1.0)
    assert same.low < 1.0
    never = compute_kappa([(n, v, mirror_verdict(v)) for n, v in enumerate((A, B, A, B))])
    assert never is not None
    assert never.kappa == -1.0


@pytest.mark.parametrize("value", [0.0, 0.05, 0.1, 0.15, 0.3, 0.45, 0.5])
def test_an_edge_belongs_to_the_bin_above_it_and_the_top_to_the_last(value: float) -> None:
    assert find_bin(value, 0.0, 0.5, 10) == min(9, round(value * 20))


def test_filters_are_joined_and_told_in_words() -> None:
    labels = [
        make_label(1, 0.9, principle_ids=("p",)),
        make_label(2, 0.5, principle_ids=("p", "q"), prompt_kind=PromptKind.HELPFUL),
        make_label(3, 0.52, verdict=TIE, principle_ids=("q",), tags=("split:held-out",)),
        make_label(4, None, label_source="feedback-model"),
    ]
    examined = examine_labels(labels, {"c1": truth(B), "c2": truth(TIE)})

    def ids(**fields: Any) -> str:
        found = select_labels(examined, LabelFilter(**fields))
        return "".join(one.label.comparison_id for one in found)

    assert ids() == "c1c2c3c4"
    assert ids(verdict="tie") == "c2c3"
    assert ids(verdict="unparsed") == "c4"
    assert ids(principle="q") == "c2c3"
    assert ids(kind="helpful") == "c2"
    assert ids(only=("near-tie",)) == "c2c3"
    assert ids(only=("near-tie", "truth")) == "c2"
    assert ids(only=("wrong",)) == "c1"
    assert ids(only=("held-out",)) == "c3"
    assert ids(confidence=8) == "c1"
    assert ids(confidence=0) == "c2c3"
    assert ids(text="THING 3") == "c3"
    assert ids(text="begin at once", verdict="A") == "c1"
    assert ids(source="human") == ""
    chosen = LabelFilter(verdict="tie", only=("near-tie", "wrong"), bias=10, text="ice")
    assert chosen.describe() == (
        'verdict tie; only near-tie and wrong; position bias 0.00 to 0.10; text "ice"'
    )
    assert LabelFilter().describe() == ""


def swap(label: LabelRecord) -> LabelRecord:
    """The comparison with its responses in each other's place, labelled alike."""
    return replace(
        label,
        response_a=label.response_b,
        response_b=label.response_a,
        prob_a=_rest(label.prob_a),
        prob_a_clamped=_rest(label.prob_a_clamped),
        prob_a_first=_rest(label.prob_a_second),
        prob_a_second=_rest(label.prob_a_first),
        verdict=mirror_verdict(label.verdict),
    )


def _rest(prob: float | None) -> float | None:
    return None if prob is None else 1.0 - prob


# Of 64ths, whose rest to 1 is exact.
probs = st.integers(0, 64).map(lambda n: n / 64)
words = st.integers(1, 5).map(lambda n: " ".join(["w"] * n))
cases = st.lists(
    st.tuples(probs, probs, words, words, st.sampled_from([A, B, TIE, None]), st.booleans()),
    min_size=1,
    max_size=12,
)


def build_case(case: Sequence[Any], *, swapped: Sequence[bool]) -> Any:
    labels, truths, others = [], {}, {}
    for n, (first, second, a, b, true, _) in enumerate(case):
        label = both(n, first, second, response_a=a, response_b=b, principle_ids=("p",))
        other = A if first > 0.5 else B
        if swapped[n]:
            label, other = swap(label), mirror_verdict(other)
            true = None if true is None else mirror_verdict(true)
        labels.append(label)
        others[label.comparison_id] = other
        if true is not None:
            truths[label.comparison_id] = truth(true, str(n % 3))
    return measure_examined(examine_labels(labels, truths, other=others))


@given(cases)
def test_swapping_any_comparison_changes_nothing_but_who_is_called_a(case: Sequence[Any]) -> None:
    one = build_case(case, swapped=[False] * len(case))
    some = build_case(case, swapped=[flag for *_, flag in case])
    every = build_case(case, swapped=[True] * len(case))
    assert every.verdicts[A] == one.verdicts[B]
    for other in (some, every):
        assert other.verdicts[TIE] == one.verdicts[TIE]
        # Kappa of labels that are counted both ways, and sums in another order: to rounding.
        assert _plain(other) == pytest.approx(_plain(one))
        assert (other.confidence, other.biases) == (one.confidence, one.biases)


def _plain(quality: Any) -> list[float]:
    rates = (
        quality.same_position, quality.near_ties, quality.accuracy, quality.accuracy_decided,
        quality.accuracy_ties, quality.length.longer, quality.length.in_truth,
        quality.principles[0].accuracy, quality.principles[0].ties,
    )  # fmt: skip
    told = [v for r in rates for v in ((-1.0,) if r is None else (r.rate, r.low, r.high, r.n))]
    told += [v for b in quality.calibration for v in (b.predicted, b.right, b.low, b.n)]
    kappa = quality.other_kappa
    told += [] if kappa is None else [kappa.kappa, kappa.low, kappa.high]
    return [*told, quality.position_bias, quality.length.correlation or 0.0]
