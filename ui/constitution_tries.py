"""Trying a constitution's text against another one: the form, and the tries there were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from cai_core.actions.tries import try_constitution
from cai_core.errors import CaiError
from cai_core.jobs.listing import find_job
from cai_core.jobs.try_specs import DEFAULT_COUNT, MAX_COUNT, TryRequest
from cai_core.pipeline.prompt_sets import list_versions as list_prompt_sets
from cai_core.records import Constitution
from cai_core.workspace.endpoints import read_endpoints
from cai_core.workspace.tries import Try, list_tries
from cai_core.workspace.versions import (
    SHORT,
    VersionInfo,
    load_version,
    resolve_constitution,
)
from ui import services
from ui.constitution_address import (
    can_edit,
    describe_time,
    go,
    leave_message,
    name_version,
    show_message,
)
from ui.constitution_diff import compare_principles
from ui.constitution_pager import show_part
from ui.look import build_error, escape

_DRAWN, _FIRST_SET, _SHOWN = "", "redteam", 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TryForm:
    """What a try is made of, as far as it does not come from the form's fields.

    Attributes:
        key: of the form's widgets.
        choices: a reference or hash → what it is called: the texts to compare with.
        draft_id: the draft that is tried; empty for a version.
    """

    key: str
    text: Constitution
    choices: Mapping[str, str]
    draft_id: str = ""


def show_tries(version: VersionInfo, versions: Sequence[VersionInfo], text: Constitution) -> None:
    """Render a version's behavioural diffs, and the form for another one."""
    tries = list_tries(services.workspace(), version.name, version.hash)
    for place, tried in show_part(f"tries_{version.hash[:SHORT]}", tries, _SHOWN):
        _show_try(place, tried, version)
    if not tries:
        words = "Nobody has tried this text yet: what does it change in what a model says?"
        st.html(f'<p class="cai-lead">{escape(words)}</p>')
    if not can_edit():
        return
    choices = {v.hash: name_version(v) for v in reversed(versions) if v.hash != version.hash}
    choices = dict(reversed(choices.items()))
    if version.parent in choices:
        choices = {version.parent: choices[version.parent]} | choices
    if version.forked_from is not None:
        name, _, origin = version.forked_from.partition("@")
        choices = {version.forked_from: f"{name} {origin[:SHORT]}"} | choices
    if choices:
        key = f"try_{version.hash[:SHORT]}"
        try_form(TryForm(key=key, text=text, choices=choices))


def try_form(form: TryForm) -> None:
    """Render what to compare with and on which prompts, and the button that begins."""
    left, right = st.columns(2)
    with left:
        against = st.selectbox(
            "Against",
            list(form.choices),
            format_func=lambda ref: form.choices.get(ref, ref),
            key=f"{form.key}_against",
            filter_mode="contains",
        )
        sets = {found.name: found for found in list_prompt_sets(services.workspace())}
        prompts = st.selectbox(
            "Prompt set",
            list(sets),
            index=list(sets).index(_FIRST_SET) if _FIRST_SET in sets else 0,
            key=f"{form.key}_prompts",
            format_func=lambda name: f"{name} ({sets[name].prompts:,})" if name in sets else name,
        )
        count = st.number_input(
            "Prompts",
            1,
            MAX_COUNT,
            DEFAULT_COUNT,
            key=f"{form.key}_count",
            help="The first so many of the set. With 20 a difference has to be large to be seen; "
            "with 300 its interval is about five points wide to each side.",
        )
    before = _load(form, str(against or ""))
    if before is None:
        return
    with right:
        principle = _principle_field(form, before)
        model = _model_field(form)
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key=f"{form.key}_seed")
    request = TryRequest(
        prompts=str(prompts or ""),
        count=int(count),
        model=model,
        principle=principle,
        seed=int(seed),
    )
    same = before.hash == form.text.hash
    st.button(
        f"Try on {int(count)} prompts",
        key=f"{form.key}_go",
        type="primary",
        icon=":material/science:",
        disabled=same,
        on_click=_begin,
        args=(form, before, request),
        help="The two texts are the same."
        if same
        else "Both texts, the same prompts and seeds, in the background.",
    )
    show_message("try")


def _principle_field(form: TryForm, before: Constitution) -> str:
    """The principle that is looked at: where one was changed, that one."""
    theirs = {p.id for p in before.principles}
    both = [p.id for p in form.text.principles if p.id in theirs]
    changes = compare_principles(before.principles, form.text.principles)
    changed = [c.after.id for c in changes if c.after and c.fields and c.after.id in theirs]
    options = [_DRAWN, *changed, *(name for name in both if name not in changed)]
    told = {_DRAWN: "Drawn at random, as in training"} | {n: f"{n} (changed)" for n in changed}
    return str(
        st.selectbox(
            "Principle",
            options,
            index=1 if len(changed) == 1 else 0,
            format_func=lambda name: told.get(name, name),
            key=f"{form.key}_principle_{before.hash[:SHORT]}_{form.text.hash[:SHORT]}",
            filter_mode="contains",
            help="Every round uses this one on both sides. Drawn at random, most rounds draw a "
            "principle that is the same on both sides.",
        )
        or _DRAWN
    )


def _model_field(form: TryForm) -> str:
    names = list(read_endpoints(services.workspace()).book.endpoints)
    chosen = st.selectbox(
        "Model",
        ["", *names],
        format_func=lambda name: name or "As the roles say",
        key=f"{form.key}_model",
    )
    return str(chosen or "")


def _load(form: TryForm, against: str) -> Constitution | None:
    try:
        if "@" in against:
            return resolve_constitution(services.workspace(), against)
        return load_version(services.workspace(), form.text.name, against)
    except CaiError as error:
        st.html(build_error("The other text cannot be read", str(error)))
        return None


def _begin(form: TryForm, before: Constitution, request: TryRequest) -> None:
    try:
        tried = try_constitution(services.actor(), services.workspace(), before, form.text, request)
    except CaiError as error:
        leave_message("error", "Not begun", str(error), place="try")
        return
    runs = {"before": tried.before_run, "after": tried.after_run}
    if form.draft_id:
        go(draft=form.draft_id, step="try", **runs)
    else:
        go(constitution=form.text.name, **runs)


def _show_try(place: int, tried: Try, version: VersionInfo) -> None:
    states = [find_job(services.workspace(), run) for run in (tried.before_run, tried.after_run)]
    told = ", ".join(sorted({view.state.value if view else "gone" for view in states}))
    mine = tried.version == version.hash
    other = (tried.against_name, tried.against) if mine else (tried.name, tried.version)
    focus = f" · {tried.principle}" if tried.principle else ""
    with st.container(gap=None, key=f"cn_row_try_{place}"):
        st.button(
            f"{'Against' if mine else 'As the older one, with'} {other[0]} {other[1][:SHORT]}",
            key=f"open_try_{place}",
            type="tertiary",
            icon=":material/science:",
            on_click=go,
            kwargs={
                "constitution": version.name,
                "before": tried.before_run,
                "after": tried.after_run,
            },
        )
        words = (
            f"{tried.count} prompts of {tried.prompts}{focus} · {tried.actor}, "
            f"{describe_time(tried.at)} · {told}"
        )
        st.html(f'<div class="cai-quiet">{escape(words)}</div>')
