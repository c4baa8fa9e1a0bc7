"""The story's address: which of its five screens, and which of its chains."""

from __future__ import annotations

import streamlit as st

SCREEN, EXAMPLE = "screen", "example"
# What the rail calls each screen.
SCREENS = ("Rules", "Broken", "Criticised", "Rewritten", "Trained")


def read_screen() -> int:
    """1 to 5; the first where the address says anything else."""
    return _read(SCREEN, len(SCREENS)) or 1


def read_example(count: int) -> int:
    """Place of the chain in [0, count); the first where the address says anything else."""
    return max(0, (_read(EXAMPLE, count) or 1) - 1)


def go_to(screen: int) -> None:
    """Another screen, with the same chain. For callbacks."""
    st.query_params[SCREEN] = str(screen)


def go_on(example: int) -> None:
    """Another chain, told by its place, on the same screen. For callbacks."""
    st.query_params[EXAMPLE] = str(example + 1)


def _read(name: str, most: int) -> int | None:
    text = st.query_params.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0
    return number if 1 <= number <= most else None
