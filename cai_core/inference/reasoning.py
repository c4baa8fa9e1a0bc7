"""Telling a reasoning model's thoughts from its answer. Pure.

Servers with a reasoning parser send them apart (`reasoning`, formerly `reasoning_content`, in
vLLM; `reasoning_content` in llama.cpp and SGLang). Others leave them in the text between
`<think>` and `</think>`; templates that open the thought themselves leave the first tag out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OPEN, CLOSE = "<think>", "</think>"


def get_reasoning(message: Mapping[str, Any]) -> str | None:
    """What a message (or a stream's delta) carries apart; None where it carries nothing."""
    told = message.get("reasoning") or message.get("reasoning_content")
    return told if isinstance(told, str) and told else None


def split_reasoning(text: str) -> tuple[str, str | None]:
    """Answer and thoughts of a text that may hold both; nothing is dropped but the tags.

    A thought that was cut off before its end leaves an empty answer.
    """
    opened = text.lstrip().startswith(OPEN)
    thoughts, closed, answer = text.partition(CLOSE)
    if not closed and not opened:
        return text, None
    if opened:
        thoughts = thoughts.lstrip()[len(OPEN) :]
    return (answer.lstrip("\n") if closed else ""), thoughts.strip("\n")


class ReasoningFilter:
    """Passes a stream's answer on and holds back what stands between the tags.

    Where the first tag was left out, the thoughts are passed on: only the closing tag tells, and
    the whole text is split again at the end.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"

    def push(self, piece: str) -> str:
        """The part of a piece, and of what was held back, that belongs to the answer."""
        if self._state == "answer":
            return piece
        self._held += piece
        if self._state == "start":
            begun = self._held.lstrip()
            if OPEN.startswith(begun[: len(OPEN)]) and len(begun) < len(OPEN):
                return ""
            self._state = "thought" if begun.startswith(OPEN) else "answer"
        if self._state == "thought":
            _, closed, answer = self._held.partition(CLOSE)
            if not closed:
                return ""
            # The line breaks between thought and answer may come in a later piece.
            if not (answer := answer.lstrip("\n")):
                return ""
            self._state = "answer"
            self._held = ""
            return answer
        told, self._held = self._held, ""
        return told

    def flush(self) -> str:
        """What was held back at the end of a stream and is no thought."""
        return self._held if self._state == "start" else ""
