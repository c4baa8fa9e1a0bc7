"""What a reasoning model thought before it answered: apart from the answer, and folded away."""

from __future__ import annotations

from ui.harm import hold_back
from ui.look import escape


def build_reasoning(reasoning: str | None, *, held: bool) -> str:
    """The thoughts as HTML to stand above a step's text; "" where the model told none.

    Args:
        held: the step's own text stays blurred, so its thoughts do too.
    """
    if not reasoning:
        return ""
    body = escape(reasoning)
    words = f"Reasoning ({len(reasoning.split()):,} words), not part of the answer"
    return (
        f'<details class="cai-reasoning"><summary>{words}</summary>'
        f"<div>{hold_back(body) if held else body}</div></details>"
    )
