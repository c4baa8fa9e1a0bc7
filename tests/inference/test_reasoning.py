"""Thoughts and answers are told apart, whole or in pieces, and nothing is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cai_core.inference.reasoning import ReasoningFilter, get_reasoning, split_reasoning


def test_texts_without_thoughts_stay_as_they_are() -> None:
    for text in ("", "hello", " <thin", "a < b", "think", "\n\n  x "):
        assert split_reasoning(text) == (text, None)


def test_thoughts_between_tags() -> None:
    assert split_reasoning("<think>\nwhy\n</think>\n\nanswer") == ("answer", "why")
    assert split_reasoning("  <think>why</think>answer") == ("answer", "why")
    # The template had opened the thought already.
    assert split_reasoning("why\n</think>\n\nanswer") == ("answer", "why")
    # Cut off in the middle of a thought: there is no answer.
    assert split_reasoning("<think>why") == ("", "why")
    assert split_reasoning("<think></think>answer") == ("answer", "")


def test_servers_that_tell_them_apart() -> None:
    assert get_reasoning({"reasoning": "why"}) == "why"
    assert get_reasoning({"reasoning_content": "why"}) == "why"
    assert get_reasoning({"reasoning": None, "reasoning_content": ""}) is None
    assert get_reasoning({"reasoning": 7}) is None


@given(st.text(alphabet="<>/think \nab", max_size=60), st.lists(st.integers(1, 9), max_size=30))
def test_a_stream_tells_the_answer_whatever_the_pieces(text: str, sizes: list[int]) -> None:
    shown, rest, filtering = "", text, ReasoningFilter()
    for size in [*sizes, len(text) + 1]:
        shown += filtering.push(rest[:size])
        rest = rest[size:]
    shown += filtering.flush()
    answer, thoughts = split_reasoning(text)
    if text.lstrip().startswith("<think>"):
        assert shown == answer
    elif thoughts is None:
        assert shown == text
    else:
        # Without the first tag nobody can know before the last one comes.
        assert shown == text
