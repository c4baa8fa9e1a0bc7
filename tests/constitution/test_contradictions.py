"""Contradictions: which pairs are asked about, what counts, and the demo model's own answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.constitution import find_constitution
from cai_core.constitution.contradictions import (
    CAN_FOLLOW,
    Contradictions,
    PairScorer,
    ask_about_pairs,
    build_pair_findings,
    choose_pairs,
)
from cai_core.constitution.findings import Finding
from cai_core.constitution.harm_asked import DOES_HARM, ask_about_harm, build_harm_findings
from cai_core.constitution.opinions import (
    Opinion,
    build_opinion_findings,
    count_unasked,
    parse_opinion,
)
from cai_core.constitution.requests import build_principle
from cai_core.inference.launcher import stop_server
from cai_core.pipeline.ask_opinion import ask_opinion, read_option
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
    return asyncio.run(ask_about_pairs(scorer, constitution, **how))


def tell(found: Contradictions, constitution: Constitution = CONSTITUTION) -> tuple[Finding, ...]:
    return build_pair_findings(found.answers, constitution)


def answer_by(leaning: float, asked: list[str]) -> PairScorer:
    """A reader who sees that one and many sentences exclude each other, and leans to "Yes"."""

    async def scorer(question: Conversation, options: Sequence[str]) -> Sequence[float] | None:
        text = question[-1].content
        asked.append(text)
        if RULES[3] in text and RULES[2] in text:
            return None
        conflict = 0.85 if RULES[0] in text and RULES[1] in text else 0.2
        yes = (1 - conflict if CAN_FOLLOW in text else conflict) + leaning
        return tuple(yes if option == "Yes" else 1 - yes for option in options)

    return scorer


def test_both_orders_are_asked_in_two_ways_and_averaged() -> None:
    asked: list[str] = []
    found = ask(answer_by(0.1, asked))
    assert (found.pairs, len(found.answers), found.unreadable) == (6, 6, 1)
    assert len(asked) == len(set(asked)) == 12
    (finding,) = tell(found)
    assert (finding.rule, finding.severity, finding.principle_id) == ("contradiction", "hint", "p1")
    assert "contradict 'p0'" in finding.message and "85%" in finding.message
    assert finding.fix is None


def test_the_bound_keeps_what_is_most_alike() -> None:
    asked: list[str] = []
    found = ask(answer_by(0.0, asked), most_pairs=1)
    assert (len(found.answers), len(asked), len(tell(found))) == (1, 2, 1)
    ids = [(a.id, b.id) for a, b in choose_pairs(CONSTITUTION.principles, 99)]
    assert ids[0] == ("p0", "p1")
    assert len(set(ids)) == 6
    assert ask(answer_by(0.0, asked), most_pairs=0).answers == ()
    assert choose_pairs(CONSTITUTION.principles[:1], 9) == []


def test_principles_that_are_off_are_not_asked_about() -> None:
    first, *rest = CONSTITUTION.principles
    off = replace(CONSTITUTION, principles=(replace(first, enabled=False), *rest))
    asked: list[str] = []
    assert tell(ask(answer_by(0.0, asked), off), off) == ()
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
    first, second = (asyncio.run(ask_opinion(launched, HHH, most_pairs=4)) for _ in range(2))
    assert first == second
    assert (first.pairs_there_are, len(first.pairs), len(first.harm)) == (15, 4, 6)
    assert first.weights_hash
    findings = build_opinion_findings([first], HHH)
    assert first.unreadable + len(findings) <= 10
    assert {f.rule for f in findings} <= {"contradiction", "harm-suspected"}


def test_what_was_said_of_a_pair_holds_while_both_texts_stand() -> None:
    answers = ask(answer_by(0.1, [])).answers
    swapped = replace(CONSTITUTION, principles=CONSTITUTION.principles[::-1])
    assert [f.principle_id for f in build_pair_findings(answers, swapped)] == ["p1"]
    first, second, *rest = CONSTITUTION.principles
    renamed = replace(CONSTITUTION, principles=(replace(first, id="other"), second, *rest))
    (finding,) = build_pair_findings(answers, renamed)
    assert "contradict 'other'" in finding.message
    changed = replace(CONSTITUTION, principles=(replace(first, text="Be brief."), second, *rest))
    assert build_pair_findings(answers, changed) == ()
    off = replace(CONSTITUTION, principles=(replace(first, enabled=False), second, *rest))
    assert build_pair_findings(answers, off) == ()


async def suspect_doubts(question: Conversation, options: Sequence[str]) -> Sequence[float] | None:
    """Takes the principle about doubts for harm, and cannot be read about where to turn."""
    text = question[-1].content
    if RULES[2] in text:
        return None
    harm = 0.8 if RULES[3] in text else 0.1
    yes = (harm if DOES_HARM in text else 1 - harm) + 0.05  # it leans to the word
    return tuple(yes if option == "Yes" else 1 - yes for option in options)


def test_each_principle_is_asked_about_once_and_unread_answers_are_no_findings() -> None:
    answers = asyncio.run(ask_about_harm(suspect_doubts, CONSTITUTION))
    told = [answer.probability for answer in answers]
    assert told == [pytest.approx(0.1), pytest.approx(0.1), None, pytest.approx(0.8)]
    (finding,) = build_harm_findings(answers, CONSTITUTION)
    assert (finding.rule, finding.severity, finding.principle_id) == (
        "harm-suspected",
        "warning",
        "p3",
    )
    assert "80%" in finding.message
    *rest, last = CONSTITUTION.principles
    other = replace(last, revision_request="Rewrite it otherwise.")
    changed = replace(CONSTITUTION, principles=(*rest, other))
    assert build_harm_findings(answers, changed) == ()


def test_who_says_yes_to_everything_suspects_nothing() -> None:
    async def yes(_: Conversation, options: Sequence[str]) -> Sequence[float]:
        return tuple(float(option == "Yes") for option in options)

    assert build_harm_findings(asyncio.run(ask_about_harm(yes, HHH)), HHH) == ()
    assert tell(ask(yes, HHH), HHH) == ()


def test_of_the_same_question_the_newest_answer_holds() -> None:
    answers = asyncio.run(ask_about_harm(suspect_doubts, CONSTITUTION))

    def build(at: str, **changes: float) -> Opinion:
        harm = tuple(replace(a, **changes) if a.text == RULES[3] else a for a in answers)
        return Opinion(
            constitution="c",
            model_id="m",
            weights_hash=None,
            harm=harm,
            pairs=ask(answer_by(0.1, [])).answers,
            pairs_there_are=6,
            at=at,
        )

    older, newer = build("2026-01-01"), build("2026-01-02", direct=0.1, reverse=0.1)
    assert {f.rule for f in build_opinion_findings([older], CONSTITUTION)} == {
        "harm-suspected",
        "contradiction",
    }
    assert [f.rule for f in build_opinion_findings([newer, older], CONSTITUTION)] == [
        "contradiction"
    ]
    assert parse_opinion(older.as_dict()) == older
    assert older.unreadable == 2
    assert count_unasked([older], CONSTITUTION) == 0
    first, *others = CONSTITUTION.principles
    edited = replace(CONSTITUTION, principles=(replace(first, text="Be brief."), *others))
    assert count_unasked([older], edited) == 1
