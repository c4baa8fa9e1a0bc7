"""A server that tells the truth about a language of single characters, for properties.

Every context has a distribution of its own over the next token, so what an option should be worth
can be worked out by hand. It refuses fields and routes that it does not expect.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
from collections.abc import Sequence
from typing import Any

from cai_core.errors import RequestRejectedError
from cai_core.records import Conversation, Message, ModelInfo

LETTERS = "AB1 (\n:?"
# As SentencePiece has them: a text's first letter is another token than the letter inside it.
STARTS = {letter: 100 + index for index, letter in enumerate(LETTERS)}
INNER = {letter: 10 + index for index, letter in enumerate(LETTERS)}
USER, ASSISTANT, END = 1, 2, 3
VOCABULARY = len(LETTERS) + 1
TEXTS = {**{i: t for t, i in STARTS.items()}, **{i: t for t, i in INNER.items()}, END: "</s>"}
CHAT: Conversation = (Message("user", "A?"),)
TEXT = "AB?\n("
_FIELDS = {"model", "max_tokens", "temperature", "top_p"}
_TOP = {"logprobs", "top_logprobs", "return_tokens_as_token_ids"}


class TokenWorld:
    """Implements `capabilities.Asker`.

    Args:
        marked: whether a text's first letter is a token of its own.
        alternatives: the most that are told of a token.
    """

    def __init__(self, *, marked: bool = False, alternatives: int = 20) -> None:
        self.marked, self.most = marked, alternatives
        self.bodies: list[tuple[str, dict[str, Any]]] = []

    async def info(self) -> ModelInfo:
        return ModelInfo(model_id="letters", engine="scripted", engine_version="1")

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        raise AssertionError(f"unexpected {path}")

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.bodies.append((path, body))
        await asyncio.sleep(0)
        assert body["model"] == "letters"
        if path == "/tokenize":
            return {"tokens": self.read_body(body)}
        assert path == ("/v1/chat/completions" if "messages" in body else "/v1/completions")
        assert body["max_tokens"] == 1
        own = {"messages", "continue_final_message", "add_generation_prompt", "prompt"}
        rest = set(body) - _FIELDS - own
        if "prompt_logprobs" in rest:
            assert rest == {"prompt_logprobs"}, rest
            return self._prompt_logprobs(self.read_body(body))
        assert rest <= _TOP | {"logprob_token_ids", "structured_outputs"}, rest
        return self._next(self.read_body(body), body)

    def read_body(self, body: dict[str, Any]) -> list[int]:
        """The tokens of a prompt or of messages."""
        if "prompt" in body:
            return self.encode(body["prompt"])
        ids: list[int] = []
        turns = body["messages"]
        begun = body.get("continue_final_message", False)
        assert begun == (turns[-1]["role"] == "assistant")
        assert body.get("add_generation_prompt", True) is not begun
        for turn in turns:
            ids.append(USER if turn["role"] == "user" else ASSISTANT)
            ids += [INNER[letter] for letter in turn["content"]]
        return ids if begun else [*ids, ASSISTANT]

    def encode(self, text: str) -> list[int]:
        ids = [INNER[letter] for letter in text]
        if self.marked and text:
            ids[0] = STARTS[text[0]]
        return ids

    def table(self, context: Sequence[int]) -> dict[int, float]:
        """Log-probabilities of every token after a context."""
        digest = hashlib.sha256(repr(tuple(context)).encode()).digest()
        rng = random.Random(digest)
        vocabulary = [token for token in TEXTS if self.marked or token < min(STARTS.values())]
        logits = {token: rng.gauss(0, 2) for token in vocabulary}
        total = math.log(math.fsum(math.exp(value) for value in logits.values()))
        return {token: value - total for token, value in logits.items()}

    def truth(self, prompt: Conversation | str, options: Sequence[str]) -> list[float]:
        """The options' own probabilities, from the definition."""
        body = {"prompt": prompt} if isinstance(prompt, str) else {"messages": _dicts(prompt)}
        begun = self.read_body(body)
        whole = dict.fromkeys(options, 1.0)
        for option in options:
            for i, letter in enumerate(option):
                context = begun + [INNER[before] for before in option[:i]]
                whole[option] *= math.exp(self.table(context)[INNER[letter]])
        own = []
        for option in options:
            longer = [o for o in options if o != option and o.startswith(option)]
            # Only those with no other option between.
            next_ones = [o for o in longer if not any(o != m and o.startswith(m) for m in longer)]
            own.append(whole[option] - math.fsum(whole[o] for o in next_ones))
        return own

    def _next(self, context: list[int], body: dict[str, Any]) -> dict[str, Any]:
        table = self.table(context)
        choices = body.get("structured_outputs", {}).get("choice")
        if choices is not None:
            assert all(choices), choices
            table = _mask(table, {INNER[choice[0]] for choice in choices})
        chat, by_id = "messages" in body, body.get("return_tokens_as_token_ids", False)
        wanted = body.get("logprob_token_ids")
        asked = body["top_logprobs"] if chat and wanted is None else body["logprobs"]
        if wanted is None and asked > self.most:
            raise RequestRejectedError("too many", status=400, param="top_logprobs")
        best = sorted(table, key=lambda token: -table[token])
        shown = wanted if wanted is not None else best[:asked]
        pairs = [(f"token_id:{t}" if by_id else TEXTS[t], table[t]) for t in shown]
        drawn = f"token_id:{best[0]}" if by_id else TEXTS[best[0]]
        if chat:
            listed = [{"token": text, "logprob": value} for text, value in pairs]
            first = {"token": drawn, "logprob": table[best[0]], "top_logprobs": listed}
            logprobs: dict[str, Any] = {"content": [first]}
        else:
            logprobs = {"tokens": [drawn], "top_logprobs": [dict(pairs)]}
        return {"choices": [{"text": "", "logprobs": logprobs}]}

    def _prompt_logprobs(self, ids: list[int]) -> dict[str, Any]:
        entries: list[Any] = [None]
        entries += [
            {str(ids[i]): {"logprob": self.table(ids[:i])[ids[i]]}} for i in range(1, len(ids))
        ]
        return {"choices": [{"text": "", "prompt_logprobs": entries}]}


def _mask(table: dict[int, float], allowed: set[int]) -> dict[int, float]:
    total = math.log(math.fsum(math.exp(table[token]) for token in allowed))
    return {token: table[token] - total if token in allowed else -9999.0 for token in table}


def _dicts(conversation: Conversation) -> list[dict[str, str]]:
    return [message.as_dict() for message in conversation]
