"""Multiple-choice files through a judge and a reward model, on the real bundled server."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cai_core import cli
from cai_core.errors import ImportFormatError, RecipeError
from cai_core.evaluation.multiple_choice import (
    compute_choice_quality,
    load_choices,
    parse_choice,
    shuffle_labels,
)
from cai_core.inference.launcher import stop_server
from cai_core.pipeline.choices_asking import (
    build_choice_question,
    list_letters,
    read_choice,
)
from cai_core.pipeline.choices_recipe import parse_choices_recipe
from cai_core.pipeline.choices_run import choose_questions, list_figures, load_frozen_choices
from cai_core.records import StepKind
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run
from tests.inference import tiny_models
from tests.official import official_file
from tests.pipeline.letter_server import serve_letter
from tests.workspace.rows_of import make_row

HHH = "evals/438HHHEvaluations.first120.jsonl"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A workspace whose servers are shared, and a reward model of random weights."""
    folder = tmp_path_factory.mktemp("choices")
    reward = str(tiny_models.save_reward_llama(folder / "reward"))
    try:
        yield folder / "workspace", reward
    finally:
        for model in ("demo", reward):
            stop_server(model, folder / "workspace")


@pytest.fixture
def workspace(served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAI_WORKSPACE", str(served[0]))
    return served[0]


@pytest.fixture
def reward(served: tuple[Path, str]) -> str:
    return served[1]


def make_records(count: int) -> list[dict[str, Any]]:
    """Right answers stand under either letter, by a coin."""
    rng, found = random.Random(5), []
    for number in range(count):
        good, bad = f"Yes, bake bread number {number}.", f"No, never bake {number} of them."
        first = rng.random() < 0.5
        shown = (good, bad) if first else (bad, good)
        asked = f"\n\nHuman: May I bake {number // 2} breads?"
        found.append(
            {
                "prompt": f"Consider:{asked}\n\nWhich is better? Options:\n (A) [[[{shown[0]}]]]"
                f"\n (B) [[[{shown[1]}]]]\n\nThe answer is:",
                "corrects": [" (A)" if first else " (B)"],
                "incorrects": [" (B)" if first else " (A)"],
                "text_correct": f"{asked}\n\nAssistant: {good}",
                "text_incorrect": f"{asked}\n\nAssistant: {bad}",
                "category": "bread" if number % 2 else "flour",
            }
        )
    return found


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert cli.main(["choices", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def make_rows(choice, probabilities, mass=1.0):
    """What a model that goes by the text leaves in both orders."""
    rows = []
    for order, shown in enumerate((probabilities, probabilities[1:] + probabilities[:1])):
        scoring = {"way": "token-ids", "mass": mass, "probabilities": list(shown)}
        rows.append(make_row("r", "question-0001", order=order, scoring=scoring))
    return rows


def test_a_judge_that_knows_scores_and_a_shuffled_copy_is_chance() -> None:
    choices = [parse_choice(record) for record in make_records(200)]

    def answer(some):
        # The judge knows the text, whatever the labels say.
        told = []
        for truth, choice in zip(choices, some, strict=True):
            right = sorted(truth.correct)[0]
            probabilities = [0.9 if place == right else 0.1 for place in (0, 1)]
            told.append(read_choice(choice, make_rows(choice, probabilities), 0.5)[0])
        return compute_choice_quality(some, told)

    known = answer(choices)
    assert known.accuracy.mean == 1.0 and known.above_chance
    shuffled = answer(shuffle_labels(choices, 3))
    assert shuffled.accuracy.low < shuffled.chance < shuffled.accuracy.high
    assert not shuffled.above_chance


def test_a_leaning_to_one_letter_cancels_and_too_little_mass_is_no_answer() -> None:
    choice = parse_choice(make_records(1)[0])
    leaning = [make_rows(choice, [0.8, 0.2])[0]] * 2  # the letter A, whatever stands there
    answer, numbers = read_choice(choice, leaning, 0.5)
    assert numbers == pytest.approx((0.5, 0.5)) and answer.points == 0.5
    assert read_choice(choice, make_rows(choice, [0.9, 0.1], mass=0.2), 0.5) == (None, None)
    assert read_choice(choice, [], 0.5) == (None, None)
    assert read_choice(choice, [make_rows(choice, [1.0, 0.0])[0], None], 0.5) == (None, None)


def test_letters_are_read_from_text_where_nothing_else_is_told() -> None:
    choice = parse_choice(make_records(1)[0])
    assert list_letters(choice) == ("A", "B")
    (turn,) = build_choice_question(choice)
    assert turn.content.endswith("]]]\n\nAnswer with one letter: A or B.")

    def said(*texts):
        rows = [make_row("r", "q", text=text, scoring={"way": "text"}) for text in texts]
        return read_choice(choice, rows, 0.5)[1]

    assert said("(A).", "Option B") == (1.0, 0.0)
    assert said("A", "A") == (0.5, 0.5)
    assert said("Apples", "B") is None and said("C", "A") is None


def test_the_demo_model_answers_a_file_in_both_orders_and_a_run_goes_on(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "bread.jsonl", make_records(6))
    document = run("demo", str(path), "--least-mass", "0", capsys=capsys)
    held = open_run(workspace / "runs" / document["run"], kind="choices")
    rows = RowIndex(held, "choices")
    assert len(rows) == 12 and {row.order for row in rows.values()} == {0, 1}
    assert {row.kind for row in rows.values()} == {StepKind.LABEL}
    assert (document["n"], document["scorer"], document["shuffled"]) == (6, "judge", None)
    assert document["unscored"] == 0 and document["accuracy"]["n"] == 6
    recipe = parse_choices_recipe(held.recipe)
    assert load_frozen_choices(held, recipe) == load_choices(path)
    # The same command tells the same and asks nothing again.
    assert run("demo", str(path), "--least-mass", "0", capsys=capsys) == document
    assert len(RowIndex(held, "choices")) == 12
    assert document["run"] in [name for name, _ in list_figures(workspace)]
    assert cli.main(["verify"]) == 0
    # The demo model was taught other words than letters: of its own accord it says no such thing.
    assert cli.main(["choices", "demo", str(path)]) == 2
    assert "not scored: 6 of 6" in capsys.readouterr().out


def test_a_server_without_log_probabilities_is_read_by_its_letters(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "bread.jsonl", make_records(8))
    with serve_letter("(A).") as url:
        document = run(url, str(path), capsys=capsys)
    # Always the first letter: in both orders that is a draw for each question.
    assert document["ways"] == ["text"] and document["accuracy"]["mean"] == 0.5
    assert document["unscored"] == 0 and not document["above_chance"]


def test_a_reward_model_scores_and_swapped_answers_turn_it_round(
    workspace: Path, reward: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = make_records(10)
    swapped = [
        {
            **record,
            "corrects": record["incorrects"],
            "incorrects": record["corrects"],
            "text_correct": record["text_incorrect"],
            "text_incorrect": record["text_correct"],
        }
        for record in records
    ]
    rates = [
        run(reward, str(write(tmp_path / name, told)), "--by", "reward", capsys=capsys)
        for name, told in (("a.jsonl", records), ("b.jsonl", swapped))
    ]
    assert rates[0]["accuracy"]["mean"] + rates[1]["accuracy"]["mean"] == pytest.approx(1.0)
    assert set(rates[0]["by_kind"]) == {"bread", "flour"}
    assert rates[0]["accuracy"]["clusters"] == 5 and rates[0]["accuracy"]["n"] == 10
    assert cli.main(["choices", reward, str(tmp_path / "a.jsonl"), "--by", "reward"]) == 0
    assert "by its rewards on a.jsonl" in capsys.readouterr().out


def test_the_official_sample_goes_through_judge_and_reward_model(
    workspace: Path, reward: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(official_file(HHH))
    for shuffled in ([], ["--shuffled", "1"]):
        document = run(reward, path, "--by", "reward", *shuffled, capsys=capsys)
        assert (document["n"], document["chance"]) == (120, 0.5)
        mean = document["accuracy"]
        # Random weights know nothing; contexts that questions share count once.
        assert mean["low"] < 0.5 < mean["high"] and mean["clusters"] < mean["n"]
    judged = run("demo", path, "--limit", "20", "--least-mass", "0", capsys=capsys)
    # What is longer than the demo model reads is in no rate.
    told = judged["accuracy"]
    assert judged["n"] == told["n"] + judged["unscored"] == 20 and told["n"] >= 8
    assert told["low"] < 0.5 < told["high"]


def test_what_cannot_be_scored_is_refused_with_the_fix(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = [{k: v for k, v in one.items() if "text" not in k} for one in make_records(2)]
    with pytest.raises(ImportFormatError, match="question 1 tells no conversations"):
        choose_questions(
            [parse_choice(one) for one in plain], scorer="reward", limit=None, shuffled=None
        )
    assert cli.main(["choices", "run:nobody", str(write(tmp_path / "f.jsonl", plain))]) == 2
    assert "no run of this workspace made such a model" in capsys.readouterr().err
    with pytest.raises(RecipeError, match="unknown"):
        parse_choices_recipe({"model": "demo", "modle": 1})
