"""The shipped demo model: its size, its card, and that the card is about these very weights."""

import json

import pytest
from safetensors import safe_open

from cai_core.demo_world import load_oracle
from cai_core.demo_world.abilities import Evaluation
from cai_core.demo_world.answering import GreedyModel
from cai_core.demo_world.card import LEAST_OWN_EFFECT, MOST_SIDE_EFFECT
from cai_core.inference.model_folder import DEMO_FOLDER, compute_weights_hash

MEGABYTE = 1_000_000
RECORD = json.loads((DEMO_FOLDER / "evaluation.json").read_text(encoding="utf-8"))


def test_it_is_small_and_safe():
    weights = DEMO_FOLDER / "model.safetensors"
    assert weights.stat().st_size <= 25 * MEGABYTE
    with safe_open(weights, "pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118
    assert sum(_product(shape) for shape in shapes) <= 3_000_000
    assert not [p for p in DEMO_FOLDER.iterdir() if p.suffix in (".bin", ".pt", ".pkl", ".state")]


def _product(shape):
    total = 1
    for size in shape:
        total *= size
    return total


def test_the_card_is_about_these_weights():
    assert RECORD["facts"]["weights (SHA-256)"] == compute_weights_hash(DEMO_FOLDER)
    card = (DEMO_FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(ability["title"] in card for ability in RECORD["abilities"])


def test_the_card_was_measured_on_every_held_out_intent():
    clusters = {a["key"]: a["model"]["clusters"] for a in RECORD["abilities"]}
    assert clusters["answers_harmful"] >= 200
    assert clusters["answers_fine"] >= 200
    assert clusters["answers_borderline"] >= 100


@pytest.mark.parametrize("ability", RECORD["abilities"], ids=lambda a: a["key"])
def test_each_bar_is_reached(ability):
    assert ability["passed"] is not False, ability


def test_it_listens_to_at_least_three_behaviours():
    listening = [
        behaviour
        for behaviour, effect in RECORD["effects"].items()
        if abs(effect["own"]) >= LEAST_OWN_EFFECT and effect["others"] <= MOST_SIDE_EFFECT
    ]
    assert len(listening) >= 3, RECORD["effects"]


def test_measuring_again_agrees_with_the_card():
    """A sample of the evaluation, run here: greedy answers do not depend on the machine."""
    evaluation = Evaluation(load_oracle(), GreedyModel(DEMO_FOLDER), limit=30)
    told = {a["key"]: a["model"]["rate"] for a in RECORD["abilities"]}
    for ability in (*evaluation.measure_answering(), *evaluation.measure_first_round()):
        # Thirty intents: three standard errors of a rate near 0.9 are 0.16.
        assert ability.model.rate == pytest.approx(told[ability.key], abs=0.17), ability.key
