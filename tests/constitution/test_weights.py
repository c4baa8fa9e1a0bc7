"""Weight and on/off: in the file, in the hash, and in what is drawn."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.constitution import (
    constitution_hash,
    dump_constitution,
    find_constitution,
    parse_constitution,
)
from cai_core.constitution.draw import choose_principle, pick_principle, sample_principles
from cai_core.constitution.model import MAX_WEIGHT
from cai_core.errors import ConstitutionError, RecipeError
from cai_core.pipeline.label_recipe import (
    ComparisonSource,
    LabelRecipe,
    draw_principles,
    resolve_label_principles,
)
from cai_core.pipeline.recipe import ChainRecipe, resolve_principles
from cai_core.pipeline.steps import plan_chain
from cai_core.records import Constitution, Message, Prompt
from tests.constitution.strategies import constitutions

HARMLESSNESS = find_constitution("harmlessness")
# Of the texts as they were before principles had weights: versions are named by them.
HASHES = {
    "harmlessness": "1b463af547b5b17e83b25c2753e43dd68853b4260d71a80f0b3ea35ac883de1d",
    "healthcare": "d4b2ea1257e8a87e734ebe0b8e3cbb92fad8d65ec89874c185c76ef4a1bcd630",
    "helpful-honest-harmless": "3cd7f72036add0af12212d64bab932c379cfc1452e467923bd20df67e5b0c42c",
}
FILE = """\
format: 1
name: n
principles:
  - {id: a, text: t, critique_request: c, revision_request: r%s}
"""


def weigh(constitution: Constitution, **changes: dict[str, object]) -> Constitution:
    """The constitution with fields of some principles changed; an id's `-` is written `_`."""
    wanted = {name.replace("_", "-"): fields for name, fields in changes.items()}
    return replace(
        constitution,
        principles=tuple(replace(p, **wanted.get(p.id, {})) for p in constitution.principles),
    )


def label_recipe(**changes: object) -> LabelRecipe:
    fields: dict[str, object] = {
        "sources": (ComparisonSource(run="r"),),
        "feedback_model": "demo",
        "constitution": "harmlessness",
        "constitution_hash": "h",
    }
    return LabelRecipe(**(fields | changes))  # type: ignore[arg-type]


def draw_chain_ids(constitution: Constitution, count: int, **recipe: object) -> list[str]:
    ids = []
    for number in range(count):
        prompt = Prompt(prompt_id=f"p{number}", conversation=(Message("user", "?"),))
        steps = plan_chain(
            ChainRecipe(revisions=1, critique=False, **recipe),  # type: ignore[arg-type]
            constitution,
            prompt,
            sample=0,
            run_id="r",
        )
        ids.append(steps[-1].principle.id)  # type: ignore[union-attr]
    return ids


@pytest.mark.parametrize("name", HASHES)
def test_shipped_constitutions_keep_their_hashes(name: str) -> None:
    assert find_constitution(name).hash == HASHES[name]


@settings(deadline=None)
@given(constitutions)
def test_defaults_written_out_change_neither_hash_nor_file(constitution: Constitution) -> None:
    plain = dump_constitution(constitution)
    same = replace(
        constitution,
        principles=tuple(replace(p, weight=1, enabled=True) for p in constitution.principles),
    )
    assert constitution_hash(same) == constitution.hash
    assert dump_constitution(same) == plain


@settings(deadline=None)
@given(
    constitutions,
    st.floats(min_value=1e-12, max_value=MAX_WEIGHT),
    st.booleans(),
)
def test_weight_and_switch_survive_the_file(
    constitution: Constitution, weight: float, enabled: bool
) -> None:
    first = replace(constitution.principles[0], weight=weight, enabled=enabled)
    changed = replace(constitution, principles=(first, *constitution.principles[1:]))
    read = parse_constitution(dump_constitution(changed), "dump")
    assert read.principles == changed.principles
    assert read.hash == constitution_hash(changed)
    assert (read.hash == constitution.hash) == (weight == 1 and enabled)


