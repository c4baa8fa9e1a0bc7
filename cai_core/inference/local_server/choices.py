"""Answers that are exactly one of a few texts: which tokens may come next.

The model draws among all tokens that keep at least one text reachable, however it cuts the text
into tokens, as vLLM's grammar of choices lets it. Where the text so far is a whole choice, the
end token is allowed too; so a choice may be the beginning of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch


class UnreachableChoiceError(Exception):
    """The model's tokens cannot spell a choice, or it has no way to end one."""


@dataclass(frozen=True, slots=True)
class TokenBytes:
    """The bytes that each plain token stands for; tokens with a meaning of their own are left out.

    Attributes:
        spelling: token id → bytes, never empty.
        tokens: bytes → the tokens that stand for them.
        longest: length of the longest token in bytes.
    """

    spelling: Mapping[int, bytes]
    tokens: Mapping[bytes, tuple[int, ...]]
    longest: int

    @classmethod
    def of(cls, spelling: Mapping[int, bytes]) -> TokenBytes:
        """The same, from the spelling alone."""
        tokens: dict[bytes, tuple[int, ...]] = {}
        for token, spelled in sorted(spelling.items()):
            tokens[spelled] = (*tokens.get(spelled, ()), token)
        return cls(spelling, tokens, max(map(len, tokens), default=0))


def read_token_bytes(tokenizer: Any) -> TokenBytes:
    """A tokenizer's vocabulary in bytes; empty for kinds that are neither of the two known.

    Byte-level vocabularies (GPT-2, Llama 3, Qwen) write each byte as one letter of GPT-2's
    alphabet; those with byte fallback (Llama 2, Gemma) write ▁ for a space and <0x0A> for a byte.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = repr(getattr(backend, "decoder", None))
    read: Callable[[str], bytes]
    if "ByteLevel" in decoder:
        read = partial(_read_byte_level, letters=_byte_level_letters())
    elif "ByteFallback" in decoder:
        read = _read_byte_fallback
    else:
        return TokenBytes.of({})
    controls = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    added = {token: str(one.content) for token, one in tokenizer.added_tokens_decoder.items()}
    spelling = {
        # Added tokens are kept as they read, whatever the vocabulary's alphabet.
        token: added[token].encode() if token in added else read(text)
        for text, token in tokenizer.get_vocab().items()
        if token not in controls
    }
    return TokenBytes.of({token: spelled for token, spelled in spelling.items() if spelled})


class ChoiceTable:
    """What may follow each beginning of some texts; shared by all answers of a request.

    Args:
        choices: at least one text.
        eos_ids: the tokens that end an answer.
        vocabulary_size: tokens of the model; those that a tokenizer has beyond it never come.

    Raises:
        UnreachableChoiceError: a text cannot be spelled or ended.
    """

    def __init__(
        self,
        choices: Iterable[str],
        token_bytes: TokenBytes,
        eos_ids: frozenset[int],
        vocabulary_size: int,
    ) -> None:
        self._token_bytes = token_bytes
        self._size = vocabulary_size
        self._ends = sorted(token for token in eos_ids if token < vocabulary_size)
        self._allowed: dict[bytes, torch.Tensor] = {}
        self._finishable: dict[bytes, Sequence[bool]] = {}
        if not self._ends:
            raise UnreachableChoiceError("this model names no end token")
        for choice in choices:
            spelled = choice.encode()
            self._finishable[spelled] = self._find_finishable(spelled)
            if not self._finishable[spelled][0]:
                raise UnreachableChoiceError(f"this model's tokens cannot spell {choice!r:.80}")

    def allowed(self, spoken: bytes) -> torch.Tensor:
        """The tokens that may follow, [n] with n ≥ 1.

        Args:
            spoken: the bytes of the answer so far, the beginning of a choice.
        """
        known = self._allowed.get(spoken)
        if known is None:
            known = self._allowed[spoken] = torch.tensor(self._find_allowed(spoken))
        return known

    def extend(self, spoken: bytes, token: int) -> bytes:
        """The answer's bytes after one more token."""
        return spoken + self._token_bytes.spelling.get(token, b"")

    def _find_allowed(self, spoken: bytes) -> list[int]:
        found: set[int] = set(self._ends) if spoken in self._finishable else set()
        for choice, finishable in self._finishable.items():
            if choice.startswith(spoken):
                for end in self._reach(choice, len(spoken)):
                    if finishable[end]:
                        found.update(self._pieces(choice[len(spoken) : end]))
        return sorted(found)

    def _find_finishable(self, choice: bytes) -> list[bool]:
        """For each length of a beginning, whether tokens can spell the rest."""
        good = [False] * len(choice) + [True]
        for start in range(len(choice) - 1, -1, -1):
            good[start] = any(
                good[end] and self._pieces(choice[start:end]) for end in self._reach(choice, start)
            )
        return good

    def _reach(self, choice: bytes, start: int) -> range:
        longest = min(len(choice), start + self._token_bytes.longest)
        return range(start + 1, longest + 1)

    def _pieces(self, spelled: bytes) -> list[int]:
        return [t for t in self._token_bytes.tokens.get(spelled, ()) if t < self._size]


def keep_allowed(logits: torch.Tensor, allowed: Mapping[int, torch.Tensor]) -> None:
    """Set all but the allowed tokens of some rows to -inf, in place.

    Args:
        logits: [B, vocabulary].
        allowed: row → token ids.
    """
    for row, tokens in allowed.items():
        line = logits[row]
        tokens = tokens.to(logits.device)
        kept = line[tokens]
        line.fill_(float("-inf"))
        line[tokens] = kept


def _byte_level_letters() -> dict[str, int]:
    """GPT-2's letter for each byte (openai/gpt-2, encoder.py, bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    shifted = {chr(256 + place): byte for place, byte in enumerate(others)}
    return {chr(byte): byte for byte in printable} | shifted


def _read_byte_level(text: str, letters: Mapping[str, int]) -> bytes:
    known = all(letter in letters for letter in text)
    return bytes(letters[letter] for letter in text) if known else b""


def _read_byte_fallback(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        return bytes([int(text[3:5], 16)])
    return text.replace("▁", " ").encode()
