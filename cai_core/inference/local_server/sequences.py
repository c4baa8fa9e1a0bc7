"""One running answer: what was asked, what came so far, and what to tell the asker."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from cai_core.inference.local_server.choices import ChoiceTable
from cai_core.inference.local_server.sampling import TokenLogprobs, Wanted, make_generator
from cai_core.inference.local_server.text_stream import Detokenizer, StopScanner


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The checked sampling fields of a request.

    Attributes:
        max_tokens: ≥ 1.
        temperature: ≥ 0, 0 is greedy.
        top_p: in (0, 1].
        seed: None draws a fresh one.
        stop: texts that end the answer and are left out of it.
        logprobs: how many alternatives to report a token, or which tokens; None for no
            log-probabilities.
        choices: the answer is one of these; None leaves it free.
        ignore_eos: go on past the end token; not where the answer is one of `choices`.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: Wanted | None = None
    choices: ChoiceTable | None = None
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """What was added to one answer since the last delta.

    Attributes:
        tokens: how many tokens this covers, the end token too.
        finish_reason: `stop`, `length` or `error`; None while it goes on.
        stop_reason: the stop text that ended the answer, if one did.
    """

    choice: int
    text: str
    tokens: int
    logprobs: tuple[TokenLogprobs, ...] = ()
    finish_reason: str | None = None
    stop_reason: str | None = None


Sink = Callable[[Delta], None]


@dataclass(eq=False, slots=True)
class Sequence:
    """One choice of one request, from waiting to finished.

    Belongs to the engine's thread once submitted; only `cancelled` may be set from elsewhere.

    Attributes:
        choice: the index in the response.
        stream_index: which random stream of the seed to draw from.
        streaming: tell of text as it comes; otherwise once, at the end.
    """

    prompt_ids: list[int]
    sampling: Sampling
    sink: Sink
    detokenizer: Detokenizer
    choice: int = 0
    stream_index: int = 0
    streaming: bool = False
    generated: int = 0
    last_token: int = -1
    cancelled: bool = False
    _spoken: bytes = b""
    _scanner: StopScanner = field(init=False)
    _uniform: Callable[[], float] = field(init=False)
    _untold_text: list[str] = field(default_factory=list)
    _untold_logprobs: list[TokenLogprobs] = field(default_factory=list)
    _untold_tokens: int = 0

    def __post_init__(self) -> None:
        seed = self.sampling.seed
        seed = secrets.randbits(63) if seed is None else seed
        self._uniform = make_generator(seed, self.stream_index).random
        self._scanner = StopScanner(self.sampling.stop)

    @property
    def length(self) -> int:
        """Tokens in the cache: all but the newest one."""
        return len(self.prompt_ids) + max(0, self.generated - 1)

    def next_uniform(self) -> float:
        """The next number of this sequence's own stream; one a token, whoever else runs."""
        return self._uniform()

    def allowed_tokens(self) -> torch.Tensor | None:
        """The tokens that may come next; None for all."""
        choices = self.sampling.choices
        return None if choices is None else choices.allowed(self._spoken)

    def accept(
        self, token: int, logprobs: TokenLogprobs | None, eos_ids: frozenset[int]
    ) -> Delta | None:
        """Take the chosen token in; a delta when there is something to tell."""
        self.generated += 1
        self.last_token = token
        self._untold_tokens += 1
        if logprobs is not None:
            self._untold_logprobs.append(logprobs)
        choices = self.sampling.choices
        if choices is not None:
            self._spoken = choices.extend(self._spoken, token)
        reason = self._extend_text(token, eos_ids)
        if reason is None and not (self.streaming and any(self._untold_text)):
            return None
        return self._tell(reason)

    def fail(self) -> Delta:
        """The delta of an answer that an error cut off."""
        return self._tell("error")

    def _extend_text(self, token: int, eos_ids: frozenset[int]) -> str | None:
        """Add the token's text; why the answer ends here, or None."""
        goes_on = self.sampling.ignore_eos and self.sampling.choices is None
        if token in eos_ids and not goes_on:
            self._flush_text()
            return "stop"
        text, stopped = self._scanner.push(self.detokenizer.push(token))
        self._untold_text.append(text)
        if stopped:
            return "stop"
        if self.generated < self.sampling.max_tokens:
            return None
        return "stop" if self._flush_text() else "length"

    def _flush_text(self) -> bool:
        """Add what was held back; True when a stop string turned up in it."""
        text, stopped = self._scanner.push(self.detokenizer.flush())
        self._untold_text += [text, "" if stopped else self._scanner.flush()]
        return stopped

    def _tell(self, reason: str | None) -> Delta:
        delta = Delta(
            self.choice,
            "".join(self._untold_text),
            self._untold_tokens,
            tuple(self._untold_logprobs),
            reason,
            self._scanner.met if reason == "stop" else None,
        )
        self._untold_text, self._untold_logprobs, self._untold_tokens = [], [], 0
        return delta
