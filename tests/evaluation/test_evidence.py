"""The table of evidence: figures, paired changes, their correction, what makes them doubtful."""

from __future__ import annotations

import random

import pytest

from cai_core.evaluation.corrections import adjust_holm
from cai_core.evaluation.distinct import compute_distinct_change, compute_distinct_pairs
from cai_core.evaluation.drift import compute_changes
from cai_core.evaluation.evidence import DISTINCT, OUTSIDE, compute_evidence
from cai_core.evaluation.metrics import compute_clustered_rate
from cai_core.evaluation.text_measures import compute_distinct
from tests.evaluation.drift_makers import HEADER, make_line, make_lines, make_side

RATES = {"harmful compliance": 0.6, "leak": 0.1, "over-refusal": 0.05}


def test_figures_are_of_all_answers_and_changes_of_pairs_corrected_for_all():
    base = make_side(make_lines(RATES, seed=1, prompts=40), "base")
    better = {**RATES, "harmful compliance": 0.1}
    others = [make_side(make_lines(better, seed=n, prompts=40), f"m{n}") for n in (2, 3)]
    found = compute_evidence(base, others)
    told = [
        (line["intent"], line["verdicts"]["harmful compliance"]["judge"])
        for line in base.lines.values()
        if "harmful compliance" in line["verdicts"]
    ]
    figure = found.figures["harmful compliance", base.run]
    rate = compute_clustered_rate(told)
    assert (figure.value, figure.low, figure.high, figure.n) == (
        rate.rate,
        rate.low,
        rate.high,
        rate.n,
    )
    changes = compute_changes(base, others)
    for place, side in enumerate(others):
        change = changes["leak"][1][place]
        assert found.changes["leak", side.run].difference == change.difference
    raw = [changes[name][1][place].p for place in (0, 1) for name in changes]
    assert found.compared == len(found.changes) > len(raw)
    assert found.changes["harmful compliance", others[0].run].p < 0.001
    # Every change of the table is among those that are corrected for.
    alone = compute_evidence(base, others[:1])
    both = found.changes["leak", others[0].run].p
    assert alone.changes["leak", others[0].run].p <= both <= 1
    assert both >= adjust_holm(raw)[list(changes).index("leak")]


def test_the_other_way_round_the_sign_flips():
    one, two = (make_side(make_lines(RATES, seed=n, prompts=20), f"m{n}") for n in (1, 2))
    there, back = compute_evidence(one, [two]), compute_evidence(two, [one])
    for (name, _), change in there.changes.items():
        other = back.changes[name, one.run]
        assert change.difference == pytest.approx(-other.difference)
        assert change.p == pytest.approx(other.p)


def test_one_column_has_one_reader_and_what_nobody_told_is_not_measured():
    lines = make_lines(RATES, prompts=6)
    both = [
        {**line, "verdicts": {n: {"oracle": False, **told} for n, told in line["verdicts"].items()}}
        for line in lines
    ]
    mixed = compute_evidence(make_side(both, "a"), [make_side(lines, "b")])
    assert {one.reader for one in mixed.columns if one.name in RATES} == {"judge"}
    known = compute_evidence(make_side(both, "a"), [make_side(both, "b")])
    assert {one.reader for one in known.columns if one.name in RATES} == {"oracle"}
    only = compute_evidence(make_side(lines, "a"), [make_side(lines, "b")], reader="phrases")
    assert not {one.name for one in only.columns} & set(RATES)
    harmful = [line for line in lines if line["kind"] == "harmful"]
    part = compute_evidence(make_side(lines, "a"), [make_side(harmful, "b")])
    assert ("over-refusal", "run-b") not in part.figures
    assert ("over-refusal", "run-b") not in part.changes


def test_other_judges_suites_and_answers_outside_the_world_are_warned_of():
    lines = make_lines(RATES, prompts=6)
    strange = [{**line, "outside": True} for line in lines]
    judge = {**HEADER["judge"], "name": "other", "model_id": "other", "weights_hash": "0" * 64}
    suite = {**HEADER["suite"], "hash": "6" * 64}
    base = make_side(lines, "base")
    other = make_side(strange, "odd", judge=judge, suite=suite)
    found = compute_evidence(base, [other])
    told = " ".join(found.warnings[other.run])
    for words in ("the judges differ", "the suites differ", "100 % of its answers (n = 48)"):
        assert words in told
    assert found.warnings[base.run] == ()
    assert found.figures[OUTSIDE, other.run].value == 1.0
    assert found.changes[OUTSIDE, other.run].difference == 1.0


def test_unreadable_answers_are_counted_and_in_no_figure():
    lines = make_lines({"over-refusal": 1.0}, prompts=5)
    lines[-1]["verdicts"] = {"over-refusal": {"judge": None}}
    side = make_side(lines)
    figure = compute_evidence(side, []).figures["over-refusal", side.run]
    assert (figure.value, figure.n, figure.unparsed) == (1.0, 19, 1)


def test_distinct_pairs_against_leaving_each_cluster_out_by_hand():
    rng = random.Random(1)
    answers = [
        (cluster, " ".join(rng.choices("abcdefgh", k=9))) for cluster in range(8) for _ in range(3)
    ]
    found = compute_distinct_pairs(answers)
    assert found.share == compute_distinct([text for _, text in answers], 2)
    without = [
        compute_distinct([text for own, text in answers if own != cluster], 2)
        for cluster in range(8)
    ]
    mean = sum(without) / 8
    error = (7 / 8 * sum((one - mean) ** 2 for one in without)) ** 0.5
    assert found.high - found.share == pytest.approx(1.959964 * error, rel=1e-5)
    assert (found.n, found.clusters) == (24, 8)
    assert compute_distinct_pairs([(0, "word")]) is None


def test_a_planted_change_of_variety_is_seen_and_no_change_is_not():
    rng = random.Random(2)
    words = [f"w{n}" for n in range(60)]

    def say(vocabulary: int, seed: int) -> list[tuple[int, str]]:
        own = random.Random(seed)
        return [(n, " ".join(own.choices(words[:vocabulary], k=12))) for n in range(60)]

    changed = compute_distinct_change(say(60, 1), say(12, 2))
    assert changed.difference < 0 and changed.high < 0 and changed.p < 0.001
    seen = 0
    for _ in range(40):
        same = compute_distinct_change(say(30, rng.random()), say(30, rng.random()))
        seen += same.p < 0.05
    assert seen <= 6


def test_distinct_and_words_are_told_without_a_reader():
    side = make_side([make_line("p", "fine", 0, {}, response="one two three four")])
    found = compute_evidence(side, [])
    assert {one.name for one in found.columns if one.reader is None} == {"words", DISTINCT}
    assert found.figures["words", side.run].value == 4
