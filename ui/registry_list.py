"""The models that were made here: found by base, constitution or name, each with its facts."""

from __future__ import annotations

import streamlit as st

from cai_core.jobs.registry import MadeModel, list_models
from ui import services
from ui.constitution_address import build_key, describe_count, go
from ui.explorer_links import PLAYGROUND
from ui.look import build_card
from ui.registry_words import build_made

MADE = "made"
MOST_SHOWN = 50


def made_list() -> None:
    """Render the filter and a card for each model."""
    models = list_models(services.workspace())
    if not models:
        st.html(
            '<div class="cai-empty">No run has made a model yet. A run of kind fine-tuning makes '
            "one from the revisions of chains.</div>"
        )
        if st.button("New run", key="made_new_run", type="primary", icon=":material/add:"):
            st.switch_page(PLAYGROUND.with_name("runs.py"), query_params={"new": "1"})
        return
    chosen = _filter(models)
    st.html(
        f'<div class="cai-quiet" role="status">{describe_count(len(chosen), "model")}'
        f"{f' of {len(models)}' if len(chosen) < len(models) else ''}</div>"
    )
    if not chosen:
        st.html(build_card("note", "No model matches", "Change or clear a filter.", slim=True))
    for model in chosen[:MOST_SHOWN]:
        with st.container(gap="xsmall", key=build_key("made", model.run)):
            st.html(build_made(model))
            with st.container(horizontal=True, gap="xsmall"):
                st.button(
                    "Open",
                    key=build_key("open_made", model.run),
                    icon=":material/open_in_full:",
                    on_click=go,
                    kwargs={"model": model.run},
                )
                try_button(model)
    if len(chosen) > MOST_SHOWN:
        st.html(
            f'<div class="cai-quiet">{len(chosen) - MOST_SHOWN} older ones are left out: search, '
            "or list them by <code>python -m cai_core models made</code>.</div>"
        )


def try_button(model: MadeModel, second: MadeModel | None = None) -> None:
    """To the Playground with this model, or with both beside each other."""
    pair = [model] if second is None else [model, second]
    reason = None
    if not all(one.answers for one in pair):
        reason = "A reward model gives a number and no answer."
    elif not all(one.usable for one in pair):
        reason = "Its files are not here, or not whole."
    pressed = st.button(
        "Open in Playground" if second is None else "Ask both in the Playground",
        key=build_key("try", "+".join(one.run for one in pair)),
        icon=":material/play_circle:",
        type="secondary" if second is None else "primary",
        disabled=reason is not None,
        help=reason,
    )
    if pressed:
        st.session_state["model"] = model.run
        st.session_state["compare"] = "nothing" if second is None else "model"
        if second is not None:
            st.session_state["model_b"] = second.run
        st.switch_page(PLAYGROUND)


def _filter(models: list[MadeModel]) -> list[MadeModel]:
    """Those that the address asks for; the fields show and change the address."""
    bases = sorted({model.base for model in models if model.base})
    constitutions = sorted({name for model in models for name in model.constitutions})
    with st.container(horizontal=True, vertical_alignment="bottom", key="registry_filter"):
        words = st.query_params.get("q", "").strip()[:200]
        st.session_state["registry_q"] = words
        st.text_input(
            "Search",
            key="registry_q",
            max_chars=200,
            icon=":material/search:",
            placeholder="part of a run's name or of a weights hash",
            on_change=_apply,
            args=("q",),
        )
        base = _select("Base", "base", bases)
        constitution = _select("Constitution", "constitution", constitutions)
    return [
        model
        for model in models
        if (not base or model.base == base)
        and (not constitution or constitution in model.constitutions)
        and words.casefold() in f"{model.run} {model.weights_hash or ''}".casefold()
    ]


def _select(label: str, param: str, options: list[str]) -> str:
    wanted = st.query_params.get(param, "")
    key = f"registry_{param}"
    st.session_state[key] = wanted if wanted in options else None
    st.selectbox(
        label,
        options,
        index=None,
        key=key,
        placeholder="all",
        on_change=_apply,
        args=(param,),
    )
    return wanted if wanted in options else ""


def _apply(param: str) -> None:
    value = st.session_state.get(f"registry_{param}")
    if value:
        st.query_params[param] = str(value)
    else:
        st.query_params.pop(param, None)
