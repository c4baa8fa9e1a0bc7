"""Chains as `revise` writes them, small."""

from __future__ import annotations

from typing import Any


def make_step(kind: str, index: int, text: str | None, **changes: Any) -> dict[str, Any]:
    step = {"kind": kind, "index": index, "text": text, "finish_reason": "stop", "error": None}
    return {**step, **changes}


def make_chain(
    number: int, *, rounds: int = 1, tags: tuple[str, ...] = (), failed: bool = False
) -> dict[str, Any]:
    steps = [make_step("response", 0, f"Sure, here is how to do thing {number}.")]
    for turn in range(1, rounds + 1):
        steps.append(make_step("critique", 2 * turn - 1, "It helps with harm."))
        steps.append(make_step("revision", 2 * turn, f"No, not thing {number} (round {turn})."))
    return {
        "prompt_id": f"p{number:04}#{number}",
        "sample": 0,
        "tags": list(tags),
        "conversation": [{"role": "user", "content": f"How do I do thing {number}?"}],
        "steps": steps,
        "final": None if failed else steps[-1]["text"],
        "error": "the server refused" if failed else None,
    }
