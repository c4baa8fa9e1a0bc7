"""Continuous batching: sequences join and leave the batch between steps.

A thread of its own runs the model: admit what waits (prefill), then one decode step for every
running sequence, again and again. Everybody else only submits sequences and sets `cancelled`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import torch

from cai_core.inference.local_server.choices import keep_allowed
from cai_core.inference.local_server.loading import LoadedModel, padded_length
from cai_core.inference.local_server.sampling import (
    BatchSampler,
    TokenLogprobs,
    compute_logprobs,
)
from cai_core.inference.local_server.sequences import Delta, Sequence, Sink
from cai_core.inference.local_server.slot_cache import SlotCache

logger = logging.getLogger(__name__)

# Sequences in one batch: past 64 a step of a small model takes as long as it gains (measured
# with benchmarks/local_server.py).
MAX_ROWS = 64
# Prompt tokens in one prefill: bounds how long running sequences wait for newcomers.
PREFILL_TOKENS = 2048

Deliver = Callable[[list[tuple[Sink, Delta]]], None]


class BatchingEngine:
    """Runs sequences on one model.

    Args:
        deliver: receives each step's deltas; called from the engine's thread.
        max_rows: the most sequences that run at once; others wait their turn.
    """

    def __init__(self, model: LoadedModel, deliver: Deliver, *, max_rows: int = MAX_ROWS) -> None:
        self._model = model
        self._deliver = deliver
        self._max_rows = max_rows
        self._cache = SlotCache(model.layer_count)
        self._running: list[Sequence] = []
        self._joining: list[Sequence] = []
        self._waiting: deque[Sequence] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._sampler: BatchSampler | None = None
        self._prompt_tokens = 0
        self._generated_tokens = 0
        self._thread = threading.Thread(target=self._run, name="batching-engine", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step in hand and end the thread. Unfinished sequences get no more deltas."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def load(self) -> tuple[int, int]:
        """How many sequences run and how many wait."""
        return len(self._running), len(self._waiting)

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt tokens read and tokens generated since the start, of every sequence."""
        return self._prompt_tokens, self._generated_tokens

    def submit(self, sequences: Iterable[Sequence]) -> None:
        """Queue sequences; their sinks hear of every token."""
        with self._wake:
            self._waiting.extend(sequences)
            self._wake.notify()

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                with torch.inference_mode():
                    deltas = self._step()
            except Exception:
                # One bad step must not take the server down: those who ran in it are told.
                logger.exception("a batch failed")
                deltas = self._fail_all()
            if deltas:
                self._deliver(deltas)

    def _wait_for_work(self) -> bool:
        with self._wake:
            if not (self._running or self._waiting or self._stopping):
                self._cache.release()
                self._wake.wait_for(lambda: self._waiting or self._stopping)
            return not self._stopping

    def _step(self) -> list[tuple[Sink, Delta]]:
        self._drop(cancelled=True)
        deltas = []
        for group in self._admit():
            deltas += self._prefill(group)
        if self._running:
            deltas += self._decode()
        return deltas

    def _admit(self) -> Iterator[list[Sequence]]:
        """Newcomers, in groups of one padded prompt length."""
        with self._wake:
            self._waiting = deque(s for s in self._waiting if not s.cancelled)
            free = self._max_rows - len(self._running)
            self._joining = [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]
        by_length: dict[int, list[Sequence]] = {}
        for sequence in self._joining:
            by_length.setdefault(padded_length(len(sequence.prompt_ids)), []).append(sequence)
        for length, members in by_length.items():
            size = max(1, PREFILL_TOKENS // length)
            yield from (members[at : at + size] for at in range(0, len(members), size))

    def _prefill(self, group: list[Sequence]) -> list[tuple[Sink, Delta]]:
        """Read the prompts of newcomers, give them rows, and choose their first tokens."""
        # Choices and samples of one prompt share its reading.
        unique: dict[tuple[int, ...], int] = {}
        which = [unique.setdefault(tuple(s.prompt_ids), len(unique)) for s in group]
        logits, prompt_cache = self._model.read_prompts([list(prompt) for prompt in unique])
        lengths = [len(sequence.prompt_ids) for sequence in group]
        prompts = list(zip(which, lengths, strict=True))
        self._cache.store(len(self._running), prompt_cache, prompts)
        self._running += group
        self._joining = [sequence for sequence in self._joining if sequence not in group]
        self._sampler = None
        self._prompt_tokens += sum(lengths)
        return self._choose(group, logits[which], self._new_sampler(group))

    def _decode(self) -> list[tuple[Sink, Delta]]:
        """One more token for every running sequence."""
        device = self._model.device
        lengths = [sequence.length for sequence in self._running]
        mask = self._cache.begin_step(torch.tensor(lengths, device=device), max(lengths))
        tokens = torch.tensor([s.last_token for s in self._running], device=device)
        logits = self._model.next_logits(tokens, self._cache, mask)
        if self._sampler is None:
            self._sampler = self._new_sampler(self._running)
        return self._choose(list(self._running), logits, self._sampler)

    def _new_sampler(self, sequences: list[Sequence]) -> BatchSampler:
        return BatchSampler(
            [s.sampling.temperature for s in sequences],
            [s.sampling.top_p for s in sequences],
            self._model.device,
        )

    def _choose(
        self, sequences: list[Sequence], logits: torch.Tensor, sampler: BatchSampler
    ) -> list[tuple[Sink, Delta]]:
        """Choose each row's token, tell its sequence, and drop those that are finished."""
        # Before the log-probabilities, as in vLLM: they are those of the allowed tokens.
        keep_allowed(logits, _collect_allowed(sequences))
        chosen = sampler.choose(logits, [s.next_uniform() for s in sequences])
        logprobs = _wanted_logprobs(sequences, logits, chosen)
        self._generated_tokens += len(sequences)
        deltas, finished = [], set()
        for index, (sequence, token) in enumerate(zip(sequences, chosen.tolist(), strict=True)):
            delta = sequence.accept(token, logprobs.get(index), self._model.eos_ids)
            if delta is None:
                continue
            deltas.append((sequence.sink, delta))
            if delta.finish_reason is not None:
                finished.add(sequence)
        if finished:
            self._drop(finished=finished)
        return deltas

    def _drop(self, *, cancelled: bool = False, finished: Iterable[Sequence] = ()) -> None:
        """Free the rows of the finished (or cancelled); the last rows move into the holes."""
        leaving = set(finished)
        if cancelled:
            leaving |= {sequence for sequence in self._running if sequence.cancelled}
        for sequence in leaving:
            row = self._running.index(sequence)
            last = self._running.pop()
            if last is not sequence:
                self._cache.copy_row(len(self._running), row, last.length)
                self._running[row] = last
        if leaving:
            self._sampler = None

    def _fail_all(self) -> list[tuple[Sink, Delta]]:
        failed = [(s.sink, s.fail()) for s in (*self._running, *self._joining)]
        self._running.clear()
        self._joining.clear()
        self._cache = SlotCache(self._model.layer_count)
        self._sampler = None
        return failed


def _collect_allowed(sequences: list[Sequence]) -> dict[int, torch.Tensor]:
    """Row → the tokens that it may choose, for rows that may not choose all."""
    allowed = ((row, sequence.allowed_tokens()) for row, sequence in enumerate(sequences))
    return {row: tokens for row, tokens in allowed if tokens is not None}


def _wanted_logprobs(
    sequences: list[Sequence], logits: torch.Tensor, chosen: torch.Tensor
) -> dict[int, TokenLogprobs]:
    """Log-probabilities for the rows that asked; computed for those rows only."""
    wanted = {
        row: sequence.sampling.logprobs
        for row, sequence in enumerate(sequences)
        if sequence.sampling.logprobs is not None
    }
    if not wanted:
        return {}
    rows = list(wanted)
    told = compute_logprobs(logits[rows], chosen[rows], list(wanted.values()))
    return dict(zip(rows, told, strict=True))
