"""Long lists a part at a time: hundreds of widgets would make every click slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import streamlit as st

Entry = TypeVar("Entry")


def show_part(
    key: str, entries: Sequence[Entry], size: int, *, at: int | None = None
) -> list[tuple[int, Entry]]:
    """Render the buttons that go through a long list, and return the part to show.

    Args:
        key: of the list; the part is remembered under it.
        at: place that must be seen when it changes, such as the chosen entry's.

    Returns:
        Entries with their places in the list.
    """
    held, last = f"part_of_{key}", max(0, (len(entries) - 1) // size)
    if at is not None and st.session_state.get(f"{held}_at") != at:
        st.session_state[f"{held}_at"] = at
        st.session_state[held] = at // size
    part = min(last, int(st.session_state.get(held, 0)))
    if last:
        _show_buttons(held, part, last, size, len(entries))
    start = part * size
    return list(enumerate(entries))[start : start + size]


def _show_buttons(held: str, part: int, last: int, size: int, count: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for label, icon, step in (("Earlier", "chevron_left", -1), ("Later", "chevron_right", 1)):
            st.button(
                label,
                key=f"{held}_{step}",
                icon=f":material/{icon}:",
                type="tertiary",
                disabled=not 0 <= part + step <= last,
                on_click=_turn,
                args=(held, part + step),
            )
        told = f"{part * size + 1}–{min(count, (part + 1) * size)} of {count}"
        st.html(f'<span class="cai-quiet">{told}</span>')


def _turn(held: str, part: int) -> None:
    st.session_state[held] = part
