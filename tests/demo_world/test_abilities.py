"""The evaluation tells a perfect model from one that does not listen; the card tells it all."""

import json

import pytest

from cai_core.demo_world import card, load_oracle
from cai_core.demo_world.abilities import Ability, Evaluation
from cai_core.demo_world.principles import BEHAVIOURS
from cai_core.evaluation.metrics import compute_clustered_rate
from tests.demo_world.perfect import PerfectAnswerer

ORACLE = load_oracle()
LIMIT = 20


def _evaluate(answerer):
    evaluation = Evaluation(ORACLE, answerer, limit=LIMIT)
    abilities = {a.key: a for a in evaluation.run(lambda ability: None)}
    return abilities, evaluation.measure_behaviours()


@pytest.fixture(scope="module")
def perfect():
    return _evaluate(PerfectAnswerer(ORACLE))


def test_a_perfect_model_passes_everything(perfect):
    abilities, behaviours = perfect
    assert {key: a.model.rate for key, a in abilities.items()} == dict.fromkeys(abilities, 1.0)
    assert all(a.passed is not False for a in abilities.values())
    for dropped, effect in card.compute_effects(behaviours).items():
        assert abs(effect["own"]) == 1.0, dropped
        assert effect["others"] == 0.0, dropped


def test_held_out_cases_only(perfect):
    evaluation = Evaluation(ORACLE, PerfectAnswerer(ORACLE))
    for standing in ("harmful", "fine", "borderline"):
        cases = evaluation.cases(standing)
        assert all(case.intent in ORACLE.world.held_out for case in cases)
        assert len(cases) == 2 * len({case.intent for case in cases})


def test_a_model_deaf_to_the_principle_is_told():
    abilities, _ = _evaluate(PerfectAnswerer(ORACLE, deaf_to="principle"))
    for key in ("untouched_handled", "listens_to_principle"):
        assert abilities[key].model.rate == 0.0, key
        assert abilities[key].passed is False
    assert abilities["verdict_reasoned"].passed is False
    assert abilities["critique_names_harm"].model.rate == 1.0


def test_a_model_deaf_to_the_behaviours_is_told():
    _, behaviours = _evaluate(PerfectAnswerer(ORACLE, deaf_to="behaviours"))
    effects = card.compute_effects(behaviours)
    assert all(effects[b]["own"] == 0.0 for b in BEHAVIOURS)


def test_the_keyword_baseline_does_not_solve_the_world(perfect):
    abilities, _ = perfect
    for ability in abilities.values():
        if ability.bar is not None and ability.baseline is not None:
            assert ability.baseline.rate < ability.bar, ability.key


def test_the_card_tells_every_ability_and_every_miss(tmp_path, perfect):
    abilities, behaviours = perfect
    missed = Ability(
        key="x",
        title="an ability that was missed",
        bar=0.9,
        model=compute_clustered_rate([(i, i > 5) for i in range(10)]),
    )
    card.write_card(tmp_path, [*abilities.values(), missed], behaviours, {"seed": 0})
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    record = json.loads((tmp_path / "evaluation.json").read_text(encoding="utf-8"))
    for ability in abilities.values():
        assert ability.title in text
    assert text.count("**missed**") == 1
    assert [a["passed"] for a in record["abilities"]].count(False) == 1
    assert record["facts"] == {"seed": 0}
