"""One made model, or two beside each other: card, samples, numbers, lineage, how to serve it."""

from __future__ import annotations

import streamlit as st

from cai_core.errors import CaiError
from cai_core.jobs import looking
from cai_core.jobs.registry import MadeModel, compare_models, list_models, read_prompt_kinds
from ui import services
from ui.constitution_address import go
from ui.explorer_links import PLAYGROUND
from ui.harm import find_held_back, hold_back, show_harmful_toggle
from ui.look import build_card, build_error, escape
from ui.registry_list import MADE, try_button
from ui.registry_words import (
    build_card_html,
    build_commands,
    build_grid,
    build_made,
    compare_numbers,
    name_metrics,
)
from ui.runs_lineage import build_lineage


def made_detail(run: str, beside: str) -> None:
    """The model that the address names, beside another one where it names two."""
    st.button("All made models", icon=":material/arrow_back:", on_click=go, kwargs={"show": MADE})
    models = {model.run: model for model in list_models(services.workspace())}
    missing = [name for name in (run, beside) if name and name not in models]
    if missing:
        words = "It may have been made in another workspace."
        st.html(build_card("note", "No such model", words))
        return
    if beside:
        _show_both(models[run], models[beside])
        return
    model = models[run]
    st.html(build_made(model))
    _ways(model, [name for name in models if name != run])
    tabs = st.tabs(["Card", "Samples", "Numbers", "Lineage", "Serve it"])
    with tabs[0]:
        _show_card(model)
    with tabs[1]:
        _show_samples([model])
    with tabs[2]:
        _show_numbers(model)
    with tabs[3]:
        ancestors = looking.find_lineage(services.workspace(), model.run)
        st.graphviz_chart(build_lineage(ancestors, dark=st.context.theme.type == "dark"))
    with tabs[4]:
        _show_commands(model)


def _ways(model: MadeModel, others: list[str]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="registry_ways"):
        try_button(model)
        if st.button("Its run", key="registry_run", icon=":material/model_training:"):
            st.switch_page(PLAYGROUND.with_name("runs.py"), query_params={"run": model.run})
        if model.card:
            st.download_button(
                "Download the card",
                model.card,
                file_name=f"{model.run}.md",
                icon=":material/download:",
                on_click="ignore",
                key="registry_card_download",
            )
    if others:
        st.selectbox(
            "Compare with",
            others,
            index=None,
            key="registry_with",
            placeholder="another model that was made here",
            on_change=_compare,
            args=(model.run,),
        )


def _compare(run: str) -> None:
    other = st.session_state.get("registry_with")
    if other:
        go(**{"model": run, "with": str(other)})


def _show_card(model: MadeModel) -> None:
    if model.card:
        st.html(build_card_html(model.card))
    else:
        st.html('<div class="cai-empty">There is no card in its folder.</div>')


def _show_samples(models: list[MadeModel]) -> None:
    """The answers to the fixed prompts: before and after, of each model."""
    workspace = services.workspace()
    kinds: dict[str, str] = {}
    answers: dict[str, list[tuple[int, str, str]]] = {}
    prompts: dict[str, str] = {}
    for number, model in enumerate(models):
        kinds |= read_prompt_kinds(workspace, model)
        samples = looking.read_samples(workspace / "runs" / model.run)
        last = max((sample.step for sample in samples), default=0)
        for sample in samples:
            if sample.step in (0, last):
                name = "before" if sample.step == 0 else f"after {sample.step:,} steps"
                title = name if len(models) == 1 else f"{model.run}, {name}"
                prompts[sample.prompt_id] = sample.prompt
                side = number if len(models) > 1 else int(sample.step > 0)
                answers.setdefault(sample.prompt_id, []).append((side, title, sample.text))
    if not prompts:
        st.html('<div class="cai-empty">No samples are kept of it.</div>')
        return
    shown = show_harmful_toggle()
    for prompt_id, words in prompts.items():
        st.html(build_card("prompt", prompt_id, escape(words), slim=True))
        columns = st.columns(2)
        for side, title, text in answers[prompt_id]:
            # Each is an initial response: nobody has revised it.
            held = find_held_back(kinds.get(prompt_id, ""), [(text, None)])
            body = escape(text or "(nothing)")
            if held.holds(text) and not shown:
                body = hold_back(body)
            with columns[side]:
                st.html(build_card("response", title, body))


def _show_numbers(model: MadeModel) -> None:
    rows = [[name, f"{model.metrics[key]:,.6g}"] for key, name in name_metrics(model).items()]
    if not rows:
        st.html('<div class="cai-empty">Its run has logged no numbers.</div>')
        return
    st.html(build_grid(["number", "at the last log line"], rows))


def _show_commands(model: MadeModel) -> None:
    commands = build_commands(model)
    if not commands:
        words = "Its files are not here." if model.answers else "A reward model is not served."
        st.html(f'<div class="cai-empty">{escape(words)}</div>')
        return
    st.html('<span class="cai-field">On a machine with vLLM</span>')
    st.code(commands, language="bash", wrap_lines=True)
    words = "As an endpoint of its own: Models, Endpoints, Add endpoint, with this folder as model."
    st.html(f'<p class="cai-quiet">{escape(words)}</p>')
    st.code(str(model.folder), language=None, wrap_lines=True)


def _show_both(first: MadeModel, second: MadeModel) -> None:
    with st.container(horizontal=True):
        try_button(first, second)
        st.button(
            "Swap",
            key="registry_swap",
            icon=":material/swap_horiz:",
            on_click=go,
            kwargs={"model": second.run, "with": first.run},
        )
    for column, model in zip(st.columns(2), (first, second), strict=True):
        with column:
            st.html(build_made(model))
            st.button(
                "Open", key=f"registry_open_{model.run}", on_click=go, kwargs={"model": model.run}
            )
    if first.weights_hash and first.weights_hash == second.weights_hash:
        st.html(build_card("note", "The weights are equal", "They are one model, made twice."))
    tabs = st.tabs(["Numbers", "What differs in the recipes", "Samples"])
    with tabs[0]:
        st.html(build_grid(["", first.run, second.run], compare_numbers(first, second)))
    with tabs[1]:
        _show_differences(first, second)
    with tabs[2]:
        _show_samples([first, second])


def _show_differences(first: MadeModel, second: MadeModel) -> None:
    try:
        differs = compare_models(services.workspace(), first.run, second.run)
    except CaiError as error:
        st.html(build_error("Not compared", str(error)))
        return
    rows = [list(pair) for pair in differs] or [["none", "the recipes are equal"]]
    st.html(build_grid(["key", f"{first.run} → {second.run}"], rows))
