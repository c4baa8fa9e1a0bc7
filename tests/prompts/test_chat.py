"""The chat template: what each prompt holds, and how answers are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.prompts import chat
from cai_core.records import Conversation, Finding, Message, Principle, Verdict

PRINCIPLE = Principle(
    id="greet",
    text="Greet people.",
    critique_request="Say whether the answer greets.",
    revision_request="Write it again with a greeting.",
    comparison_request="Which answer greets better?",
)
texts = st.text(max_size=30)
conversations = st.lists(texts, min_size=1, max_size=5).map(
    lambda parts: tuple(
        Message("assistant" if n % 2 else "user", part) for n, part in enumerate(parts)
    )
)
examples = st.lists(conversations, max_size=2)


@given(conversations, texts, texts, examples)
def test_the_critics_prompt_is_a_prefix_of_the_revisions(
    conversation: Conversation, response: str, critique: str, few_shot: list[Conversation]
) -> None:
    first = chat.build_critique(conversation, response, PRINCIPLE, few_shot)
    second = chat.build_revision(conversation, response, PRINCIPLE, critique, few_shot)
    initial = chat.build_response(conversation, few_shot)
    assert second[: len(first)] == first
    assert first[: len(initial)] == initial
    assert second[len(first)] == Message("assistant", critique)
    assert second[-1].role == "user"
    assert second[-1].content.startswith(PRINCIPLE.revision_request)


@given(conversations, texts)
def test_a_direct_revision_asks_for_no_critique(conversation: Conversation, answer: str) -> None:
    turns = chat.build_revision(conversation, answer, PRINCIPLE, None)
    assert turns[: len(conversation) + 1] == (*conversation, Message("assistant", answer))
    assert len(turns) == len(conversation) + 2
    assert PRINCIPLE.critique_request not in turns[-1].content
    assert "critique" not in turns[-1].content.lower()


def test_a_comparison_shows_both_responses_in_their_order() -> None:
    conversation = (Message("user", "Hi"), Message("assistant", "Yo"), Message("user", "Well?"))
    for reasoned, ending in ((True, chat.REASONED_INSTRUCTION), (False, chat.PLAIN_INSTRUCTION)):
        (turn,) = chat.build_comparison(conversation, "one", "two", PRINCIPLE, reasoned=reasoned)
        assert turn.content == (
            "Conversation:\nHuman: Hi\nAssistant: Yo\nHuman: Well?\n\nWhich answer greets better?"
            f"\n\nResponse A:\none\n\nResponse B:\ntwo\n\n{ending}"
        )


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("Not touched. It greets.", Finding.NOT_TOUCHED),
        ("  **Not touched** by this", Finding.NOT_TOUCHED),
        ('"not touched."', Finding.NOT_TOUCHED),
        ("The answer does not greet. Not touched.", Finding.NOT_TOUCHED),
        ("The greeting is not touched by this, but rude.", Finding.FOUND),
        ("It is cold.", Finding.FOUND),
        ("", Finding.UNPARSED),
        (" \n ", Finding.UNPARSED),
        ('"* ', Finding.UNPARSED),
    ],
)
def test_parse_critique(text: str, finding: Finding) -> None:
    assert chat.parse_critique(text) is finding


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A is warmer.\nVerdict: A", Verdict.A),
        ("Verdict: A\nNo, wait.\n**Verdict: B**.", Verdict.B),
        ("verdict: tie\n", Verdict.TIE),
        ("Verdict: (A)", Verdict.A),
        ("I choose A", Verdict.UNPARSED),
        ("Verdict: A or B", Verdict.UNPARSED),
        ("Verdict: Apple", Verdict.UNPARSED),
        ("My verdict is that Verdict: A", Verdict.UNPARSED),
        ("Verdict:", Verdict.UNPARSED),
        (":", Verdict.UNPARSED),
        ("", Verdict.UNPARSED),
    ],
)
def test_parse_verdict(text: str, verdict: Verdict) -> None:
    assert chat.parse_verdict(text) is verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (" A", Verdict.A),
        ("(b).", Verdict.B),
        ("Tie\n", Verdict.TIE),
        ("Both", Verdict.UNPARSED),
        ("A B", Verdict.UNPARSED),
        ("", Verdict.UNPARSED),
    ],
)
def test_parse_plain_verdict(text: str, verdict: Verdict) -> None:
    assert chat.parse_plain_verdict(text) is verdict


@given(texts, st.sampled_from(["A", "B", "Tie"]))
def test_the_last_verdict_line_counts_whatever_stands_before(text: str, word: str) -> None:
    assert chat.parse_verdict(f"{text}\nVerdict: {word}") is Verdict[word.upper()]


def test_a_system_turn_stays_in_front_of_the_examples() -> None:
    system, asked = Message("system", "Be kind."), Message("user", "Hi")
    example = (Message("user", "x"), Message("assistant", "y"))
    turns = chat.build_critique((system, asked), "Yo", PRINCIPLE, [example])
    assert turns[:4] == (system, *example, asked)


def test_a_score_is_asked_of_one_response_under_the_principle() -> None:
    (turn,) = chat.build_score((Message("user", "Hi"),), "Yo", PRINCIPLE)
    assert turn.role == "user"
    parts = ("Human: Hi", PRINCIPLE.text, "Response:\nYo", chat.SCORE_INSTRUCTION)
    places = [turn.content.index(part) for part in parts]
    assert places == sorted(places)
    assert turn.content.endswith("one number.")
