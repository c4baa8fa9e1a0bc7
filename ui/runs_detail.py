"""One run: charts, samples, log, recipe, checkpoints, lineage."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs import looking
from cai_core.jobs.listing import JobView, find_job, list_jobs
from cai_core.pipeline.label_records import LABELS
from cai_core.workspace.runs import Run, dump_recipe, open_run
from cai_core.workspace.status import RunState
from ui import services
from ui.constitution_address import go
from ui.explorer_links import PLAYGROUND
from ui.labels_address import LABELS_PAGE
from ui.labels_data import load_labels
from ui.labels_words import summarize
from ui.look import build_card, escape, escape_markdown
from ui.runs_alarms import show_alarms
from ui.runs_charts import CURVES, Curve, build_curve, describe_curve
from ui.runs_clone import clone_form
from ui.runs_delete import delete_form
from ui.runs_forecast import show_forecast
from ui.runs_lineage import build_lineage
from ui.runs_list import TICK_SECONDS, show_run
from ui.runs_words import build_facts, build_reason, build_run_head, build_table, describe_size

_NOTES = 3
_LIVE = (RunState.RUNNING, RunState.QUEUED)


def run_detail(name: str, ask: str = "") -> None:
    """The run that the address names, or that there is none.

    Args:
        ask: `clone` or `delete`, whose form then takes the place of the tabs.
    """
    if ask:
        st.button(
            "Back to the run", icon=":material/arrow_back:", on_click=go, kwargs={"run": name}
        )
    else:
        st.button("All runs", icon=":material/arrow_back:", on_click=go)
    view = find_job(services.workspace(), name)
    if view is None:
        words = "It may have been made in another workspace."
        st.html(build_card("note", "No such run", words))
        return
    run = open_run(services.workspace() / "runs" / view.run)
    if ask:
        st.html(build_run_head(view, now=time.time()))
        if ask == "clone":
            clone_form(run)
        else:
            delete_form(view)
        return
    live = view.state in _LIVE

    def head() -> None:
        now = find_job(services.workspace(), name)
        if now is not None:
            show_run(now)
            if why := build_reason(now):
                st.html(why)
            _show_notes(run)
            _playground_button(now)
            if live is not (now.state in _LIVE):
                st.rerun()  # the tabs begin to tick, or end it

    st.fragment(head, run_every=TICK_SECONDS if live else None)()
    if run.kind == "label":
        _show_labels(run)
    names = ["Log", "Recipe", "Lineage", "Forecast"]
    if run.kind in CURVES:
        own = ["Charts", "Alarms", "Samples"] if run.kind == "rl" else ["Charts", "Samples"]
        names = [*own, "Checkpoints", *names]
    tabs = dict(zip(names, st.tabs(names), strict=True))
    if run.kind in CURVES:
        _training_tabs(run, tabs, live=live)
    with tabs["Log"]:
        st.fragment(lambda: _show_log(run), run_every=TICK_SECONDS if live else None)()
    with tabs["Recipe"]:
        _show_recipe(run)
    with tabs["Lineage"]:
        _show_lineage(run)
    with tabs["Forecast"]:
        show_forecast(run.path)


def _show_notes(run: Run) -> None:
    """What the trainer said beside the numbers, e.g. that a broken checkpoint was left out."""
    notes = looking.read_notes(run.path)
    if notes:
        more = [f"… and {len(notes) - _NOTES} before"] if len(notes) > _NOTES else []
        body = "\n".join([*more, *notes[-_NOTES:]])
        st.html(build_card("note", "Told by the trainer", escape(body)))


def _show_labels(run: Run) -> None:
    """What its labels come to, and the way to the page that shows them."""
    if not (run.outputs / LABELS).exists():
        return
    try:
        words = summarize(load_labels(run.run_id).quality)
    except (CaiError, OSError) as error:
        words = f"They cannot be read: {error}"
    st.html(build_card("note", "Look at the labels before you train on them", escape(words)))
    if st.button("Open Labels", key="runs_labels", icon=":material/balance:", type="primary"):
        st.switch_page(LABELS_PAGE, query_params={"run": run.run_id})


def _playground_button(view: JobView) -> None:
    """Where it made a model: try it."""
    if view.run not in looking.list_made_models(services.workspace()):
        return
    if st.button("Try it in the Playground", icon=":material/play_circle:", type="primary"):
        st.session_state["model"] = view.run
        st.switch_page(PLAYGROUND)


def _training_tabs(run: Run, tabs: dict[str, object], *, live: bool) -> None:
    tick = TICK_SECONDS if live else None
    with tabs["Charts"]:  # type: ignore[attr-defined]
        other = _choose_other(run, "Over it, the curves of", "runs_beside")
        st.fragment(lambda: _show_charts(run, other), run_every=tick)()
    if "Alarms" in tabs:
        with tabs["Alarms"]:  # type: ignore[attr-defined]
            st.fragment(lambda: show_alarms(run.path), run_every=tick)()
    with tabs["Samples"]:  # type: ignore[attr-defined]
        st.fragment(lambda: _show_samples(run), run_every=tick)()
    with tabs["Checkpoints"]:  # type: ignore[attr-defined]
        st.fragment(lambda: _show_checkpoints(run), run_every=tick)()


def _choose_other(run: Run, label: str, key: str) -> str | None:
    """Another run of the same kind, to compare with."""
    others = [
        view.run
        for view in list_jobs(services.workspace())
        if view.kind == run.kind and view.run != run.run_id
    ]
    if not others:
        return None
    return st.selectbox(label, others, index=None, key=f"{key}_{run.run_id}", placeholder="no run")


def _show_charts(run: Run, other: str | None) -> None:
    lines = looking.read_metrics(run.path)
    if not lines:
        st.html('<div class="cai-empty">No step is done yet.</div>')
        return
    first, last = lines[0], lines[-1]
    # RL's loss is near 0 at every step and says nothing.
    key = "reward" if run.kind == "rl" else "loss"
    facts = [("step", f"{last['step']:,}")]
    facts += [
        (f"{key} {when}", f"{line[key]:.3f}")
        for when, line in (("now", last), ("at first", first))
        if key in line
    ]
    if "num_tokens" in last:
        facts.append(("tokens", f"{int(last['num_tokens']):,}"))
    if speeds := [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]:
        facts.append(("tokens/s, median", f"{sorted(speeds)[len(speeds) // 2]:,.0f}"))
    runs = {run.run_id: lines}
    if other is not None:
        runs[other] = looking.read_metrics(services.workspace() / "runs" / other)
        loss = f"{runs[other][-1]['loss']:.3f}" if runs[other] else "no step yet"
        facts.append(("loss of the other, now", loss))
    st.html(build_facts(facts))
    dark = st.context.theme.type == "dark"
    columns = st.columns(2)
    for number, (key, name, unit) in enumerate(_list_curves(run.kind, runs)):
        with columns[number % 2]:
            st.html(f'<span class="cai-field">{escape(name)}</span>')
            st.plotly_chart(
                build_curve(key, unit, runs, dark=dark),
                key=f"curve_{key}_{run.run_id}",
                config={"displayModeBar": False},
                alt=describe_curve(name, key, lines),
            )


def _list_curves(kind: str, runs: dict[str, list[dict[str, Any]]]) -> list[Curve]:
    """The kind's curves that have a point."""
    told = {key for lines in runs.values() for line in lines for key in line}
    return [curve for curve in CURVES[kind] if curve[0] in told]


