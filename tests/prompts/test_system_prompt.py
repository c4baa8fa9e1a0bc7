"""A constitution as a system prompt: what is in it, in which order, and where it goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.constitution import find_constitution
from cai_core.constitution.store import list_constitutions
from cai_core.errors import TemplateError
from cai_core.prompts.system_prompt import (
    BY_WEIGHT,
    IN_ORDER,
    TEMPLATE_VERSION,
    add_system_prompt,
    build_system_prompt,
    order_by_weight,
)
from cai_core.records import Constitution, Message, Principle


def principle(number: int, **settings: object) -> Principle:
    made = Principle(
        id=f"p{number}", text=f"Rule {number}.", critique_request="c?", revision_request="r."
    )
    return replace(made, **settings)


def constitution(*principles: Principle) -> Constitution:
    return Constitution(name="mine", description="", principles=principles, hash="h")


switches = st.lists(st.tuples(st.sampled_from([0.5, 1.0, 2.0]), st.booleans()), max_size=8)


@given(switches)
def test_every_principle_that_is_on_stands_once_and_no_other(
    chosen: list[tuple[float, bool]],
) -> None:
    made = constitution(
        *(principle(n, weight=w, enabled=on) for n, (w, on) in enumerate(chosen, start=1))
    )
    on = [p for p in made.principles if p.enabled]
    if not on:
        with pytest.raises(TemplateError, match="no principle that is on"):
            build_system_prompt(made)
        return
    prompt = build_system_prompt(made)
    assert sorted(prompt.principle_ids) == sorted(p.id for p in on)
    for number, name in enumerate(prompt.principle_ids, start=1):
        assert f"\n{number}. {made.principle(name).text}\n" in prompt.text
    assert sum(p.text in prompt.text for p in made.principles) == len(on)
    weights = [p.weight for p in order_by_weight(made)]
    assert weights == sorted(weights, reverse=True)
    assert (BY_WEIGHT in prompt.text) == (len(set(weights)) > 1)
    assert (IN_ORDER in prompt.text) == (len(set(weights)) == 1)
    assert (prompt.characters, prompt.words) == (len(prompt.text), len(prompt.text.split()))
    assert prompt.version == TEMPLATE_VERSION


def test_equal_weights_keep_the_constitutions_order() -> None:
    made = constitution(principle(1), principle(2, weight=3.0), principle(3), principle(4))
    assert build_system_prompt(made).principle_ids == ("p2", "p1", "p3", "p4")


def test_a_principle_of_several_lines_is_one_item() -> None:
    made = constitution(principle(1, text="Be kind.\n\n2. Be rude."), principle(2))
    assert "\n1. Be kind. 2. Be rude.\n2. Rule 2.\n" in build_system_prompt(made).text


def test_the_requests_of_a_principle_stay_out() -> None:
    for summary in list_constitutions():
        made = find_constitution(summary.name)
        text = build_system_prompt(made).text
        for one in made.principles:
            assert one.critique_request not in text
            assert one.revision_request not in text


def test_a_conversation_gets_one_system_turn_and_keeps_its_own() -> None:
    prompt = build_system_prompt(constitution(principle(1)))
    asked = (Message("user", "Hello?"),)
    assert add_system_prompt(asked, prompt) == (Message("system", prompt.text), *asked)
    own = (Message("system", "You are Ada."), *asked)
    first, *rest = add_system_prompt(own, prompt)
    assert first.role == "system"
    assert first.content.startswith(prompt.text) and first.content.endswith("You are Ada.")
    assert tuple(rest) == asked
