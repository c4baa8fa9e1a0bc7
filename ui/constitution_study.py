"""A behavioural diff: how far its two runs are, then what changed, the changed chains first."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.behaviour_diff import BehaviourChange, ChainPair
from cai_core.jobs.behaviour_study import (
    BehaviourStudy,
    find_chain,
    get_chains_stamp,
    load_behaviour_study,
)
from cai_core.jobs.listing import JobView, find_job
from cai_core.workspace.status import RunState
from ui import services
from ui.constitution_address import Address, go
from ui.constitution_pager import show_part
from ui.diff import build_diff
from ui.explorer_links import find_chain_place, show_link
from ui.harm import find_held_back, hold_back, hold_removed, show_harmful_toggle
from ui.look import build_badge, build_card, build_error, escape
from ui.runs_words import build_facts, build_run_head

_TICK_SECONDS = 2.0
_SHOWN = 10
_OPEN = (RunState.QUEUED, RunState.RUNNING)
_HARMFUL = "harmful"


def show_study_page(address: Address) -> None:
    """Render the diff that an address names, and the way back to its constitution."""
    st.button(
        "Back to the constitution",
        key="back",
        icon=":material/arrow_back:",
        type="tertiary",
        on_click=go,
        kwargs={"constitution": address.constitution},
    )
    show_study(address.before, address.after)


def show_study(before_run: str, after_run: str) -> None:
    """Render the diff of two runs, or how far they are. The ids come from an address."""
    views = _find(before_run, after_run)
    if views is None:
        words = "The address names runs that this workspace does not hold."
        st.html(build_card("note", "No such try", escape(words)))
        return
    if all(view.state is RunState.SUCCEEDED for view in views):
        _show_result(before_run, after_run)
        return
    _show_progress(before_run, after_run, live=any(view.state in _OPEN for view in views))


def _find(before_run: str, after_run: str) -> tuple[JobView, JobView] | None:
    found = [find_job(services.workspace(), run) for run in (before_run, after_run)]
    return (found[0], found[1]) if found[0] is not None and found[1] is not None else None


def _show_progress(before_run: str, after_run: str, *, live: bool) -> None:
    def cards() -> None:
        views = _find(before_run, after_run)
        if views is None or all(view.state is RunState.SUCCEEDED for view in views):
            st.rerun()  # the whole page: this ends the ticking and shows the result
            return
        st.html('<p class="cai-lead">Both texts answer the same prompts with the same seeds.</p>')
        for view in views:
            st.html(build_run_head(view, now=time.time()))

    st.fragment(cards, run_every=_TICK_SECONDS if live else None)()
    if not live:
        words = "One of the two runs has ended without all of its chains. Resume it on Runs."
        st.html(build_card("note", "Not complete", escape(words)))


def _show_result(before_run: str, after_run: str) -> None:
    workspace = services.workspace()
    try:
        stamps = tuple(get_chains_stamp(workspace, run) for run in (before_run, after_run))
        study = _load(workspace, before_run, after_run, stamps)
    except (CaiError, OSError) as error:
        st.html(build_error("The two runs cannot be compared", str(error)))
        return
    _show_facts(study)
    st.html(_build_rates(study.diff.behaviours))
    st.html(f'<p class="cai-quiet">{escape(_tell_reader(study))}</p>')
    shown = show_harmful_toggle("study_show_harmful")
    key = f"study_{before_run}_{after_run}"
    for place, pair in show_part(key, study.diff.pairs, _SHOWN):
        st.html(_build_pair(pair, show_harmful=shown))
        with st.container(horizontal=True, key=f"study_links_{place}"):
            for run, label in ((before_run, "Chain before"), (after_run, "Chain after")):
                chain = find_chain(run, pair.prompt_id, pair.sample)
                show_link(find_chain_place(chain), label, icon=":material/rate_review:")


@lru_cache(maxsize=16)
def _load(
    workspace: Path, before_run: str, after_run: str, _stamps: tuple[tuple[int, int], ...]
) -> BehaviourStudy:
    return load_behaviour_study(workspace, before_run, after_run)


def _show_facts(study: BehaviourStudy) -> None:
    diff = study.diff
    names = [f"{r.constitution} {r.constitution_hash[:8]}" for r in (study.before, study.after)]
    told = f"{names[0]} (before) → {names[1]} (after), {study.after.prompts}"
    st.html(f'<p class="cai-lead">{escape(told)}</p>')
    changed = sum(pair.changed for pair in diff.pairs)
    flipped = sum(bool(pair.flips) for pair in diff.pairs)
    share = "no chains" if diff.changed is None else f"{diff.changed.rate:.0%} changed"
    facts = [
        ("chains on both sides", str(len(diff.pairs))),
        (f"final responses differ ({share})", str(changed)),
        ("behave differently", str(flipped)),
    ]
    st.html(build_facts(facts))
    for words in study.unlike:
        st.html(build_card("note", "Not only the constitution differs", escape(words)))
    if diff.unpaired:
        words = f"{diff.unpaired} chains ended in an error or have no partner; they are left out."
        st.html(build_card("note", "Left out", escape(words)))


def _build_rates(behaviours: tuple[BehaviourChange, ...]) -> str:
    """The table of behaviours: both rates, their paired difference, who gained and lost it."""
    head = ("Behaviour", "Before", "After", "Difference, 95 % interval", "Gained", "Lost", "n")
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    rows = "".join(_build_row(change) for change in behaviours)
    return (
        '<div class="cai-scroll"><table class="cai-table">'
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _build_row(change: BehaviourChange) -> str:
    told = change.difference
    clear = told.low > 0 or told.high < 0
    words = f"{100 * told.difference:+.0f} points [{100 * told.low:+.0f}, {100 * told.high:+.0f}]"
    name = "clear" if clear else "may be chance" if change.gained or change.lost else "no change"
    badge = build_badge(name, quiet=not clear, dashed=not clear)
    rates = [
        f"{rate.rate:.0%} [{rate.low:.0%}, {rate.high:.0%}]"
        for rate in (
            change.before,
            change.after,
        )
    ]
    cells = [change.name, *rates]
    counts = [str(change.gained), str(change.lost), str(told.n)]
    inner = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    inner += f"<td>{escape(words)} {badge}</td>"
    return f"<tr>{inner}{''.join(f'<td>{escape(cell)}</td>' for cell in counts)}</tr>"


def _tell_reader(study: BehaviourStudy) -> str:
    if study.read_by == "oracle":
        words = "The demo world's oracle, which knows the truth, read every final response."
    else:
        words = "Phrases alone told refusals from other answers; they miss some."
    if study.diff.unread:
        words += f" {study.diff.unread} pairs lie outside of what it can read."
    return words


def _build_pair(pair: ChainPair, *, show_harmful: bool) -> str:
    flips = "".join(_build_flip(pair, name) for name in pair.flips)
    if not pair.changed:
        badges = build_badge("same", quiet=True, dashed=True)
    else:
        badges = flips or build_badge("other words", quiet=True)
    before, after = pair.before, pair.after
    held = [find_held_back(pair.kind, end.drafts) for end in (before, after)]
    hidden = [
        not show_harmful and (h.holds(end.final) or bool(end.flags.get(_HARMFUL)))
        for h, end in zip(held, (before, after), strict=True)
    ]
    body = escape(after.final)
    if pair.changed:
        body = build_diff(before.final, after.final)
        if hidden[0]:
            body = hold_removed(body)
    if hidden[1]:
        body = hold_back(body)
    used = f'<div class="cai-quiet">{escape(", ".join(after.principles))}</div>'
    return build_card("revision", pair.prompt, body + used, badges=badges)


def _build_flip(pair: ChainPair, name: str) -> str:
    gained = pair.after.flags[name]
    return build_badge(f"{'+' if gained else '−'} {name}")
