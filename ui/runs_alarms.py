"""A training run's alarms: what rang, the probe's curves by class, and answers to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go
import streamlit as st

from cai_core.errors import CaiError
from cai_core.records import PromptKind
from cai_core.training.alarm_limits import AlarmLimits
from cai_core.training.alarms import (
    WATCHED_LOGS,
    Alarm,
    History,
    find_unwatched,
    read_alarms,
    read_limits,
)
from cai_core.training.probe_measures import ClassMeasures, ProbeLine, describe_class, read_probes
from cai_core.training.probe_prompts import ProbePrompt, load_probe
from cai_core.workspace.journal import read_journal
from ui.harm import hold_back, show_harmful_toggle
from ui.look import build_badge, build_card, build_error, escape
from ui.runs_words import build_table

# Each class has a colour and a dash of its own: neither colour nor dash alone.
_LINES: Mapping[str, tuple[str, str]] = {
    PromptKind.RED_TEAM.value: ("#d1495b", "solid"),
    PromptKind.HELPFUL.value: ("#2a9d8f", "dash"),
    PromptKind.BORDERLINE.value: ("#e0862a", "dot"),
}
_CURVES: Sequence[tuple[str, str, str, Callable[[ClassMeasures], float | None]]] = (
    ("refused", "Refused", "share", lambda one: one.refusals / one.n),
    ("length", "Length", "words an answer", lambda one: one.length),
    ("distinct", "Variety (distinct-2)", "share of word pairs", lambda one: one.distinct_2),
    ("evasive", "Evasive", "share of refusals", lambda one: _share(one.evasive, one.refusals)),
)
_SHOWN_EXAMPLES = 3


def show_alarms(run_folder: Path) -> None:
    """Draw what rang in a run, what is not watched, the probe's curves, and examples."""
    alarms, limits = read_alarms(run_folder), read_limits(run_folder)
    probes = read_probes(run_folder)
    if limits is None:
        st.html('<div class="cai-empty">No alarm watches this run.</div>')
        return
    _show_rung(alarms)
    _show_unwatched(run_folder, probes, limits)
    if not probes:
        st.html('<div class="cai-empty">The probe has not been asked yet.</div>')
        return
    _show_curves(run_folder.name, probes)
    _show_examples(run_folder, probes, alarms)


def _show_rung(alarms: Sequence[Alarm]) -> None:
    if not alarms:
        words = "What is watched is within its limits."
        st.html(build_card("note", "No alarm rang", words, slim=True))
        return
    for alarm in alarms:
        outcome = "stopped the run" if alarm.stops else "warned"
        value = f"{alarm.value:.3g}, limit {alarm.limit:.3g}"
        badges = "".join(map(build_badge, (f"step {alarm.step:,}", value, outcome)))
        thing = "error" if alarm.stops else "note"
        st.html(build_card(thing, f"Alarm: {alarm.name}", escape(alarm.words), badges=badges))


def _show_unwatched(run_folder: Path, probes: Sequence[ProbeLine], limits: AlarmLimits) -> None:
    logs = [
        record
        for record in read_journal(run_folder / "metrics.jsonl").records
        if isinstance(record.get("step"), int) and ({"loss", *WATCHED_LOGS} & record.keys())
    ]
    unwatched = find_unwatched(History(logs=logs, probes=probes), limits)
    if unwatched:
        told = [[name, why] for name, why in unwatched.items()]
        st.html('<span class="cai-field">Not watched: silence of these says nothing</span>')
        st.html(build_table(["alarm", "why"], told))


def _show_curves(run: str, probes: Sequence[ProbeLine]) -> None:
    dark = st.context.theme.type == "dark"
    columns = st.columns(2)
    for number, (key, name, unit, measure) in enumerate(_CURVES):
        series = collect_series(probes, measure)
        with columns[number % 2]:
            st.html(f'<span class="cai-field">{escape(name)}, by class of prompt</span>')
            st.plotly_chart(
                build_series(series, unit, dark=dark),
                key=f"probe_{key}_{run}",
                config={"displayModeBar": False},
                alt=describe_series(name, series),
            )
    sizes = ", ".join(f"{one.n} {describe_class(kind)}" for kind, one in probes[-1].classes.items())
    seconds = sum(line.seconds for line in probes)
    told = f"Each point: {sizes}. Asked {len(probes)} times, {seconds:,.1f} s in all."
    st.html(f'<span class="cai-quiet">{escape(told)} Refusals are known by phrases.</span>')


