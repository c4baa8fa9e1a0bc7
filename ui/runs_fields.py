"""The fields beside a plan's text: what people change most. Each writes one value into the text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs.plan_edit import NAMES, RunFields, read_fields, set_field
from cai_core.jobs.plan_fields import Shape, get_shape, is_shown
from cai_core.jobs.plan_rlaif_specs import QUEUE
from cai_core.jobs.plan_yaml import dump_value
from cai_core.workspace.review_queues import list_queues
from ui import services
from ui.constitution_address import leave_message
from ui.look import build_card, escape_markdown
from ui.runs_field_words import describe_default, get_words
from ui.runs_names import list_for, list_principles
from ui.runs_words import KINDS

_HIGHEST = 2**53 - 1  # the largest whole number that a browser keeps exactly
_LARGEST = 1e9
_LONGEST_NAME = 40
_DRAWN = ("random", "in-order")
_STEPS = {"learning_rate": 1e-5}
_FILES = ("human", "few_shot")


def plan_fields(text_key: str) -> None:
    """Render the fields of one of the plan's runs, as the text says them now.

    Args:
        text_key: of the text field, which comes further down.
    """
    try:
        runs = read_fields(str(st.session_state[text_key]))
    except CaiError:
        words = "The text cannot be read as a plan; the fields come back when it can."
        st.html(build_card("note", "No fields", words, slim=True))
        return
    chosen = _choose_run(text_key, runs)
    if not chosen.values:
        words = "This run is of no kind that the fields know; the text says all."
        st.html(build_card("note", "No fields", words, slim=True))
        return
    shared = _find_shared(runs, chosen)
    everywhere = False
    if shared:
        everywhere = st.toggle(
            "Change names in every run that says the same",
            value=True,
            key=f"{text_key}_everywhere",
            help=f"Said by other runs, too: {escape_markdown(', '.join(shared))}.",
        )
    editor = _Editor(text_key, runs, chosen, everywhere=everywhere)
    shown = [key for key in chosen.values if is_shown(key)]
    editor.show([key for key in shown if key not in chosen.more])
    # An id of its own for each run: else the one that was open stays so for the next.
    with st.expander(
        "More settings", icon=":material/tune:", key=f"{text_key}_{chosen.number}_more"
    ):
        editor.show([key for key in shown if key in chosen.more])


def _choose_run(text_key: str, runs: tuple[RunFields, ...]) -> RunFields:
    key = f"{text_key}_run"
    if st.session_state.get(key) not in range(len(runs)):
        st.session_state[key] = 0
    number = st.pills(
        "Run of the plan",
        range(len(runs)),
        format_func=lambda n: _name_run(runs[n]),
        required=True,
        wrap=True,
        key=key,
    )
    return runs[number or 0]


def _name_run(run: RunFields) -> str:
    name = run.name or f"number {run.number + 1}"
    kind = KINDS.get(run.kind, run.kind).lower()
    kind = f" · {kind}" if kind not in ("", name) else ""
    return escape_markdown(f"{name[:_LONGEST_NAME]}{kind}")


def _find_shared(runs: tuple[RunFields, ...], chosen: RunFields) -> list[str]:
    """Names of this run that other runs say, too."""

    def list_names(run: RunFields) -> set[str]:
        held = [value for key, value in run.values.items() if key in NAMES and value]
        listed = [value if isinstance(value, list) else [value] for value in held]
        return {str(name) for names in listed for name in names}

    others = [list_names(run) for run in runs if run.number != chosen.number]
    return sorted(list_names(chosen) & set().union(*others))


class _Editor:
    """The fields of one run of the plan."""

    def __init__(
        self, text_key: str, runs: tuple[RunFields, ...], run: RunFields, *, everywhere: bool
    ) -> None:
        self._text_key, self._runs, self._run = text_key, runs, run
        self._everywhere = everywhere

    def show(self, keys: Sequence[str]) -> None:
        """Render these fields in two columns; what is read from left to right stays so."""
        for start in range(0, len(keys), 2):
            for column, key in zip(
                st.columns(2, vertical_alignment="bottom"), keys[start : start + 2], strict=False
            ):
                with column:
                    self._show(key)

    def _show(self, key: str) -> None:
        shape, value = get_shape(self._run.kind, key), self._run.values[key]
        label, told = get_words(self._run.kind, key, self._run.values)
        widget = f"{self._text_key}_{self._run.number}_{key}"
        if key in self._run.nulls or not _fits(shape, value):
            _show_odd(label, widget, value)
            return
        common: dict[str, Any] = {
            "key": widget,
            "help": told,
            "on_change": _write,
            "args": (self._text_key, self._run.number, key, shape, self._everywhere),
        }
        placeholder = describe_default(key, shape.default)
        match shape.holds:
            case "switch":
                st.session_state[widget] = bool(shape.default if value is None else value)
                st.toggle(label, **common)
            case "whole" | "number" | "bounds":
                self._show_number(label, key, shape, {**common, "placeholder": placeholder})
            case "names" | "principles" | "several":
                options = self._list_several(key, shape)
                st.session_state[widget] = [value] if isinstance(value, str) else value or []
                options += [one for one in st.session_state[widget] if one not in options]
                st.multiselect(label, options, placeholder=placeholder, **common)
            case _:
                self._show_one(label, key, shape, {**common, "placeholder": placeholder})

    def _show_one(self, label: str, key: str, shape: Shape, common: dict[str, Any]) -> None:
        value, above = self._run.values[key], self._runs[: self._run.number]
        named = shape.holds == "name"
        last = key.rpartition(".")[2]
        if last in _FILES:
            options = _list_queues() if last == "human" else []
        else:
            options = list_for(key, self._run, above) if named else list(shape.choices)
        options += [value] if value is not None and value not in options else []
        st.session_state[common["key"]] = value
        free = named and last not in ("prompts", "constitution")
        st.selectbox(label, options, index=None, accept_new_options=free, **common)

    def _show_number(self, label: str, key: str, shape: Shape, common: dict[str, Any]) -> None:
        value = self._run.values[key]
        if shape.holds == "whole":
            st.session_state[common["key"]] = value
            st.number_input(label, shape.least, _HIGHEST, value=None, step=1, **common)
            return
        value = value[0] if isinstance(value, list) else value
        st.session_state[common["key"]] = None if value is None else float(value)
        step = _STEPS.get(key.rpartition(".")[2], 0.05)
        st.number_input(label, value=None, step=step, format="%g", **common)

    def _list_several(self, key: str, shape: Shape) -> list[str]:
        if shape.holds == "several":
            return list(shape.choices)
        if shape.holds == "principles":
            return [*_DRAWN, *list_principles(self._run.values.get("constitution"))]
        return list_for(key, self._run, self._runs[: self._run.number])


def _list_queues() -> list[str]:
    """Review queues of comparisons, as a plan names them."""
    queues, _ = list_queues(services.workspace())
    return [f"{QUEUE}{one.queue_id}" for one in queues if one.kind == "comparisons"]


def _fits(shape: Shape, value: Any) -> bool:
    """Whether a widget can show what the text says."""
    if value is None:
        return True
    match shape.holds:
        case "switch":
            return isinstance(value, bool)
        case "whole":
            return type(value) is int and shape.least <= value <= _HIGHEST
        case "number":
            return _is_number(value)
        case "bounds":
            return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
        case "names" | "principles" | "several":
            named = [value] if isinstance(value, str) else value
            right = isinstance(named, list) and all(isinstance(one, str) for one in named)
            return right and len(set(named)) == len(named)
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) <= _LARGEST


def _show_odd(label: str, widget: str, value: object) -> None:
    st.text_input(
        label,
        value=dump_value(value)[:80],
        key=f"{widget}_odd",
        disabled=True,
        help="The text says something here that the field cannot show. Change it in the text.",
    )


def _read(widget: Any, shape: Shape, before: Any) -> Any:
    """What a widget holds, as the text says it.

    Args:
        before: what the text said.
    """
    match shape.holds:
        case "bounds" if widget is not None:
            return [widget, round(1 - widget, 9)]
        case "names" | "several":
            return list(widget) or None
        case "principles":
            # A word takes the place of ids, and ids that of a word: the newest choice counts.
            words = [one for one in widget if one in _DRAWN]
            if words and words[-1] != before:
                return words[-1]
            return [one for one in widget if one not in _DRAWN] or (words[-1] if words else None)
    return widget.strip() or None if isinstance(widget, str) else widget


def _write(text_key: str, run: int, key: str, shape: Shape, everywhere: bool) -> None:
    """Put what the field says into the text."""
    text = str(st.session_state[text_key])
    try:
        before = read_fields(text)[run].values.get(key)
        value = _read(st.session_state[f"{text_key}_{run}_{key}"], shape, before)
        st.session_state[text_key] = set_field(text, run, key, value, everywhere=everywhere)
    except CaiError as error:
        leave_message("error", "Not changed", str(error))
