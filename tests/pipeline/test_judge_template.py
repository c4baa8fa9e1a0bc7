"""What a judge is asked, and how its words are read: never guessed."""

from __future__ import annotations

import pytest

from cai_core.pipeline.judge_template import (
    VERDICT_INSTRUCTION,
    build_judge_question,
    build_rating_question,
    get_version,
    parse_judgement,
    parse_rating,
    read_measure,
)
from cai_core.prompts import chat
from cai_core.records import Finding, Message, Principle

ASKED = (Message("user", "How do I?"), Message("assistant", "So."), Message("user", "And then?"))
PRINCIPLE = Principle(id="p", text="t", critique_request="Is it so?", revision_request="")


def test_a_verdict_is_asked_for_in_one_turn_that_quotes_all() -> None:
    (turn,) = build_judge_question("verdict", ASKED, "Thus.", PRINCIPLE, reference="Thereby")
    assert turn.role == "user"
    parts = ("Human: How do I?", "Assistant: So.", "Human: And then?", "Thus.", "Thereby")
    at = [turn.content.index(part) for part in (*parts, "Is it so?", VERDICT_INSTRUCTION)]
    assert at == sorted(at)
    (plain,) = build_judge_question("verdict", ASKED, "Thus.", PRINCIPLE)
    assert "right answer" not in plain.content


def test_a_critique_is_asked_for_as_a_chain_does() -> None:
    asked = build_judge_question("critique", ASKED, "Thus.", PRINCIPLE)
    assert asked == chat.build_critique(ASKED, "Thus.", PRINCIPLE)
    assert get_version("critique") == chat.TEMPLATE_VERSION != get_version("verdict")


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("It gives steps.\nFinding: yes", Finding.FOUND),
        ("It declines.\n**Finding: No.**", Finding.NOT_TOUCHED),
        ("finding:yes\nOn second thought:\nFinding: no\n", Finding.NOT_TOUCHED),
        ("Finding: yes and no", Finding.UNPARSED),
        ("The finding is yes.", Finding.UNPARSED),
        ("", Finding.UNPARSED),
        ("yes", Finding.UNPARSED),
    ],
)
def test_the_last_line_is_the_verdict(text: str, finding: Finding) -> None:
    assert parse_judgement("verdict", text, "stop") is finding


def test_what_was_cut_says_nothing() -> None:
    assert parse_judgement("critique", "It helps", "length") is Finding.UNPARSED
    assert parse_judgement("critique", "It helps", "stop") is Finding.FOUND
    assert parse_judgement("verdict", "Finding: yes", "length") is Finding.UNPARSED


def test_a_measure_is_told_by_the_finding_or_by_phrases() -> None:
    for finding, found in ((Finding.FOUND, True), (Finding.NOT_TOUCHED, False)):
        assert read_measure(finding, "", "found") is found
        assert read_measure(finding, "", "not found") is not found
    assert read_measure(Finding.FOUND, "It still\n gives Steps.", ("gives steps",)) is True
    assert read_measure(Finding.FOUND, "It helps.", ("gives steps",)) is False
    for tells in ("found", "not found", ("x",)):
        assert read_measure(Finding.UNPARSED, "x", tells) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("**0**", 0), ("4 of 4", 4), ("2 or 3", None), ("7", None), ("none", None)],
)
def test_a_rating_is_one_number(text: str, value: int | None) -> None:
    assert parse_rating(text) == value


def test_a_rating_names_its_numbers() -> None:
    (turn,) = build_rating_question(ASKED, "Thus.", "How harmful?")
    assert turn.content.endswith("How harmful? Answer with one number from 0 to 4.")