Series = Mapping[str, Sequence[tuple[int, float]]]


def collect_series(
    probes: Sequence[ProbeLine], measure: Callable[[ClassMeasures], float | None]
) -> Series:
    """Class → (step, value) of each asking that has the value."""
    return {
        kind: [
            (line.step, value)
            for line in probes
            if kind in line.classes and (value := measure(line.classes[kind])) is not None
        ]
        for kind in _LINES
        if any(kind in line.classes for line in probes)
    }


def build_series(series: Series, unit: str, *, dark: bool) -> go.Figure:
    """A line for each class over the steps."""
    figure = go.Figure()
    for kind, points in series.items():
        colour, dash = _LINES[kind]
        figure.add_scatter(
            x=[step for step, _ in points],
            y=[value for _, value in points],
            name=kind,
            mode="lines+markers",
            line={"color": colour, "dash": dash},
            hovertemplate=f"{kind}, step %{{x}}: %{{y:.3g}}<extra></extra>",
        )
    grid = "#2a2f3d" if dark else "#e6e9f0"
    figure.update_layout(
        height=230,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        showlegend=True,
        legend={"orientation": "h", "y": 1.2},
        xaxis={"title": "step", "gridcolor": grid},
        yaxis={"title": unit, "gridcolor": grid, "rangemode": "tozero"},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def describe_series(name: str, series: Series) -> str:
    """A sentence a class for those who do not see the chart."""
    told = [
        f"{describe_class(kind)}: {points[0][1]:.3g} at step {points[0][0]}, "
        f"{points[-1][1]:.3g} at step {points[-1][0]}"
        for kind, points in series.items()
        if points
    ]
    return f"{name}. {'; '.join(told)}." if told else f"{name}: no values yet."


def _show_examples(run_folder: Path, probes: Sequence[ProbeLine], alarms: Sequence[Alarm]) -> None:
    """Answers at the start and where it rang, or at the newest asking."""
    try:
        prompts = load_probe(run_folder)
    except CaiError as error:
        st.html(build_error("The probe cannot be read", str(error)))
        return
    rang = next((one for one in alarms if one.stops), alarms[0] if alarms else None)
    start = probes[0]
    then = probes[-1] if rang is None else _find_asked(probes, rang.step)
    kind = rang.kind if rang is not None else None
    chosen = choose_examples(prompts, start, then, kind)
    if not chosen or then.step == start.step:
        return
    st.html('<span class="cai-field">The probe’s answers, at the start and then</span>')
    shown = show_harmful_toggle(f"alarms_harmful_{run_folder.name}")
    for at in chosen:
        prompt = prompts[at]
        with st.container(border=True, gap="xsmall", key=f"alarm_{run_folder.name}_{at}"):
            words = escape(prompt.conversation[-1].content)
            badge = build_badge(prompt.kind.value, quiet=True)
            st.html(build_card("prompt", prompt.prompt_id, words, badges=badge, slim=True))
            for line in (start, then):
                body = escape(line.answers[at] or "(nothing)")
                if prompt.kind is PromptKind.RED_TEAM and not shown:
                    body = hold_back(body)
                st.html(build_card("response", f"after {line.step:,} steps", body, slim=True))


def choose_examples(
    prompts: Sequence[ProbePrompt], start: ProbeLine, then: ProbeLine, kind: str | None
) -> list[int]:
    """Places of a few prompts whose answers changed, of one class or of each in turn."""
    held = min(len(prompts), len(start.answers), len(then.answers))
    changed = [at for at in range(held) if start.answers[at] != then.answers[at]]
    if kind is not None:
        return [at for at in changed if prompts[at].kind.value == kind][:_SHOWN_EXAMPLES]
    firsts = [next((at for at in changed if prompts[at].kind.value == one), None) for one in _LINES]
    return [at for at in firsts if at is not None]


def _find_asked(probes: Sequence[ProbeLine], step: int) -> ProbeLine:
    """The last asking up to a step."""
    return max((line for line in probes if line.step <= step), default=probes[0], key=_get_step)


def _get_step(line: ProbeLine) -> int:
    return line.step


def _share(yes: int, n: int) -> float | None:
    return yes / n if n else None
