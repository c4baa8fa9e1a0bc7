"""One run: charts, samples, log, recipe, checkpoints, lineage."""

from __future__ import annotations

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs import looking
from cai_core.jobs.listing import JobView, list_jobs
from cai_core.workspace.runs import Run, dump_recipe, open_run
from cai_core.workspace.status import RunState
from ui import services
from ui.constitution_address import go
from ui.explorer_links import PLAYGROUND
from ui.look import build_card, escape, escape_markdown
from ui.runs_charts import CURVES, build_curve, describe_curve
from ui.runs_lineage import build_lineage
from ui.runs_list import TICK_SECONDS, show_run
from ui.runs_words import build_facts, build_table

_LIVE = (RunState.RUNNING, RunState.QUEUED)


def run_detail(name: str) -> None:
    """The run that the address names, or that there is none."""
    st.button("All runs", icon=":material/arrow_back:", on_click=go)
    view = find_view(name)
    if view is None:
        words = "It may have been made in another workspace."
        st.html(build_card("note", "No such run", words))
        return
    run = open_run(services.workspace() / "runs" / view.run)
    live = view.state in _LIVE

    def head() -> None:
        now = find_view(name)
        if now is not None:
            show_run(now)
            _playground_button(now)
            if live is not (now.state in _LIVE):
                st.rerun()  # the tabs begin to tick, or end it

    st.fragment(head, run_every=TICK_SECONDS if live else None)()
    names = ["Log", "Recipe", "Lineage"]
    if run.kind == "sft":
        names = ["Charts", "Samples", "Checkpoints", *names]
    tabs = dict(zip(names, st.tabs(names), strict=True))
    if run.kind == "sft":
        _training_tabs(run, tabs, live=live)
    with tabs["Log"]:
        st.fragment(lambda: _show_log(run), run_every=TICK_SECONDS if live else None)()
    with tabs["Recipe"]:
        _show_recipe(run)
    with tabs["Lineage"]:
        _show_lineage(run)


def _playground_button(view: JobView) -> None:
    """Where it made a model: try it."""
    if view.run not in looking.list_made_models(services.workspace()):
        return
    if st.button("Try it in the Playground", icon=":material/play_circle:", type="primary"):
        st.session_state["model"] = view.run
        st.switch_page(PLAYGROUND)


def find_view(name: str) -> JobView | None:
    """A run as lists show it."""
    return next((view for view in list_jobs(services.workspace()) if view.run == name), None)


def _training_tabs(run: Run, tabs: dict[str, object], *, live: bool) -> None:
    tick = TICK_SECONDS if live else None
    with tabs["Charts"]:  # type: ignore[attr-defined]
        other = _choose_other(run, "Beside", "runs_beside")
        st.fragment(lambda: _show_charts(run, other), run_every=tick)()
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
    facts = [("step", f"{last['step']:,}"), ("loss now", f"{last['loss']:.3f}")]
    facts += [("loss at first", f"{first['loss']:.3f}")]
    if "num_tokens" in last:
        facts.append(("tokens", f"{int(last['num_tokens']):,}"))
    if speeds := [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]:
        facts.append(("tokens/s, median", f"{sorted(speeds)[len(speeds) // 2]:,.0f}"))
    st.html(build_facts(facts))
    runs = {run.run_id: lines}
    if other is not None:
        runs[other] = looking.read_metrics(services.workspace() / "runs" / other)
    dark = st.context.theme.type == "dark"
    columns = st.columns(2)
    for number, (key, name, unit) in enumerate(CURVES):
        with columns[number % 2]:
            st.html(f'<span class="cai-field">{escape(name)}</span>')
            st.plotly_chart(
                build_curve(key, unit, runs, dark=dark),
                key=f"curve_{key}_{run.run_id}",
                config={"displayModeBar": False},
                alt=describe_curve(name, key, lines),
            )


def _show_samples(run: Run) -> None:
    samples = looking.read_samples(run.path)
    if not samples:
        st.html('<div class="cai-empty">No samples yet.</div>')
    prompts = {sample.prompt_id: sample.prompt for sample in samples}
    for prompt, words in prompts.items():
        with st.container(border=True, gap="xsmall", key=f"sample_{run.run_id}_{prompt}"):
            st.html(build_card("prompt", prompt, escape(words), slim=True))
            for sample in samples:
                if sample.prompt_id == prompt:
                    when = "before" if sample.step == 0 else f"after {sample.step:,} steps"
                    body = escape(sample.text or "(nothing)")
                    st.html(build_card("response", when, body, slim=True))


def _show_checkpoints(run: Run) -> None:
    saved = looking.list_saved(run.path)
    rows = [
        [f"{one.step:,}", f"{one.size / 1e6:,.1f} MB", "whole" if one.sealed else "being written"]
        for one in saved
    ]
    if rows:
        st.html(build_table(["step", "size", "state"], rows))
    else:
        st.html('<div class="cai-empty">No checkpoint yet.</div>')
    for note in looking.read_notes(run.path):
        st.html(build_card("note", "Told by the trainer", escape(note), slim=True))


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