def _show_samples(run: Run) -> None:
    samples = looking.read_samples(run.path)
    if not samples:
        st.html('<div class="cai-empty">No samples yet.</div>')
    for prompt in dict.fromkeys(sample.prompt_id for sample in samples):
        told = [sample for sample in samples if sample.prompt_id == prompt]
        with st.container(border=True, gap="xsmall", key=f"sample_{run.run_id}_{prompt}"):
            st.html(build_card("prompt", prompt, escape(told[0].prompt), slim=True))
            left, right = st.columns(2)
            left.html(_build_sample(told[0]))
            if len(told) > 1:
                right.html(_build_sample(told[-1]))
            if len(told) > 2:
                with st.expander(f"{len(told) - 2} on the way"):
                    for sample in told[1:-1]:
                        st.html(_build_sample(sample))


def _build_sample(sample: looking.Sample) -> str:
    when = "before" if sample.step == 0 else f"after {sample.step:,} steps"
    return build_card("response", when, escape(sample.text or "(nothing)"), slim=True)


def _show_checkpoints(run: Run) -> None:
    saved = looking.list_saved(run.path)
    rows = [
        [f"{one.step:,}", describe_size(one.size), "whole" if one.sealed else "being written"]
        for one in saved
    ]
    if rows:
        st.html(build_table(["step", "size", "state"], rows))
    else:
        st.html('<div class="cai-empty">No checkpoint yet.</div>')


def _show_log(run: Run) -> None:
    text = looking.read_log_tail(run.path)
    if text:
        st.code(text, language=None, wrap_lines=True, height=420)
    else:
        st.html('<div class="cai-empty">Its worker has written nothing yet.</div>')


def _show_recipe(run: Run) -> None:
    command = f"python -m cai_core resume {run.run_id}"
    st.html('<span class="cai-field">Goes on by</span>')
    st.code(command, language="bash", wrap_lines=True)
    st.html('<span class="cai-field">Recipe, frozen when it was submitted</span>')
    st.code(dump_recipe(run.recipe), language="yaml", wrap_lines=True)
    other = _choose_other(run, "What differs from", "recipe_beside")
    if other is not None:
        try:
            held = open_run(services.workspace() / "runs" / other)
        except CaiError as error:
            st.html(build_card("error", "Not compared", escape(str(error))))
            return
        differs = looking.compare_recipes(run.recipe, held.recipe)
        rows = [[key, values] for key, values in differs]
        st.html(build_table(["key", "this → the other"], rows or [["none", "they are equal"]]))


def _show_lineage(run: Run) -> None:
    ancestors = looking.find_lineage(services.workspace(), run.run_id)
    st.graphviz_chart(build_lineage(ancestors, dark=st.context.theme.type == "dark"))
    counts = looking.read_dataset_counts(run.path)
    if counts is not None:
        rows = [
            [one["run"], one["use"], f"{one['taken']:,} of {one['found']:,}", _left_out(one)]
            for one in counts["sources"]
        ]
        st.html(build_table(["from run", "texts", "taken", "left out"], rows))
    for one in ancestors[1:]:
        if one.kind is not None:
            label = escape_markdown(one.run)
            st.button(
                label,
                key=f"ancestor_{one.run}",
                type="tertiary",
                on_click=go,
                kwargs={"run": one.run},
            )


def _left_out(source: dict[str, dict[str, int]]) -> str:
    return ", ".join(f"{count} {why}" for why, count in source["left_out"].items()) or "none"
