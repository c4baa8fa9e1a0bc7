from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.errors import RecipeError
from cai_core.training.datasets import HELD_OUT, build_sft_dataset, parse_example
from cai_core.training.recipe import ChainSource
from tests.training.makers import make_chain, make_step


def test_each_use_takes_its_own_texts() -> None:
    chains = [make_chain(1, rounds=2)]

    def texts(use: str) -> list[str]:
        dataset = build_sft_dataset([(ChainSource(run="r", use=use), chains)], seed=0)  # type: ignore[arg-type]
        return sorted(example.answer for example in dataset.examples)

    assert texts("all") == ["No, not thing 1 (round 1).", "No, not thing 1 (round 2)."]
    assert texts("final") == ["No, not thing 1 (round 2)."]
    assert texts("initial") == ["Sure, here is how to do thing 1."]


def test_nothing_held_out_is_taken_whatever_the_use() -> None:
    chains = [make_chain(n, tags=(HELD_OUT,) if n % 2 else ("split:train",)) for n in range(20)]
    sources = [
        (ChainSource(run="r"), chains),
        (ChainSource(run="r", use="final", share=0.3), chains),
        (ChainSource(run="r", use="initial", share=0.3), chains),
    ]
    dataset = build_sft_dataset(sources, seed=3)
    held_out = {chain["prompt_id"] for chain in chains if HELD_OUT in chain["tags"]}
    assert dataset.examples
    assert not held_out & {example.prompt_id for example in dataset.examples}
    assert [count.left_out["held out"] for count in dataset.counts] == [10, 10, 10]


def test_what_cannot_be_taught_is_left_out_and_counted() -> None:
    chains = [make_chain(1), make_chain(2, failed=True)]
    chains.append(
        {**make_chain(3), "steps": [make_step("revision", 2, "cut", finish_reason="length")]}
    )
    chains.append({**make_chain(4), "steps": [make_step("revision", 2, " \n")]})
    chains.append({**make_chain(5), "steps": [make_step("revision", 2, None, error="refused")]})
    (count,) = build_sft_dataset([(ChainSource(run="r", use="final"), chains)], 0).counts
    assert (count.found, count.taken) == (1, 1)
    assert count.left_out == {
        "chain ended in an error": 1,
        "cut at the token limit": 1,
        "empty": 1,
        "step ended in an error": 1,
    }


def test_no_text_at_all_is_an_error_that_says_why() -> None:
    chains = [make_chain(1, tags=(HELD_OUT,))]
    with pytest.raises(RecipeError, match="1 held out"):
        build_sft_dataset([(ChainSource(run="r"), chains)], 0)


@settings(deadline=None, max_examples=60)
@given(
    red=st.integers(1, 60),
    fine=st.integers(0, 120),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**31),
)
def test_a_share_is_a_share_of_all(red: int, fine: int, share: float, seed: int) -> None:
    revised = [make_chain(n) for n in range(red)]
    helpful = [make_chain(1000 + n, rounds=0) for n in range(fine)]
    sources = [
        (ChainSource(run="red"), revised),
        (ChainSource(run="fine", use="initial", share=share), helpful),
    ]
    dataset = build_sft_dataset(sources, seed)
    counted = Counter(example.run for example in dataset.examples)
    wanted = round(share / (1 - share) * red)
    assert counted["red"] == red
    assert counted["fine"] == min(wanted, fine)
    assert dataset.counts[1].wanted == wanted
    assert len({(e.run, e.prompt_id) for e in dataset.examples}) == len(dataset.examples)
    assert build_sft_dataset(sources, seed).hash == dataset.hash


def test_the_seed_changes_what_is_drawn_and_its_order() -> None:
    sources = [
        (ChainSource(run="red"), [make_chain(n) for n in range(20)]),
        (ChainSource(run="fine", use="initial", share=0.5), [make_chain(n) for n in range(99)]),
    ]
    one, other = (build_sft_dataset(sources, seed) for seed in (1, 2))
    assert one.hash != other.hash
    assert {e.prompt_id for e in one.examples} != {e.prompt_id for e in other.examples}


def test_an_example_comes_back_from_its_line() -> None:
    dataset = build_sft_dataset([(ChainSource(run="r"), [make_chain(n) for n in range(5)])], 0)
    for example in dataset.examples:
        assert parse_example(json.loads(json.dumps(example.as_dict()))) == example


def test_a_prompt_held_out_in_one_source_is_held_out_in_all() -> None:
    tagged = [make_chain(n, tags=(HELD_OUT,)) for n in range(5)]
    sources = [
        (ChainSource(run="a"), [*tagged, make_chain(7)]),
        (ChainSource(run="b", use="initial"), [make_chain(n) for n in range(8)]),
    ]
    dataset = build_sft_dataset(sources, 0)
    assert not {f"p{n:04}#{n}" for n in range(5)} & {one.prompt_id for one in dataset.examples}
    assert dataset.counts[1].left_out == {"held out": 5}
