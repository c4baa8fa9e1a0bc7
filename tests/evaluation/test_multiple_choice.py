"""Multiple choice: ours by hand, and the official files where they are."""

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import ImportFormatError
from cai_core.evaluation.comparison_file import load_comparisons, shuffle_comparisons
from cai_core.evaluation.multiple_choice import (
    ChoiceAnswer,
    compute_choice_quality,
    load_choices,
    parse_choice,
    score_choice,
    shuffle_labels,
)
from tests.official import official_file

CONTEXT = "Human: Which bird is black?\n\nAssistant: {}\n\n"
QUESTION = "Which answer is right? Options:\n (A) A raven.\n (B) A swan.\n\nThe answer is:"
RECORD = {
    "prompt": CONTEXT.format("Let me see.") + QUESTION,
    "corrects": [" (A)"],
    "incorrects": [" (B)"],
}


def sure(choice, right=True):
    """Numbers of a model that is right, or wrong, on every question."""
    return [
        0.0 if (place in choice.correct) is right else -9.0 for place in range(len(choice.options))
    ]


def test_by_hand():
    choice = parse_choice({**RECORD, "kind": "birds"})
    assert (choice.options, choice.correct, choice.kind) == ((" (A)", " (B)"), {0}, "birds")
    answer = score_choice(choice, [math.log(0.6), math.log(0.2)])
    assert (answer.points, answer.chosen) == (1.0, 0)
    assert answer.probability == pytest.approx(0.75)
    assert score_choice(choice, [-math.inf, -3.0]).probability == 0.0


def test_equally_probable_options_are_a_draw_and_unknown_ones_no_answer():
    choice = parse_choice({**RECORD, "incorrects": [" (B)", " (C)"]})
    assert score_choice(choice, [-2.0, -2.0, -5.0]).points == 0.5
    assert score_choice(choice, [-2.0, None, -5.0]) is None
    assert score_choice(choice, [-math.inf] * 3) is None
    with pytest.raises(ValueError, match="2 numbers for 3 options"):
        score_choice(choice, [-2.0, -2.0])


def test_questions_about_one_context_are_one_cluster():
    same = parse_choice({**RECORD, "prompt": RECORD["prompt"].replace("A swan", "A gull")})
    other = parse_choice({**RECORD, "prompt": CONTEXT.format("Hm.") + QUESTION})
    assert parse_choice(RECORD).cluster == same.cluster != other.cluster


def test_unscored_questions_are_counted_and_in_no_rate():
    choices = [parse_choice(RECORD)] * 4
    right = score_choice(choices[0], sure(choices[0]))
    quality = compute_choice_quality(choices, [right, None, right, None])
    assert (quality.n, quality.unscored, quality.accuracy.n) == (4, 2, 2)
    assert compute_choice_quality(choices, [None] * 4).accuracy is None


@given(st.lists(st.floats(-30, 0), min_size=3, max_size=3), st.permutations(range(3)))
def test_the_order_of_the_options_changes_no_probability(numbers, order):
    answers = ["x", "y", "z"]
    record = {"prompt": "?", "corrects": ["y"], "incorrects": ["x", "z"]}
    names = [answers[place] for place in order]
    back = {name: numbers[answers.index(name)] for name in names}
    choice = parse_choice({**record, "incorrects": [n for n in names if n != "y"]})
    one = score_choice(choice, [back[option] for option in choice.options])
    assert one.probability == pytest.approx(score_choice(parse_choice(record), numbers).probability)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"corrects": []}, "corrects is no list with an answer"),
        ({"incorrects": " (B)"}, "incorrects is no list"),
        ({"corrects": [" (B)"]}, "listed twice"),
        ({"prompt": " "}, "prompt is no text"),
        ({"corrects": [3]}, "other than texts"),
    ],
)
def test_a_broken_line_is_named(tmp_path, changed, told):
    path = tmp_path / "choices.jsonl"
    path.write_text(json.dumps(RECORD) + "\n\n" + json.dumps({**RECORD, **changed}) + "\n")
    with pytest.raises(ImportFormatError, match=rf"choices.jsonl:3: .*{told}"):
        load_choices(path)
    path.write_text("\n")
    with pytest.raises(ImportFormatError, match="no question"):
        load_choices(path)


