"""Suites of people's own: uploaded with a data card, versioned, held out of training."""

from __future__ import annotations

import re
from collections.abc import Mapping

import streamlit as st

from cai_core.actions.suites import add_suite
from cai_core.errors import CaiError
from cai_core.evaluation.suites import Suite, SuiteKind
from cai_core.jobs.evaluate_suites import load_suite_version
from cai_core.jobs.suite_upload import MAX_BYTES, SuiteCard, build_card, read_upload
from cai_core.records import AccessRole
from cai_core.workspace.suites import SuiteVersion, read_suites
from ui import services
from ui.constitution_address import describe_time, leave_message, show_message
from ui.harm import hold_back, show_harmful_toggle
from ui.look import build_badge, build_error, escape
from ui.look import build_card as build_note
from ui.runs_list import can

_PLACE, _ADDED = "drift_suite", "drift_suites_added"
_TO_DECLINE = (SuiteKind.HARMFUL, SuiteKind.MULTI_TURN)
_SHOWN, _CATEGORIES = 3, 20
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def show_suites() -> None:
    """Render the suites that were added, and the upload of another one or a newer version."""
    suites = read_suites(services.workspace())
    told = f"Suites of your own ({len(suites)})" if suites else "Suites of your own"
    with st.expander(told, icon=":material/playlist_add_check:", key="drift_suites"):
        show_message(_PLACE)
        if suites:
            names = list(suites)
            chosen = st.selectbox("Suite", names, key="drift_own_suite")
            versions = suites[chosen or names[0]]
            _show_version(versions[-1], len(versions))
        if can(AccessRole.EDITOR):
            _show_upload(suites)


def _show_version(version: SuiteVersion, count: int) -> None:
    workspace = services.workspace()
    try:
        suite = load_suite_version(workspace, version)
        card = _build(str(workspace), version.label, suite)
    except (CaiError, OSError) as error:
        st.html(build_error("This suite cannot be read", str(error)))
        return
    older = f", {count - 1} older" if count > 1 else ""
    added = (
        f"Version {version.number}{older}; from {version.source or 'a file'}, added by "
        f"{version.actor}, {describe_time(version.at)}: {version.note}"
    )
    st.html(f'<p class="cai-quiet">{escape(added)}</p>')
    show_card(card, "own_suite")


def _show_upload(suites: Mapping[str, object]) -> None:
    st.html(
        '<p class="cai-quiet">A line is a prompt: <code>{"id": "a-1", "kind": "harmful", '
        '"category": "fraud", "prompt": "…"}</code>; kinds are harmful, fine, borderline, '
        "sycophancy and multi-turn. A name that is there already gets a newer version.</p>"
    )
    file = st.file_uploader(
        "Add a suite",
        ["jsonl"],
        key=f"drift_suite_file_{_count_added()}",
        max_upload_size=MAX_BYTES // 2**20,
    )
    if file is None:
        return
    content = file.getvalue()
    default = _NO_NAME.sub("-", file.name.removesuffix(".jsonl")).strip("-._")[:64]
    left, right = st.columns(2)
    name = left.text_input("Name", default, key=f"drift_suite_name_{file.name}", max_chars=64)
    note = right.text_input("Why", key="drift_suite_note", placeholder="our support tickets")
    try:
        said = read_upload(name.strip(), content)
        held_out = st.toggle(
            "Held out of training",
            said.held_out,
            key="drift_suite_held",
            help="Runs that would train on these prompts, or nearly these, are refused.",
        )
        suite = read_upload(name.strip(), content, held_out)
        card = _build(str(services.workspace()), suite.label, suite)
    except (CaiError, OSError) as error:
        st.html(build_error("This is no suite yet", str(error)))
        return
    show_card(card, "new_suite")
    label = "Add as a newer version" if name.strip() in suites else "Add this suite"
    st.button(
        label,
        key="drift_suite_add",
        type="primary",
        icon=":material/check:",
        on_click=_add,
        args=(name.strip(), content, note, file.name, held_out),
    )


def show_card(card: SuiteCard, key: str) -> None:
    """Render a suite's data card and its first prompts; `key` tells two of one page apart."""
    suite = card.suite
    st.html(_build_card(card))
    if card.seen:
        items = "".join(f"<li>{escape(one)}</li>" for one in card.seen)
        title = "Models of this workspace have seen some of it"
        st.html(build_note("note", title, f'<ul class="cai-body">{items}</ul>'))
    shown = True
    if any(prompt.kind in _TO_DECLINE for prompt in suite.prompts[:_SHOWN]):
        shown = show_harmful_toggle(f"drift_{key}_show_harmful")
    for prompt in suite.prompts[:_SHOWN]:
        body = escape(prompt.text)
        held = prompt.kind in _TO_DECLINE and not shown
        badges = build_badge(prompt.kind.value, quiet=True)
        st.html(build_note("prompt", prompt.id, hold_back(body) if held else body, badges=badges))


def _build_card(card: SuiteCard) -> str:
    suite = card.suite
    kinds = ", ".join(f"{count:,} {kind.value}" for kind, count in suite.count_kinds().items())
    ranked = sorted(suite.count_categories().items(), key=lambda one: -one[1])
    categories = ", ".join(f"{name} {count:,}" for name, count in ranked[:_CATEGORIES])
    if len(ranked) > _CATEGORIES:
        categories += f", and {len(ranked) - _CATEGORIES} more"
    alike = "not looked for: the suite is too large"
    if card.alike_total is not None:
        first = "; ".join(f"{one} and {two} ({like} %)" for one, two, like in card.alike)
        alike = f"{card.alike_total:,} pairs" + (f": {first}" if first else "")
    facts = {
        "Prompts": f"{len(suite.prompts):,} ({kinds}), {card.intents:,} intents",
        "Categories": categories,
        "Hash": suite.hash[:12],
        "Held out": "yes: what trains on it is refused" if suite.held_out else "no",
        "Nearly the same": alike,
        "Description": suite.description or "none; a first line in the file gives one",
    }
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(told)}</td></tr>'
        for name, told in facts.items()
    )
    title = escape(f"Data card of {suite.name}")
    return f'<table class="cai-facts" aria-label="{title}"><tbody>{rows}</tbody></table>'


# Streamlit hashes what does not begin with an underscore: the label tells the prompts, and a run
# that was trained meanwhile is told within a minute.
@st.cache_data(ttl=60, max_entries=16, show_spinner="Comparing with what was trained on …")
def _build(_workspace: str, label: str, _suite: Suite) -> SuiteCard:
    del label
    return build_card(services.workspace(), _suite)


def _count_added() -> int:
    """Uploads of this session that were taken: the next one has a field of its own."""
    return int(st.session_state.get(_ADDED, 0))


def _add(name: str, content: bytes, note: str, source: str, held_out: bool) -> None:
    try:
        added = add_suite(
            services.actor(),
            services.workspace(),
            name,
            content,
            note,
            source=source,
            held_out=held_out,
        )
    except (CaiError, OSError) as error:
        leave_message("error", "Not added", str(error), place=_PLACE)
        return
    st.session_state[_ADDED] = _count_added() + 1
    words = f"{added.version.label}, version {added.version.number}: choose it where suites are."
    if not added.fresh:
        words = "The newest version is just this already."
    leave_message("note", "Added" if added.fresh else "Nothing new", words, place=_PLACE)
