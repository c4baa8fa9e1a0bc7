"""The playground's second side: the same prompt and seed under another constitution or model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import streamlit as st

from cai_core.pipeline.interactive import DEMO_MODEL
from cai_core.pipeline.live import LiveRequest
from cai_core.records import Constitution
from ui.chain_settings import constitution_field, model_fields, restored_model, start_with

Side = Literal["nothing", "constitution", "model"]
_SIDES: dict[Side, str] = {
    "nothing": "Nothing",
    "constitution": "Constitution",
    "model": "Model",
}
# What the second side runs with: a constitution, a model, or nothing; None where none is chosen.
Compared = tuple[Side, Constitution | str | None]


def comparison_fields(model: str) -> Compared:
    """Render what to compare with.

    Args:
        model: what the first side runs on.
    """
    side: Side = st.segmented_control(
        "Compare with another",
        list(_SIDES),
        format_func=lambda s: _SIDES[s],
        required=True,
        key=start_with("compare", "nothing"),
        persist_state="session",
        help="Runs a second chain beside the first, with the same prompt and seed.",
    )
    match side:
        case "constitution":
            first = st.session_state.get("constitution")
            return side, constitution_field("Second constitution", "constitution_b", first)
        case "model":
            return side, model_fields("Second model", "_b", beside=model)
    return "nothing", None


def build_requests(first: LiveRequest, compared: Compared) -> list[LiveRequest] | str:
    """The chains to start, or what is missing, as a sentence."""
    side, other = compared
    if side == "nothing":
        return [first]
    if not other:
        what = "constitution" if side == "constitution" else "model's folder or URL"
        return f"Choose the second {what} first, or compare with nothing."
    if isinstance(other, Constitution):
        # Ids of the first constitution mean nothing in the second: there every round draws.
        chosen = not isinstance(first.recipe.principles, str)
        recipe = replace(first.recipe, principles="random") if chosen else first.recipe
        return [first, replace(first, constitution=other, recipe=recipe)]
    return [first, replace(first, model=other)]


def restored_comparison(first: LiveRequest, other: LiveRequest | None) -> dict[str, Any]:
    """The fields' values for the two chains that an address names."""
    if other is None:
        return {"compare": "nothing"}
    if other.model != first.model:
        return {"compare": "model"} | restored_model(other.model, "_b")
    return {"compare": "constitution", "constitution_b": other.constitution.name}


def build_side_title(request: LiveRequest, other: LiveRequest) -> str:
    """What tells this side from the other, for the head of its column."""
    if request.model != other.model:
        return "Demo model" if request.model == DEMO_MODEL else request.model
    same = request.constitution.name == other.constitution.name
    version = f" · {request.constitution.hash[:8]}" if same else ""
    return f"{request.constitution.name}{version}"