def test_two_and_two_point_zero_are_one_version() -> None:
    texts = [FILE % f", weight: {written}" for written in ("2", "2.0", "+2.")]
    assert len({parse_constitution(text, "f").hash for text in texts}) == 1


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("weight: 0", "weight is 0. Give a number above 0"),
        ("weight: -1", "weight is -1. Give a number above 0"),
        ("weight: .inf", "weight is .inf. Give a number above 0"),
        ("weight: .nan", "weight is .nan. Give a number above 0"),
        ("weight: 1:30", "weight is 1:30. Give a number above 0"),
        ("weight: 1000001", "at most 1000000; write enabled: false"),
        ("weight: heavy", "weight is a text, not a number. Write weight: 2."),
        ("weight: [2]", "weight is a list, not a number"),
        ("enabled: 0", "enabled is a number. Write enabled: true or false."),
        ("enabled: [no]", "enabled is a list. Write enabled: true or false."),
        ("enable: false", "Did you mean 'enabled'?"),
    ],
)
def test_what_is_no_weight_is_refused(written: str, expected: str) -> None:
    with pytest.raises(ConstitutionError) as raised:
        parse_constitution(FILE % f", {written}", "my.yaml")
    assert expected in str(raised.value)
    assert str(raised.value).startswith("my.yaml:4: ")


def test_without_weights_seeds_draw_what_they_always_drew() -> None:
    principles = HARMLESSNESS.principles
    for seed in [random.Random(n).randrange(2**63) for n in range(200)]:
        assert pick_principle(principles, seed) is principles[seed % len(principles)]
        drawn = sample_principles(principles, 3, random.Random(seed))
        assert list(drawn) == random.Random(seed).sample(principles, 3)
        chosen = choose_principle(principles, random.Random(seed))
        assert chosen is random.Random(seed).choice(principles)
    halved = [replace(p, weight=0.5) for p in principles]
    assert pick_principle(halved, 12345).id == pick_principle(principles, 12345).id


def test_chains_draw_by_weight_and_never_what_is_off() -> None:
    constitution = weigh(
        HARMLESSNESS, no_harm={"weight": 15.0}, privacy={"enabled": False}, dignity={"weight": 0.5}
    )
    told = Counter(draw_chain_ids(constitution, 4000))
    assert "privacy" not in told
    # 15 of 28.5 and 1 of 28.5: both within four standard errors.
    assert abs(told["no-harm"] / 4000 - 15 / 28.5) < 0.032
    assert abs(told["not-evasive"] / 4000 - 1 / 28.5) < 0.012
    assert 0 < told["dignity"] < told["not-evasive"]
    in_order = draw_chain_ids(constitution, 1, principles="in-order")
    assert in_order == ["no-harm"]


def test_labels_draw_by_weight_and_never_what_is_off() -> None:
    constitution = weigh(HARMLESSNESS, no_harm={"weight": 15.0}, privacy={"enabled": False})
    recipe = label_recipe(principles_per_comparison=2)
    told: Counter[str] = Counter()
    for number in range(1500):
        drawn = draw_principles(recipe, constitution, comparison_id=f"c{number}", place=number)
        assert len({p.id for p in drawn}) == 2
        told.update(p.id for p in drawn)
    assert "privacy" not in told
    # Drawn first with 15/29; else second, with 15/28 of what is left.
    expected = 15 / 29 + 14 / 29 * 15 / 28
    assert abs(told["no-harm"] / 1500 - expected) < 0.045


def test_a_recipe_that_names_a_principle_that_is_off_is_refused() -> None:
    off = weigh(HARMLESSNESS, privacy={"enabled": False})
    with pytest.raises(RecipeError, match="principle privacy of 'harmlessness' is off"):
        resolve_principles(ChainRecipe(principles=("no-harm", "privacy")), off)
    with pytest.raises(RecipeError, match="principle privacy of 'harmlessness' is off"):
        resolve_label_principles(label_recipe(principles=("privacy",)), off)
    alone = weigh(HARMLESSNESS, **{p.id: {"enabled": False} for p in HARMLESSNESS.principles})
    with pytest.raises(RecipeError, match="every principle of 'harmlessness' is off"):
        resolve_principles(ChainRecipe(), alone)
    with pytest.raises(RecipeError, match="every principle of 'harmlessness' is off"):
        resolve_label_principles(label_recipe(), alone)


def test_an_unworded_principle_that_is_off_stops_no_labels() -> None:
    bare = weigh(HARMLESSNESS, privacy={"enabled": False, "comparison_request": ""})
    assert len(resolve_label_principles(label_recipe(), bare)) == 15
