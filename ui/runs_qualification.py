"""Before labels are made: how well their feedback models judge what is known, and asking them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from cai_core.evaluation.qualification import LEAST_RATE
from cai_core.jobs.plan_lookup import MODEL
from cai_core.jobs.plan_names import RUN
from cai_core.jobs.spec import RunSpec
from cai_core.records import AccessRole
from cai_core.workspace.qualifications import find_qualification, get_standing
from ui import qualifying, services
from ui.constitution_address import describe_time
from ui.look import build_badge, build_card, build_error, escape, escape_markdown
from ui.qualifying import Asked
from ui.runs_list import can
from ui.runs_words import build_facts

_TICK_SECONDS = 2
_RATES = {
    "accuracy": "accuracy",
    "planted": "planted violations found",
    "swap_consistency": "the same in both orders",
}
_BELOW = {"accuracy": "its accuracy", "planted": "the planted violations that it finds"}
_GOING_ON = "Launching all the same is kept in the audit log."


def show_qualifications(specs: Sequence[RunSpec]) -> None:
    """Draw what the feedback models of the label runs that are new showed; nothing without any."""
    asked = _list_asked(specs)
    if not asked:
        return
    st.html('<span class="cai-field">Can the feedback model judge?</span>')
    workspace = services.workspace()
    for one in asked:
        told = find_qualification(
            workspace, one.model, template=one.template, reasoned=one.reasoned
        )
        if told is not None:
            st.html(_build_told(one, told))
        _show_standing(one, told)
    if any(qualifying.is_under_way(workspace, one) for one in asked):
        _wait_for(asked)


def _list_asked(specs: Sequence[RunSpec]) -> list[Asked]:
    """Each way in which a feedback model will be asked, once."""
    runs = services.workspace() / "runs"
    return list(
        dict.fromkeys(
            Asked(
                model=str(spec.recipe["feedback_model"]),
                template=spec.recipe["template"],
                reasoned=bool(spec.recipe["reasoned"]),
            )
            for spec in specs
            if spec.kind == "label" and not (runs / spec.run_id / "recipe.yaml").exists()
        )
    )


def _build_told(asked: Asked, told: Mapping[str, Any]) -> str:
    """What a model showed, as HTML: its rates, and on which set and when."""
    rates = {words: _tell_rate(told.get(name)) for name, words in _RATES.items()}
    facts = [(f"{words} {interval}", share) for words, (share, interval) in rates.items() if share]
    standing = "qualified" if told["qualified"] else "below the threshold"
    about = f"{told.get('set')}, by {told.get('asked_by')}, {describe_time(str(told.get('at')))}"
    return (
        f"<b>{escape(_describe(asked))}</b> "
        f"{build_badge(standing, quiet=bool(told['qualified']))}"
        f'{build_facts(facts)}<p class="cai-quiet">{escape(about)}</p>'
    )


def _tell_rate(rate: Any) -> tuple[str, str]:
    """`91.2 %` and `[85.0, 95.1], n = 96`; empty where there is no rate."""
    try:
        low, high = (100 * rate[name] for name in ("low", "high"))
        return f"{100 * rate['rate']:.1f} %", f"[{low:.1f}, {high:.1f}], n = {rate['n']}"
    except (TypeError, KeyError, ValueError):
        return "", ""


def _show_standing(asked: Asked, told: Mapping[str, Any] | None) -> None:
    workspace, name = services.workspace(), _describe(asked)
    standing = get_standing(told)
    if told is None:
        words = f"Nobody has asked it about comparisons whose better response is known. {_GOING_ON}"
        st.html(build_card("note", f"{name} is not qualified", escape(words)))
    elif standing == "below":
        below = [_BELOW.get(str(name), str(name)) for name in told.get("below") or ()]
        what = " and ".join(below) or "nothing could be measured"
        words = (
            f"Below {LEAST_RATE:.0%}: {what}. Labels by it teach noise: choose another feedback "
            f"model. {_GOING_ON}"
        )
        st.html(build_card("note", f"{name} is below the threshold", escape(words)))
    if problem := qualifying.get_problem(workspace, asked):
        st.html(build_error(f"{name} could not be asked", problem))
    if qualifying.is_under_way(workspace, asked):
        return
    st.button(
        f"{'Qualify' if told is None else 'Ask again:'} {escape_markdown(name)}",
        key=f"qualify_{asked.model}_{asked.template}_{asked.reasoned}",
        icon=":material/fact_check:",
        type="secondary" if standing != "qualified" else "tertiary",
        disabled=not can(AccessRole.EDITOR),
        help="Asks about comparisons whose better response is known, in both orders.",
        on_click=qualifying.begin,
        args=(services.actor(), workspace, asked),
    )


def _wait_for(asked: Sequence[Asked]) -> None:
    """Say that models are being asked, and draw the page anew when one has answered."""
    workspace = services.workspace()
    before = [one for one in asked if qualifying.is_under_way(workspace, one)]

    def tick() -> None:
        waiting = [one for one in before if qualifying.is_under_way(workspace, one)]
        if waiting != before:
            st.rerun()
        names = ", ".join(_describe(one) for one in waiting)
        words = f"{names} is being asked. It goes on without this page."
        st.html(f'<p class="cai-quiet" role="status">{escape(words)}</p>')

    st.fragment(tick, run_every=_TICK_SECONDS)()


def _describe(asked: Asked) -> str:
    """`demo`, or `run:ID (paper, with a chain of thought)`."""
    how = [asked.template] if asked.template != "chat" else []
    how += ["with a chain of thought"] if asked.reasoned else []
    more = f" ({', '.join(how)})" if how else ""
    return f"{_name_model(asked.model)}{more}"


def _name_model(model: str) -> str:
    """A made model by its run."""
    runs, folder = (services.workspace() / "runs").absolute(), Path(model)
    if folder.is_relative_to(runs) and folder.parts[-2:] == MODEL.parts:
        return f"{RUN}{folder.relative_to(runs).parts[0]}"
    return model