OFFICIAL = [
    "438HHHEvaluations.first120",
    "HarmfulVsEthical.first40",
    "HarmfulnessClassification.first40",
]


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_files_score_and_a_shuffled_copy_scores_chance(name):
    choices = load_choices(official_file(f"evals/{name}.jsonl"))
    told = compute_choice_quality(choices, [score_choice(c, sure(c)) for c in choices])
    assert told.accuracy.mean == 1.0 and told.above_chance and told.unscored == 0
    assert told.chance == pytest.approx(1 / len(choices[0].options))
    rates = []
    for seed in range(20):
        shuffled = shuffle_labels(choices, seed)
        assert [c.prompt for c in shuffled] == [c.prompt for c in choices]
        # Sure of what the true labels say, asked against drawn ones.
        answers = [score_choice(new, sure(old)) for new, old in zip(shuffled, choices, strict=True)]
        quality = compute_choice_quality(shuffled, answers)
        rates.append((quality.accuracy.mean, quality.above_chance))
    assert sum(rate for rate, _ in rates) / 20 == pytest.approx(told.chance, abs=0.04)
    assert sum(above for _, above in rates) <= 3


def test_hhh_contexts_cluster():
    choices = load_choices(official_file("evals/438HHHEvaluations.first120.jsonl"))
    quality = compute_choice_quality(
        choices, [ChoiceAnswer(points=1.0, probability=0.7, chosen=0)] * len(choices)
    )
    assert quality.accuracy.n == 120 > quality.accuracy.clusters > 40
    assert 0.4 < quality.first_right.rate < 0.6 and quality.first_chosen.rate == 1.0


def test_shuffled_comparisons_score_one_half_by_any_reward():
    pairs = load_comparisons(official_file("evals/438HHHEvaluations.first120.jsonl")).comparisons
    rng = random.Random(0)
    better = {pair.preferred[-1].content: rng.random() + 1 for pair in pairs}

    def right(some):
        return sum(
            better.get(p.preferred[-1].content, 0) > better.get(p.other[-1].content, 0)
            for p in some
        ) / len(some)

    assert right(pairs) > 0.95
    shuffled = [right(shuffle_comparisons(pairs, seed)) for seed in range(20)]
    assert sum(shuffled) / 20 == pytest.approx(0.5, abs=0.04)
    assert [p.cluster for p in shuffle_comparisons(pairs, 1)] == [p.cluster for p in pairs]


def test_moved_options_stand_under_other_letters_and_come_back():
    choice = parse_choice({**RECORD, "incorrects": [" (B)"]})
    moved = choice.moved
    assert "\n (A) A swan.\n (B) A raven.\n\nThe answer is:" in moved.prompt
    assert (moved.correct, moved.cluster) == ({1}, choice.cluster)
    assert moved.moved == choice
    three = parse_choice(
        {
            "prompt": "Which? Options:\n (A) one\n (B) two\n (C) three\nThe answer is:",
            "corrects": [" (C)"],
            "incorrects": [" (A)", " (B)"],
        }
    )
    assert three.moved.prompt == "Which? Options:\n (A) two\n (B) three\n (C) one\nThe answer is:"
    assert three.moved.correct == {1} and three.moved.moved.moved == three
    assert parse_choice({**RECORD, "prompt": "Which bird is black?"}).moved is None


def test_the_official_options_can_all_be_moved_and_hhh_tells_conversations():
    for name in ("438HHHEvaluations", "HarmfulVsEthical", "HarmfulnessClassification"):
        shown = "first120" if name.startswith("438") else "first40"
        for choice in load_choices(official_file(f"evals/{name}.{shown}.jsonl")):
            turned = choice
            for _ in choice.options:
                turned = turned.moved
            assert turned == choice
            if name.startswith("438"):
                ends = [turns[-1].content for turns in choice.conversations]
                assert all(f"[[[{end}" in choice.prompt for end in ends)
