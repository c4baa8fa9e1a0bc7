"""The paper template: transcripts, completions, and the prefix that every prompt keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import ImportFormatError, TemplateError
from cai_core.prompts import paper
from cai_core.records import Message, Principle

PRINCIPLE = Principle(
    id="greet",
    text="Greet people.",
    critique_request="Say whether  the answer greets.",
    revision_request="Write it again with a greeting.",
)
ASKED = (Message("user", "Hi: how are you?"),)

MARKERS = st.sampled_from(["\n\n", "Human", "Assistant", ":", " ", "\n", "Human:", "Assistant: "])
contents = st.lists(st.one_of(MARKERS, st.text(max_size=8)), max_size=6).map("".join)
turns = st.builds(Message, st.sampled_from(["user", "assistant"]), contents)
conversations = st.lists(turns, min_size=1, max_size=5).map(tuple)


def readable(conversation: tuple[Message, ...]) -> bool:
    texts = [turn.content for turn in conversation]
    marked = any("\n\nHuman:" in text or "\n\nAssistant:" in text for text in texts)
    return not marked and not (conversation[-1].role == "assistant" and not texts[-1].strip())


@given(conversations.filter(readable))
def test_parse_transcript_is_the_inverse_of_render(conversation: tuple[Message, ...]) -> None:
    assert paper.parse_transcript(paper.render_transcript(conversation)) == conversation


@given(conversations.filter(lambda c: not readable(c)))
def test_render_refuses_what_could_not_be_read_back(conversation: tuple[Message, ...]) -> None:
    with pytest.raises(TemplateError):
        paper.render_transcript(conversation)


@given(st.text() | contents.map(lambda text: f"\n\nHuman:{text}"))
def test_parse_transcript_reads_or_refuses_any_text(text: str) -> None:
    try:
        parsed = paper.parse_transcript(text)
    except ImportFormatError:
        return
    assert paper.parse_transcript(paper.render_transcript(parsed)) == parsed


def test_all_turns_are_read_and_colons_cut_nothing() -> None:
    text = (
        "\n\nHuman: Note: say a: b\n\nThen: Human: stop\n\nAssistant: Sure: one\nHuman: two"
        "\n\nHuman: Bye\n\nAssistant:"
    )
    assert paper.parse_transcript(text) == (
        Message("user", "Note: say a: b\n\nThen: Human: stop"),
        Message("assistant", "Sure: one\nHuman: two"),
        Message("user", "Bye"),
    )
    assert paper.parse_transcript("Human: x") == (Message("user", "x"),)


@pytest.mark.parametrize("text", ["", "Hello", "\n\nSystem: x\n\nHuman: y", "\n\nAssistant: "])
def test_what_is_no_transcript_is_refused(text: str) -> None:
    with pytest.raises(ImportFormatError, match=r"Human"):
        paper.parse_transcript(text)


@pytest.mark.parametrize(
    ("conversation", "word"),
    [
        ((), "no turn"),
        ((Message("system", "s"), *ASKED), "system turn"),
        ((Message("user", "a\n\nAssistant: b"),), "begins a turn"),
        ((*ASKED, Message("assistant", "x")), "ends in an answer"),
    ],
)
def test_a_prompt_is_not_built_from_what_the_template_cannot_say(
    conversation: tuple[Message, ...], word: str
) -> None:
    with pytest.raises(TemplateError, match=word):
        paper.build_critique(conversation, "answer", PRINCIPLE)


def test_a_missing_request_is_named() -> None:
    with pytest.raises(TemplateError, match="'greet' has no critique_request"):
        paper.build_critique(ASKED, "r", replace(PRINCIPLE, critique_request=" "))
    with pytest.raises(TemplateError, match="'greet' has no revision_request"):
        paper.build_revision(ASKED, "r", replace(PRINCIPLE, revision_request=""), None)


def test_the_three_prompts_to_the_byte() -> None:
    start = "\n\nHuman: Hi: how are you?\n\nAssistant:"
    critique = f"{start} Fine.\n\nCritiqueRequest: Say whether  the answer greets.\n\nCritique:"
    revision = "\n\nRevisionRequest: Write it again with a greeting.\n\nRevision:"
    assert paper.build_response(ASKED) == start
    assert paper.build_critique(ASKED, "Fine.", PRINCIPLE) == critique
    assert paper.build_revision(ASKED, "Fine.", PRINCIPLE, "No.") == f"{critique} No.{revision}"
    assert paper.build_revision(ASKED, "Fine.", PRINCIPLE, None) == f"{start} Fine.{revision}"


@given(contents, contents, st.sampled_from(["", "\n\nHuman: a\n\nAssistant: b"]))
def test_each_prompt_is_a_prefix_of_the_next(response: str, critique: str, shots: str) -> None:
    first = paper.build_response(ASKED, shots)
    second = paper.build_critique(ASKED, response, PRINCIPLE, shots)
    third = paper.build_revision(ASKED, response, PRINCIPLE, critique, shots)
    assert first.startswith(shots)
    assert second.startswith(first)
    assert third.startswith(second)


@given(contents)
def test_raw_and_parsed_texts_render_the_same_bytes(text: str) -> None:
    own = paper.parse_completion(text)
    raw = f" {own}"
    assert paper.build_critique(ASKED, raw, PRINCIPLE) == paper.build_critique(
        ASKED, own, PRINCIPLE
    )
    assert paper.build_revision(ASKED, raw, PRINCIPLE, raw) == paper.build_revision(
        ASKED, own, PRINCIPLE, own
    )


@pytest.mark.parametrize("stop", [*paper.STOP, "\n\nCritique:", "\n\nRevision:"])
def test_a_completion_ends_at_a_marker(stop: str) -> None:
    assert paper.parse_completion(f" An answer: good.{stop} more") == "An answer: good."
    assert paper.parse_completion(stop) == ""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" Text.\n\nHuman:", "Text."),
        (" Text.\n\nHuman", "Text."),
        (" Text.\nHuman:", "Text."),
        (" Text.\n\n\n\nHuman: ", "Text."),
        (" Text.\n\nHuman\n\nHuman\n", "Text."),
        (" Text about a\nHuman", "Text about a\nHuman"),
        (" Text.\n\nHumans differ.", "Text.\n\nHumans differ."),
        (" One.\n\n Two: three. ", "One.\n\n Two: three."),
        ("", ""),
    ],
)
def test_what_the_next_turn_left_behind_is_removed(raw: str, expected: str) -> None:
    assert paper.parse_completion(raw) == expected


@given(contents)
def test_parse_completion_is_idempotent_and_keeps_no_marker(text: str) -> None:
    once = paper.parse_completion(text)
    assert paper.parse_completion(once) == once
    assert not any(stop in once for stop in paper.STOP)
    assert once in text


EXAMPLE = "\n\nHuman: %s\n\nAssistant: a\n\nCritiqueRequest: r\n\nCritique: c"


@pytest.mark.parametrize("ending", ["", "\n\nHuman:", "\n\nHuman: ", "\n"])
@pytest.mark.parametrize("beginning", ["", "\n\n"])
def test_examples_join_the_same_however_their_ends_are_written(beginning: str, ending: str) -> None:
    first, second = EXAMPLE % "one", EXAMPLE % "two"
    strings = [beginning + first.strip() + ending, second + ending]
    assert paper.build_few_shot(strings) == first + second
    prompt = paper.build_response(ASKED, paper.build_few_shot(strings))
    assert prompt == first + second + paper.build_response(ASKED)
    assert paper.build_response(ASKED, first + second + "\n\nHuman:") == prompt


def test_an_example_that_is_no_transcript_is_named() -> None:
    assert paper.build_few_shot([]) == ""
    with pytest.raises(TemplateError, match="few-shot example 2 begins with 'Assistant"):
        paper.build_few_shot([EXAMPLE % "one", "Assistant: x"])
