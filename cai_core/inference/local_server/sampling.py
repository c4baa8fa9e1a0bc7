"""Choosing the next token: temperature, nucleus, one generator a sequence, log-probabilities."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

# Below this a temperature means greedy, as in vLLM (sampling_params._SAMPLING_EPS).
GREEDY_BELOW = 1e-5


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Raw log-probabilities (before temperature) at one position.

    Attributes:
        others: the most likely tokens and their log-probabilities, best first; or those of the
            tokens that the request named, in its order. The chosen token may be among them.
    """

    token_id: int
    logprob: float
    others: tuple[tuple[int, float], ...]


def make_generator(seed: int, choice: int) -> random.Random:
    """The random stream of one choice of one request.

    Python's generator and not torch's: `torch.Generator` on a CPU keeps only the low 32 bits
    of a seed, and row seeds are 63 bits wide. The hash keeps neighbouring seeds and choices
    apart.
    """
    digest = hashlib.sha256(f"{seed}/{choice}".encode()).digest()
    return random.Random(int.from_bytes(digest[:16], "big"))


class BatchSampler:
    """The sampling settings of the rows of one batch, as tensors; rebuilt when rows change.

    Args:
        temperatures: one a row, ≥ 0.
        top_ps: one a row, in (0, 1].
    """

    def __init__(
        self, temperatures: Sequence[float], top_ps: Sequence[float], device: torch.device
    ) -> None:
        drawn = [temperature >= GREEDY_BELOW for temperature in temperatures]
        divisors = [t if use else 1.0 for t, use in zip(temperatures, drawn, strict=True)]
        self.any_drawn, self.all_drawn = any(drawn), all(drawn)
        self.drawn = torch.tensor(drawn, device=device)
        self.divisors = torch.tensor(divisors, device=device).unsqueeze(1)
        self.top_ps = torch.tensor(list(top_ps), dtype=torch.float64, device=device).unsqueeze(1)
        self.any_nucleus = any(p < 1.0 and use for p, use in zip(top_ps, drawn, strict=True))

    def choose(self, logits: torch.Tensor, uniforms: Sequence[float]) -> torch.Tensor:
        """The next token of each row.

        Args:
            logits: [B, vocabulary], float32.
            uniforms: one number in [0, 1) a row, from that row's own generator.

        Returns:
            Token ids [B].
        """
        if not self.any_drawn:
            return logits.argmax(dim=-1)
        probs = torch.softmax(logits / self.divisors, dim=-1).double()
        if self.any_nucleus:
            probs = keep_nucleus(probs, self.top_ps)
        drawn = _invert_cdf(probs, torch.tensor(uniforms, dtype=torch.float64))
        return drawn if self.all_drawn else torch.where(self.drawn, drawn, logits.argmax(dim=-1))


def keep_nucleus(probs: torch.Tensor, top_ps: torch.Tensor) -> torch.Tensor:
    """Zero what lies outside the smallest set of tokens with mass ≥ top_p (arXiv 1904.09751).

    Args:
        probs: [B, vocabulary].
        top_ps: [B, 1], in (0, 1]; 1 keeps everything.
    """
    ordered, order = probs.sort(dim=-1, descending=True, stable=True)
    before = torch.nn.functional.pad(ordered.cumsum(dim=-1)[:, :-1], (1, 0))
    ordered = ordered.masked_fill((before >= top_ps) & (top_ps < 1.0), 0.0)
    return torch.zeros_like(probs).scatter_(-1, order, ordered)


# How many of the most likely tokens a row wants to hear of, or which tokens.
Wanted = int | tuple[int, ...]


def compute_logprobs(
    logits: torch.Tensor, chosen: torch.Tensor, wanted: Sequence[Wanted]
) -> list[TokenLogprobs]:
    """Raw log-probabilities of the chosen token and of those that each row wants.

    Args:
        logits: [B, vocabulary].
        chosen: token ids [B].
        wanted: one a row.
    """
    table = torch.log_softmax(logits.float(), dim=-1)
    picked = table.gather(-1, chosen.unsqueeze(-1)).squeeze(-1).tolist()
    best = _find_best(table, max(w for w in (0, *wanted) if isinstance(w, int)))
    others = [
        best[row][:want] if isinstance(want, int) else _look_up(table[row], want)
        for row, want in enumerate(wanted)
    ]
    rows = zip(chosen.tolist(), picked, others, strict=True)
    return [TokenLogprobs(token, logprob, tuple(listed)) for token, logprob, listed in rows]


def _find_best(table: torch.Tensor, count: int) -> list[list[tuple[int, float]]]:
    """The `count` largest of each row, best first."""
    best = table.topk(count, dim=-1)
    rows = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [list(zip(ids, values, strict=True)) for ids, values in rows]


def _look_up(row: torch.Tensor, tokens: tuple[int, ...]) -> list[tuple[int, float]]:
    where = torch.tensor(tokens, device=row.device)
    return list(zip(tokens, row[where].tolist(), strict=True))


def _invert_cdf(probs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    # Summed in float64: in float32 the tail of a 150,000-token vocabulary is lost in rounding.
    cumulative = probs.cumsum(dim=-1)
    total = cumulative[:, -1:]
    target = uniforms.to(probs.device).unsqueeze(1) * total
    # u·total may round up to total itself, where no token is.
    target = torch.minimum(target, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, target, right=True).squeeze(1)
