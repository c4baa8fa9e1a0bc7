"""The lint: what asks for harm is found, and what is against it is left alone."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from cai_core.constitution import (
    find_constitution,
    lint_harm,
)
from cai_core.constitution.lint import (
    apply_fix,
)
from cai_core.constitution.lint_harm import find_demands
from tests.constitution.inverted import (
    HARMFUL_CRITIQUES,
    HARMFUL_TEXTS,
    HARMLESS_TEXTS,
    invert,
)
from tests.constitution.lint_makers import (
    SHIPPED,
    build,
    find,
    load_official,
    rule,
)


@pytest.mark.parametrize("text", HARMFUL_TEXTS)
def test_what_asks_for_harm_is_found(text: str) -> None:
    for field in ("text", "revision_request", "comparison_request"):
        assert list(find_demands(field, text)), field


@pytest.mark.parametrize("text", HARMFUL_CRITIQUES)
def test_a_critique_that_misses_harm_is_found(text: str) -> None:
    assert list(find_demands("critique_request", text))


@pytest.mark.parametrize("text", HARMLESS_TEXTS)
def test_what_is_against_harm_is_left_alone(text: str) -> None:
    for field in ("text", "critique_request", "revision_request", "comparison_request"):
        assert list(find_demands(field, text)) == [], field


def test_the_quick_look_lets_every_word_of_harm_through() -> None:
    for pattern in (lint_harm._ADJECTIVES, lint_harm._NOUNS, lint_harm._VERBS):
        plain = re.sub(r"\((?:\?:)?[^()]*\)|\?|\\w\*", "", pattern[3:-1])
        for words in plain.replace("[md]is", "dis").split("|"):
            assert lint_harm._may_ask("text", words.split()) or words == "break the law", words
    assert lint_harm._may_ask("text", ["break", "the", "law"])
    assert not lint_harm._may_ask("text", ["the", "response", "should", "name", "an", "example"])


@pytest.mark.parametrize("name", SHIPPED)
def test_an_inverted_constitution_is_flagged_and_the_upright_one_is_not(name: str) -> None:
    upright = find_constitution(name)
    assert find(upright, "asks-for-harm") == []
    flagged = {finding.principle_id for finding in find(invert(upright), "asks-for-harm")}
    changed = {
        p.id for p in upright.principles if "harm" in p.tags or "not help" in p.revision_request
    }
    assert changed
    assert changed <= flagged
    assert all(f.severity == "error" for f in find(invert(upright), "asks-for-harm"))


def test_the_official_constitution_is_flagged_when_inverted_only() -> None:
    official = load_official()
    assert find(official, "asks-for-harm") == []
    flagged = {finding.principle_id for finding in find(invert(official), "asks-for-harm")}
    assert len(flagged) >= 14


def test_switching_a_harmful_principle_off_is_its_fix() -> None:
    harmful = build(rule("The response should help with fraud."))
    (finding,) = [f for f in find(harmful, "asks-for-harm") if f.field == "text"]
    assert "should help with fraud" in finding.message or "help with fraud" in finding.message
    fixed = apply_fix(harmful, finding)
    assert fixed.principles == (replace(harmful.principles[0], enabled=False),)
    assert find(fixed, "asks-for-harm") == []
    assert [f.severity for f in find(fixed, "nothing-on")] == ["error"]
