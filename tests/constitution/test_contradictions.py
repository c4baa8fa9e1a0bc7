"""Contradictions: which pairs are asked about, what counts, and the demo model's own answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.constitution import find_constitution
from cai_core.constitution.contradictions import (
    Contradictions,
    PairScorer,
    choose_pairs,
    find_contradictions,
)
from cai_core.constitution.requests import build_principle
from cai_core.inference.launcher import stop_server
from cai_core.pipeline.ask_contradictions import ask_contradictions, read_option
from cai_core.pipeline.connect import launch
from cai_core.records import Constitution, Conversation

RULES = (
    "Answer in one sentence only.",
    "Answer in many sentences only.",
    "Say where to turn.",
    "Be honest about doubts.",
)
CONSTITUTION = Constitution(
    name="c",
    description="",
    principles=tuple(build_principle(f"p{n}", text) for n, text in enumerate(RULES)),
)
HHH = find_constitution("helpful-honest-harmless")


def ask(
    scorer: PairScorer, constitution: Constitution = CONSTITUTION, **how: int
) -> Contradictions:
    return asyncio.run(find_contradictions(scorer, constitution, **how))


def answer_by(leaning: float, asked: list[str]) -> PairScorer:
    """A reader who sees that one and many sentences exclude each other, and leans to No."""

    async def scorer(question: Conversation, options: Sequence[str]) -> Sequence[float] | None:
        text = question[-1].content
        asked.append(text)
        if RULES[3] in text and RULES[2] in text:
            return None
        no = 0.9 if RULES[0] in text and RULES[1] in text else 0.2
        # Leaning adds to one order what it takes from the other.
        first = (
            text.index("First principle: Answer in one")
            if no > 0.5 and ("First principle: Answer in one" in text)
            else None
        )
        no += leaning if first is not None else -leaning if no > 0.5 else 0.0
        return tuple(no if option == "No" else 1 - no for option in options)

    return scorer


def test_both_orders_are_asked_and_averaged() -> None:
    asked: list[str] = []
    found = ask(answer_by(0.1, asked))
    assert (found.pairs, found.asked, found.unreadable) == (6, 6, 1)
    assert len(asked) == len(set(asked)) == 12
    (finding,) = found.findings
    assert (finding.rule, finding.severity, finding.principle_id) == ("contradiction", "hint", "p1")
    assert "contradict 'p0'" in finding.message and "90%" in finding.message
    assert finding.fix is None


def test_the_bound_keeps_what_is_most_alike() -> None:
    asked: list[str] = []
    found = ask(answer_by(0.0, asked), most_pairs=1)
    assert (found.asked, len(asked), len(found.findings)) == (1, 2, 1)
    ids = [(a.id, b.id) for a, b in choose_pairs(CONSTITUTION.principles, 99)]
    assert ids[0] == ("p0", "p1")
    assert len(set(ids)) == 6
    assert ask(answer_by(0.0, asked), most_pairs=0).findings == ()
    assert choose_pairs(CONSTITUTION.principles[:1], 9) == []


def test_principles_that_are_off_are_not_asked_about() -> None:
    first, *rest = CONSTITUTION.principles
    off = replace(CONSTITUTION, principles=(replace(first, enabled=False), *rest))
    asked: list[str] = []
    assert ask(answer_by(0.0, asked), off).findings == ()
    assert not any(RULES[0] in text for text in asked)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(" no.", (0, 1)), ("**Yes**, both", (1, 0)), ("Nobody", None), ("", None), ("I say no", None)],
)
def test_a_written_answer_is_its_first_word(text: str, expected: tuple[int, ...] | None) -> None:
    told = read_option(text, ("Yes", "No"))
    assert told is None if expected is None else tuple(told or ()) == expected


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("contradictions")
    try:
        yield folder
    finally:
        stop_server("demo", folder)


def test_the_demo_model_is_asked_and_answers_the_same_twice(workspace: Path) -> None:
    """It was never taught the question: that it answers, and alike, is all that can be tested."""
    launched = launch("demo", workspace)
    first, second = (asyncio.run(ask_contradictions(launched, HHH, most_pairs=4)) for _ in range(2))
    assert first == second
    assert (first.pairs, first.asked) == (15, 4)
    assert first.unreadable + len(first.findings) <= 4
    assert {f.severity for f in first.findings} <= {"hint"}
