"""The form for one endpoint. What is typed stays until it is saved or the form is left."""

from __future__ import annotations

from typing import Any

import streamlit as st

from cai_core.actions.endpoints import save_endpoint
from cai_core.errors import CaiError, VersionConflictError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.workspace.endpoints import EndpointsFile
from ui import services
from ui.constitution_address import go, leave_message
from ui.look import build_error, escape
from ui.models_fields import EMPTY, EXAMPLES, build_config, build_typed
from ui.models_words import KINDS

_FOR, _SEEN, _PROBLEM = "model_form_for", "model_form_seen", "model_form_problem"
_NEW = "+"  # no endpoint's name
_KIND_LINES = {
    "bundled": "Small models on this machine's CPU or GPU, without anything more to install.",
    "vllm": "Starts `vllm serve` here and watches it. Wants an NVIDIA GPU and vLLM.",
    "url": "A server that runs already and speaks the OpenAI API: vLLM, Ollama, a hosted one.",
}


def endpoint_form(file: EndpointsFile, config: EndpointConfig | None) -> None:
    """Render the form: a new endpoint, or a change of `config`."""
    _fill_once(file, config)
    st.button("Back to the models", icon=":material/arrow_back:", type="tertiary", on_click=_leave)
    title = "Add an endpoint" if config is None else f"Edit {config.name}"
    left, right = st.columns([0.64, 0.36], gap="large")
    with left, st.container(key="model_form"):
        st.html(f'<h2 class="cai-h2">{escape(title)}</h2>')
        _fields(new=config is None)
        if problem := st.session_state.get(_PROBLEM):
            st.html(build_error("Not saved", problem))
        with st.container(horizontal=True):
            st.button(
                "Save",
                key="model_save",
                type="primary",
                icon=":material/save:",
                on_click=_save,
                args=(config is None,),
            )
            st.button("Cancel", key="model_cancel", on_click=_leave)
    with right, st.container(key="model_hints"):
        if config is None:
            _examples()


def _fields(*, new: bool) -> None:
    kind = st.segmented_control(
        "Kind",
        list(KINDS),
        format_func=lambda k: KINDS[k],
        required=True,
        key="model_kind",
        persist_state="session",
    )
    st.html(f'<div class="cai-quiet">{_KIND_LINES[kind].replace("`", "")}</div>')
    _text("name", "Name", "local-qwen", "Lower-case letters, digits, dots and dashes.", new)
    match kind:
        case "url":
            _area("urls", "URLs, one a line", "http://127.0.0.1:8000", _URLS)
            _text("model", "Model", "gpt-oss-120b", "As the server names it. May stay empty.")
            _text("key_env", "Variable that holds the key", "MODELS_API_KEY", _KEY)
        case "vllm":
            _text("model", "Model", "Qwen/Qwen3-8B", "A Hugging Face id, or a folder.")
            _text("options", "Options of vllm serve", "--max-model-len 8192", _OPTIONS)
        case _:
            _text("model", "Model", "/models/mine", "A folder with safetensors, or a hub id.")
    with st.expander("More: load, patience, prices, extra fields"):
        _more_fields()


_URLS = (
    "Several share the load, and must serve the same model. Behind # the model's name may stand, "
    "as in http://127.0.0.1:11434#qwen3:8b."
)
_KEY = (
    "The name of an environment variable of the app, never the key itself. Empty where the "
    "server asks for none."
)
_OPTIONS = "As on the command line. Ports, addresses and keys are the workbench's own business."


def _more_fields() -> None:
    with st.container(horizontal=True):
        _number("concurrency", "Requests at once, at most", low=1, high=4096, step=1)
        _number(
            "timeout",
            "Seconds of silence until it counts as hung",
            low=1.0,
            high=86400.0,
            step=10.0,
        )
    with st.container(horizontal=True):
        for name in ("prompt", "completion"):
            _number(
                f"price_{name}",
                f"USD for a million {name} tokens",
                low=0.0,
                high=999999.0,
                step=0.05,
            )
    _area("extra_body", "Extra fields of every request (JSON)", "", _EXTRA)


_EXTRA = 'For example {"chat_template_kwargs": {"enable_thinking": false}}.'


def _text(name: str, label: str, example: str, says: str, enabled: bool = True) -> None:
    st.text_input(
        label,
        key=f"model_{name}",
        placeholder=example,
        help=says,
        disabled=not enabled,
        persist_state="session",
    )


def _area(name: str, label: str, example: str, says: str) -> None:
    st.text_area(
        label,
        key=f"model_{name}",
        placeholder=example,
        help=says,
        height=80,
        persist_state="session",
    )


def _number(name: str, label: str, *, low: float, high: float, step: float) -> None:
    form = "%d" if isinstance(low, int) else "%g"
    key = f"model_{name}"
    st.number_input(label, low, high, step=step, format=form, key=key, persist_state="session")


def _examples() -> None:
    st.html('<div class="cai-field">Begin with an example</div>')
    for name, typed in EXAMPLES.items():
        st.button(
            name,
            key=f"example_{name}",
            width="stretch",
            icon=":material/content_paste:",
            on_click=_put,
            args=(typed,),
        )
    words = "Every field can still be changed. Nothing is saved or asked before you say so."
    st.html(f'<div class="cai-quiet">{words}</div>')


def _put(typed: dict[str, Any]) -> None:
    for name, value in typed.items():
        st.session_state[f"model_{name}"] = value
    st.session_state.pop(_PROBLEM, None)


def _fill_once(file: EndpointsFile, config: EndpointConfig | None) -> None:
    target = _NEW if config is None else config.name
    if st.session_state.get(_FOR) != target:
        _put(EMPTY if config is None else build_typed(config))
        st.session_state[_FOR], st.session_state[_SEEN] = target, file.hash


def _save(new: bool) -> None:
    typed = {name: st.session_state.get(f"model_{name}", held) for name, held in EMPTY.items()}
    seen = st.session_state[_SEEN]
    try:
        config = build_config(typed)
        save_endpoint(services.actor(), services.workspace(), config, seen=seen, new=new)
    except VersionConflictError as error:
        # The next press is an answer to this message.
        st.session_state[_SEEN] = error.head
        st.session_state[_PROBLEM] = str(error)
    except CaiError as error:
        st.session_state[_PROBLEM] = str(error)
    else:
        leave_message("note", "Saved", f"{config.name} is in endpoints.yaml.")
        _leave()


def _leave() -> None:
    for key in (_FOR, _SEEN, _PROBLEM):
        st.session_state.pop(key, None)
    go()
