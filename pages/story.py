"""Story: Constitutional AI in five screens, for people who do not write code."""

import streamlit as st

from cai_core.errors import CaiError
from ui.harm import show_harmful_button
from ui.look import build_error, show_title
from ui.story_address import SCREENS, go_on, go_to, read_example, read_screen
from ui.story_data import load_ending, load_told
from ui.story_screens import (
    show_breach,
    show_critique,
    show_missing_chains,
    show_rewrite,
    show_rules,
    show_training,
)
from ui.story_style import STYLE


def show_rail(screen: int) -> None:
    """The five steps, the one that is shown marked."""
    with st.container(horizontal=True, key="story_rail"):
        for number, name in enumerate(SCREENS, start=1):
            st.button(
                f"{number} {name}",
                key=f"story_step_{number}",
                type="primary" if number == screen else "secondary",
                on_click=go_to,
                args=(number,),
            )


def show_moves(screen: int, example: int, examples: int) -> bool:
    """Back, Next, and what else a presenter presses; whether harmful text is to be shown."""
    last = len(SCREENS)
    with st.container(horizontal=True, vertical_alignment="center", key="story_moves"):
        st.button(
            "Back",
            key="story_back",
            shortcut="Left",
            disabled=screen == 1,
            on_click=go_to,
            args=(screen - 1,),
        )
        st.button(
            "Next",
            key="story_next",
            type="primary",
            shortcut="Right",
            disabled=screen == last,
            on_click=go_to,
            args=(screen + 1,),
        )
        if screen < last and examples > 1:
            st.button(
                "Another example",
                key="story_example",
                icon=":material/refresh:",
                shortcut="E",
                on_click=go_on,
                args=((example + 1) % examples,),
            )
        return show_harmful_button() if screen > 1 else False


def show_story() -> None:
    """The screen that the address names."""
    screen = read_screen()
    show_rail(screen)
    try:
        told = load_told()
        ending = load_ending() if screen == len(SCREENS) else None
    except (CaiError, OSError) as error:
        show_title("The story", "Constitutional AI in five screens.")
        st.html(build_error("The story's runs cannot be read", str(error)))
        return
    examples = len(told.chains) if told is not None else 0
    example = read_example(examples)
    show = show_moves(screen, example, examples)
    if screen == len(SCREENS):
        show_training(ending, show_harmful=show)
    elif told is None:
        show_missing_chains()
    else:
        chain = told.chains[example]
        match screen:
            case 1:
                show_rules(told, chain)
            case 2:
                show_breach(told, chain, show_harmful=show)
            case 3:
                show_critique(told, chain, show_harmful=show)
            case _:
                show_rewrite(told, chain, show_harmful=show)


st.html(STYLE)
with st.container(key="story"):
    show_story()
