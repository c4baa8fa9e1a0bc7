"""The fields beside a plan's text: what people change most. Each writes one value into the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, get_args

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs.looking import list_made_models
from cai_core.jobs.plan_edit import NAMES, RunFields, read_fields, set_field
from cai_core.jobs.plan_names import RUN
from cai_core.pipeline.prompt_sets import list_versions as list_prompt_sets
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.training.recipe import ChainSource, Method, SftRecipe, Use
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.prompt_sets import SHORT
from cai_core.workspace.versions import list_names
from cai_core.workspace.versions import list_versions as list_constitutions
from ui import services
from ui.constitution_address import leave_message
from ui.look import build_card, escape_markdown
from ui.runs_words import KINDS

_LABELS = {
    "prompts": "Prompt set",
    "constitution": "Constitution",
    "model": "Model",
    "where.limit": "Number of prompts",
    "chain.revisions": "Revisions",
    "chain.seed": "Seed",
    "base": "Model to train",
    "method": "Method",
    "learning_rate": "Learning rate",
    "epochs": "Epochs",
    "batch_size": "Batch size",
    "micro_batch": "Of them at once",
    "max_length": "Max length (tokens)",
    "seed": "Seed",
}
_CHOICES: dict[str, tuple[str, ...]] = {"method": get_args(Method), "use": get_args(Use)}
_NUMBERS: dict[str, type] = {"learning_rate": float, "share": float}
_LOWEST = {"chain.revisions": 0, "chain.seed": 0, "seed": 0}
_HIGHEST = 2**53 - 1  # the largest whole number that a browser keeps exactly
_LONGEST_NAME = 40
_DEFAULTS = {
    **{item.name: item.default for item in fields(SftRecipe)},
    **{f"chain.{item.name}": item.default for item in fields(ChainRecipe)},
    **{item.name: item.default for item in fields(ChainSource) if item.name == "use"},
    "share": "every one",
    "where.limit": "all",
    "model": "as the roles say",
}


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
    columns = st.columns(2)
    shown = [key for key in chosen.values if not key.endswith(".run")]
    for place, key in enumerate(shown):
        with columns[place % 2]:
            _show_field(text_key, runs, chosen, key, everywhere=everywhere)


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
    kind = f" · {KINDS.get(run.kind, run.kind).lower()}" if run.kind else ""
    return escape_markdown(f"{name[:_LONGEST_NAME]}{kind}")


def _find_shared(runs: tuple[RunFields, ...], chosen: RunFields) -> list[str]:
    """Names of this run that other runs say, too."""
    held = {str(value) for key, value in chosen.values.items() if key in NAMES and value}
    others = [run for run in runs if run.number != chosen.number]
    said = {str(v) for run in others for key, v in run.values.items() if key in NAMES}
    return sorted(held & said)


def _show_field(
    text_key: str, runs: tuple[RunFields, ...], run: RunFields, key: str, *, everywhere: bool
) -> None:
    value, last = run.values[key], key.rpartition(".")[2]
    widget = f"{text_key}_{run.number}_{key}"
    common: dict[str, Any] = {
        "key": widget,
        "on_change": _write,
        "args": (text_key, run.number, key, widget, everywhere),
        "placeholder": _tell_default(key if key in _DEFAULTS else last),
    }
    label = _build_label(key, run.values)
    if key in NAMES or last in _CHOICES:
        options = list(_CHOICES[last]) if last in _CHOICES else _list_names(key, runs, run)
        if not (value is None or isinstance(value, str)):
            _show_odd(label, widget, value)
            return
        options += [value] if value is not None and value not in options else []
        st.session_state[widget] = value
        st.selectbox(
            label, options, index=None, accept_new_options=key in ("model", "base"), **common
        )
        return
    kind = _NUMBERS.get(last, int)
    lowest = kind(0) if kind is float else _LOWEST.get(key, 1)
    highest = 1.0 if kind is float else _HIGHEST
    right = (int, float) if kind is float else (int,)
    if value is not None and (type(value) not in right or not lowest <= value <= highest):
        _show_odd(label, widget, value)
        return
    st.session_state[widget] = None if value is None else kind(value)
    steps = {"learning_rate": 1e-5, "share": 0.05}
    st.number_input(
        label,
        lowest,
        highest,
        value=None,
        step=steps.get(last, 1),
        format="%g" if kind is float else None,
        **common,
    )


def _build_label(key: str, values: Mapping[str, Any]) -> str:
    if not key.startswith("sources."):
        return _LABELS[key]
    _, number, last = key.split(".")
    run = escape_markdown(str(values.get(f"sources.{number}.run"))[:_LONGEST_NAME])
    return f"Texts of {run}" if last == "use" else f"Share of {run} in all examples"


def _tell_default(key: str) -> str:
    default = _DEFAULTS.get(key, MISSING)
    return "not named" if default is MISSING else f"{default}"


def _show_odd(label: str, widget: str, value: object) -> None:
    st.text_input(
        label,
        value=repr(value)[:80],
        key=f"{widget}_odd",
        disabled=True,
        help="The text says something here that the field cannot show. Change it in the text.",
    )


def _list_names(key: str, runs: tuple[RunFields, ...], run: RunFields) -> list[str]:
    """What the workspace has under that key."""
    workspace = services.workspace()
    try:
        if key == "prompts":
            newest = list_prompt_sets(workspace)
            older = [
                f"{v.name}@{v.hash[:SHORT]}"
                for one in newest
                if one.number
                for v in list_prompt_sets(workspace, one.name)
            ]
            return list(dict.fromkeys([*(one.name for one in newest), *older]))
        if key == "constitution":
            names = list_names(workspace)
            older = [
                f"{info.name}@{version.hash[:SHORT]}"
                for info in names
                if info.versions > 1
                for version in list_constitutions(workspace, info.name)
            ]
            return list(dict.fromkeys([*(info.name for info in names), *older]))
    except CaiError:
        return []  # the check beside the fields says why
    endpoints = list(read_endpoints(workspace).book.endpoints) if key == "model" else ["demo"]
    above = [f"{RUN}{one.name}" for one in runs[: run.number] if one.kind == "sft"]
    return [*endpoints, *above, *(f"{RUN}{made}" for made in list_made_models(workspace))]


def _write(text_key: str, run: int, key: str, widget: str, everywhere: bool) -> None:
    """Put what the field says into the text."""
    value = st.session_state[widget]
    if isinstance(value, str):
        value = value.strip() or None
    try:
        text = set_field(str(st.session_state[text_key]), run, key, value, everywhere=everywhere)
    except CaiError as error:
        leave_message("error", "Not changed", str(error))
        return
    st.session_state[text_key] = text
