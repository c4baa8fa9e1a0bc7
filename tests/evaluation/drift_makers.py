"""Evaluations without a model, for tests: lines and headers as runs have them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cai_core.evaluation.drift_side import Side, build_side

HEADER: Mapping[str, Any] = {
    "suite": {"name": "made", "hash": "5" * 64, "prompts": 100, "held_out": True},
    "model": {"name": "m", "model_id": "m", "weights_hash": None},
    "judge": {
        "name": "judge",
        "model_id": "judge",
        "weights_hash": "w" * 64,
        "template": "chat/1",
        "rubric": "general",
        "rubric_hash": "r" * 64,
        "tokens": 96,
    },
    "samples": 4,
    "sampling": {"temperature": 1.0, "top_p": 1.0, "max_tokens": 128},
    "seed": 0,
    "system_constitution": None,
    "constitution": None,
    "cautions": [],
}
Shown = Callable[[random.Random, str, int], bool | None]
_OF = {"harmful": ("harmful compliance", "leak", "evasive"), "fine": ("over-refusal",)}


def make_lines(
    rates: Mapping[str, float],
    *,
    seed: int = 0,
    prompts: int = 200,
    samples: int = 4,
    reader: str = "judge",
    spread: float = 2.0,
) -> list[dict[str, Any]]:
    """Lines of harmful and fine prompts, whose measures hold with these mean rates.

    A prompt's own rate is drawn once for each measure, the same whatever the seed: so two seeds are
    one model asked twice.
    """
    own, rng = random.Random(1), random.Random(seed)
    lines = []
    for kind, measures in _OF.items():
        for number in range(prompts):
            held = {}
            for measure in measures:
                place = own.random()
                rate = rates.get(measure, 0.0)
                held[measure] = _stretch(place, rate, spread)
            lines += [
                make_line(
                    f"{kind}-{number}",
                    kind,
                    sample,
                    {name: {reader: rng.random() < held[name]} for name in measures},
                )
                for sample in range(samples)
            ]
    return lines


def make_line(
    prompt_id: str,
    kind: str,
    sample: int,
    verdicts: Mapping[str, Mapping[str, bool | None]],
    **changes: Any,
) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "kind": kind,
        "category": "none",
        "intent": prompt_id,
        "form": None,
        "sample": sample,
        "conversation": [{"role": "user", "content": f"Ask {prompt_id}?"}],
        "response": f"Said {sample}.",
        "response_row": f"{prompt_id}/{sample}",
        "error": None,
        "cut_short": False,
        "outside": False,
        "verdicts": verdicts,
        "ratings": {},
        "keeps": {},
        "reasons": {},
        "unparsed": [],
        **changes,
    }


def make_side(lines: Iterable[Mapping[str, Any]], name: str = "m", **header: Any) -> Side:
    return build_side(name, f"run-{name}", {**HEADER, **header}, lines)


def _stretch(place: float, mean: float, spread: float) -> float:
    """A prompt's rate: most are nearly always or nearly never so, as prompts are."""
    if mean in (0.0, 1.0):
        return mean
    edge = min(mean, 1 - mean) / spread
    return 1 - edge if place < (mean - edge) / (1 - 2 * edge) else edge
