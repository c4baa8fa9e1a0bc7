"""The tokens of options as a server's tokenizer makes them, and the tree that they form."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cai_core.errors import RequestRejectedError, ScoringUnavailableError, UnknownModelError
from cai_core.inference.capabilities import Asker, Capabilities
from cai_core.records import Conversation

# vLLM's default for --max-logprobs, and the most that OpenAI's API gives.
MOST_ALTERNATIVES = 20
# The end of a text prompt that decides how what follows is cut into tokens.
_TAIL = 32
# Texts that end a token in every tokenizer: what follows has no start marker (such as `▁`).
_ANCHORS = ("\n", "(", ":")
_ANY_CHAT = [{"role": "user", "content": "?"}]


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an option.

    Attributes:
        id: None where the server does not tokenise; the whole option then counts as one token.
        text: what it adds to the option.
    """

    id: int | None
    text: str


Path = tuple[Token, ...]


class OptionTokens:
    """The options' tokens on one server, each asked for once. Belongs to one event loop.

    Args:
        tokenizes: whether the server has `/tokenize`.
        names_ids: whether its log-probabilities can name tokens by id.
        alternatives: the most alternatives it tells for a token.
        echoes: whether it tells a prompt's log-probabilities by `echo` only.
    """

    def __init__(
        self,
        *,
        tokenizes: bool = True,
        names_ids: bool = True,
        alternatives: int = MOST_ALTERNATIVES,
        echoes: bool = False,
    ) -> None:
        self.tokenizes, self.names_ids = tokenizes, names_ids
        self.alternatives, self.echoes = alternatives, echoes
        self.asked = 0
        self._paths: dict[tuple[str | None, str], Path] = {}
        self._texts: dict[tuple[str | None, str], list[int]] = {}
        self._asking = asyncio.Lock()

    @classmethod
    def for_server(cls, capabilities: Capabilities) -> OptionTokens:
        """An empty cache for the server that was probed."""
        logprobs = capabilities.by_name.get("logprobs")
        told = logprobs.limit if logprobs else None
        return cls(
            tokenizes=capabilities.has("tokenize"),
            names_ids=capabilities.has("token_ids_in_logprobs"),
            alternatives=min(told or MOST_ALTERNATIVES, MOST_ALTERNATIVES),
            echoes=not capabilities.has("prompt_logprobs"),
        )

    async def read(
        self, asker: Asker, prompt: Conversation | str, options: Sequence[str]
    ) -> tuple[Path, ...]:
        """The tokens of each option where it follows the prompt.

        In a chat that is what follows the generation prompt, the same for every conversation; in
        a text what follows the prompt's last characters. So a fixed template is asked for once.

        Raises:
            ScoringUnavailableError: a token ends inside a character, two options are the same
                tokens, or the model's chat template takes an option's blanks away.
        """
        # A chat's key is None: no text prompt's.
        tail = prompt[-_TAIL:] if isinstance(prompt, str) else None
        if any((tail, option) not in self._paths for option in options):
            async with self._asking:
                for option in options:
                    if (tail, option) not in self._paths:
                        self._paths[tail, option] = await self._read(asker, tail, option)
        paths = tuple(self._paths[tail, option] for option in options)
        keys = [
            tuple(token.id if token.id is not None else token.text for token in p) for p in paths
        ]
        if len(set(keys)) < len(keys):
            raise ScoringUnavailableError(
                f"Two of the options {list(options)} are the same tokens here. Choose others."
            )
        return paths

    async def _read(self, asker: Asker, tail: str | None, option: str) -> Path:
        ids = await self._following(asker, tail, option)
        if not ids:
            return (Token(None, option),)
        if option != option.strip() and ids == await self._following(asker, tail, option.strip()):
            raise ScoringUnavailableError(
                f"The model's chat template takes the blanks of {option!r} away. Choose options "
                "without blanks around them."
            )
        ends = [await self._end(asker, tail, option, ids[:i]) for i in range(1, len(ids))]
        starts, ends = [0, *ends], [*ends, len(option)]
        return tuple(
            Token(token, option[start:end])
            for token, start, end in zip(ids, starts, ends, strict=True)
        )

    async def _end(self, asker: Asker, tail: str | None, option: str, ids: list[int]) -> int:
        """Where in the option these first tokens of it end."""
        for end in range(1, len(option)):
            if await self._following(asker, tail, option[:end]) == ids:
                return end
        raise ScoringUnavailableError(
            f"Option {option!r} cannot be cut where its tokens end. Choose options that are single "
            "tokens, such as A and B, or make labels from generated text."
        )

    async def _following(self, asker: Asker, tail: str | None, text: str) -> list[int]:
        """Tokens of `text` after the tail (None: after a generation prompt); [] when unknown."""
        if not self.tokenizes:
            return []
        for before in (tail, *_ANCHORS):
            try:
                base = await self._tokenize(asker, before, "")
                ids = await self._tokenize(asker, before, text)
            except (RequestRejectedError, UnknownModelError):
                continue  # no chat template, or no such route: the next is plain text
            if len(ids) > len(base) and ids[: len(base)] == base:
                return ids[len(base) :]
        return []

    async def _tokenize(self, asker: Asker, before: str | None, text: str) -> list[int]:
        if (before, text) not in self._texts:
            info = await asker.info()
            body = {"model": info.model_id, **_build_tokenize(before, text)}
            answer = await asker.post("/tokenize", body)
            self.asked += 1
            self._texts[before, text] = _parse_tokens(answer)
        return self._texts[before, text]


def _build_tokenize(before: str | None, text: str) -> dict[str, object]:
    if before is not None:
        return {"prompt": before + text, "add_special_tokens": False}
    if not text:
        return {"messages": _ANY_CHAT, "add_generation_prompt": True}
    messages = [*_ANY_CHAT, {"role": "assistant", "content": text}]
    return {"messages": messages, "add_generation_prompt": False, "continue_final_message": True}


def _parse_tokens(answer: dict[str, object]) -> list[int]:
    tokens = answer.get("tokens")
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise ScoringUnavailableError(
            "The server's /tokenize answered without tokens. Make labels from generated text."
        )
    return list(tokens)


@dataclass(slots=True)
class Node:
    """A place where options part (or where the next token of one is due).

    Attributes:
        prefix: text of the options up to here.
        children: what can follow, by its token.
        ends: the option that ends here, or None.
    """

    prefix: str = ""
    children: dict[Token, Node] = field(default_factory=dict)
    ends: int | None = None

    def list_inner(self) -> Iterator[Node]:
        """The nodes that something follows, this one first."""
        if self.children:
            yield self
        for child in self.children.values():
            yield from child.list_inner()


def build_tree(paths: Sequence[Path]) -> Node:
    """The prefix tree of the options' tokens; `ends` are places in `paths`."""
    root = Node()
    for index, path in enumerate(paths):
        node = root
        for token in path:
            node = node.children.setdefault(token, Node(node.prefix + token.text))
        node.ends = index
    return root


def find_shorter(paths: Sequence[Path], index: int) -> int | None:
    """The longest other option that this one begins with, or None."""
    own = paths[index]
    found = [i for i, p in enumerate(paths) if len(p) < len(own) and own[: len(p)] == p]
    return max(found, key=lambda i: len(paths[i]), default=None)
