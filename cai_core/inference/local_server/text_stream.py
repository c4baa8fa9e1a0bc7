"""From tokens to text as they come: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Callable, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# How many prompt tokens prime the stream, so that a first token's leading space survives
# (vLLM's INITIAL_INCREMENTAL_DETOKENIZATION_OFFSET).
CONTEXT_TOKENS = 5


class Detokenizer:
    """Decode one token at a time, in time that does not grow with the text.

    Each call decodes a short window only: the tokens of the last piece given out, for context,
    and those after it. A piece that ends in a character that is not finished yet is held back.

    Args:
        decode: token ids to text, special tokens left out.
        prompt_ids: what comes before; its last tokens give context.
    """

    def __init__(self, decode: Callable[[list[int]], str], prompt_ids: Sequence[int] = ()) -> None:
        self._decode = decode
        self._window = list(prompt_ids[-CONTEXT_TOKENS:])
        self._shown_ids = len(self._window)
        self._shown_text = decode(self._window) if self._window else ""

    def push(self, token_id: int) -> str:
        """The text that this token completes; often one word, sometimes nothing."""
        self._window.append(token_id)
        text = self._decode(self._window)
        if len(text) <= len(self._shown_text) or text.endswith(REPLACEMENT):
            return ""
        piece = text[len(self._shown_text) :]
        self._window = self._window[self._shown_ids :]
        self._shown_ids = len(self._window)
        self._shown_text = self._decode(self._window)
        return piece

    def flush(self) -> str:
        """What was held back, less the character that never got finished."""
        held = self._decode(self._window)[len(self._shown_text) :]
        self._shown_text = self._decode(self._window)
        return held.rstrip(REPLACEMENT)


class StopScanner:
    """Pass text on until a stop string appears; give out nothing that may belong to one.

    Args:
        stops: non-empty texts; the earliest in the text wins.

    Attributes:
        met: the stop text that was met, None while none was.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.met: str | None = None

    def push(self, piece: str) -> tuple[str, bool]:
        """The text that is now safe to show, and whether a stop string was met."""
        if not self._stops:
            return piece, False
        text = self._held + piece
        found = [(text.find(stop), stop) for stop in self._stops if stop in text]
        if found:
            self._held = ""
            at, self.met = min(found, key=lambda place: place[0])
            return text[:at], True
        keep = self._longest_start_of_a_stop(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def flush(self) -> str:
        """What was held back for a stop string that did not come."""
        held, self._held = self._held, ""
        return held

    def _longest_start_of_a_stop(self, text: str) -> int:
        longest = min(len(text), max(map(len, self._stops)) - 1)
        for size in range(longest, 0, -1):
            tail = text[len(text) - size :]
            if any(stop.startswith(tail) for stop in self._stops):
                return size
        return 0
