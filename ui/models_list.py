"""The models page's list: a card for each endpoint, drawn anew while the page is open."""

from __future__ import annotations

import time
from collections.abc import Callable

import streamlit as st

from cai_core.actions.endpoints import (
    begin_check,
    remove_endpoint,
    start_endpoint,
    stop_endpoint,
)
from cai_core.errors import CaiError
from cai_core.inference.endpoints import ROLES, EndpointConfig
from cai_core.inference.model_folder import DEMO
from cai_core.pipeline import model_service
from cai_core.pipeline.model_look import ServerView
from cai_core.pipeline.model_service import CheckView
from cai_core.records import AccessRole
from cai_core.workspace.endpoints import EndpointsFile, read_endpoints
from ui import services
from ui.constitution_address import go, leave_message, show_message
from ui.models_cards import (
    build_abilities,
    build_check,
    build_facts,
    build_head,
    build_trouble,
    count_abilities,
)

TICK_SECONDS = 2


def model_list(file: EndpointsFile) -> None:
    """Render the cards, and keep rendering them; the whole page when the file changes."""

    def cards() -> None:
        if read_endpoints(services.workspace()).hash != file.hash:
            st.rerun()  # somebody saved, here or by hand
        for config in file.book.endpoints.values():
            with st.container(gap="xsmall", key=f"model_card_{config.name}"):
                _show_card(file, config)

    st.fragment(cards, run_every=TICK_SECONDS)()


def can(role: AccessRole) -> bool:
    """Whether who sits before the page has that role."""
    return services.actor().role.includes(role)


def _show_card(file: EndpointsFile, config: EndpointConfig) -> None:
    workspace, now = services.workspace(), time.time()
    server = model_service.get_server(config, workspace)
    check = model_service.get_check(config, workspace)
    st.html(build_head(config, file.book, server, check) + build_facts(config, server, now))
    show_message(f"card {config.name}")
    if told := build_trouble(server) + build_check(check, now):
        st.html(told)
    with st.container(horizontal=True, gap="xsmall", key=f"model_ways_{config.name}"):
        _server_buttons(config, server)
        _check_button(config, server, check)
        _file_buttons(file, config, server)
    if check is not None and check.result is not None:
        abilities = check.result.found.capabilities
        with st.expander(count_abilities(abilities)):
            st.html(build_abilities(abilities))
    if server.log_tail and (config.kind == "vllm" or server.state != "ready"):
        with st.expander("Last lines of its log"):
            st.code(server.log_tail, language=None, wrap_lines=True)


def _server_buttons(config: EndpointConfig, server: ServerView) -> None:
    if config.kind == "url":
        return
    name, may = config.name, can(AccessRole.EDITOR)
    if server.runs:
        # The bundled server's start holds its lock, and is over in seconds.
        waits = server.state == "stopping" or (config.kind, server.state) == ("bundled", "starting")
        st.button(
            "Stop",
            key=f"stop_{name}",
            icon=":material/stop_circle:",
            disabled=not may or waits,
            on_click=_do,
            args=(stop_endpoint, name, "Not stopped"),
        )
    else:
        st.button(
            "Start",
            key=f"start_{name}",
            icon=":material/play_arrow:",
            disabled=not may or server.state == "unknown",
            on_click=_do,
            args=(start_endpoint, name, "Not started"),
        )


def _check_button(config: EndpointConfig, server: ServerView, check: CheckView | None) -> None:
    name = config.name
    if check is not None and check.state == "running":
        st.button(
            "Leave the check",
            key=f"leave_{name}",
            icon=":material/close:",
            on_click=model_service.leave_check,
            args=(config, services.workspace()),
            help="Waits no longer. What the model still answers is thrown away.",
        )
        return
    waits = config.kind == "vllm" and server.state != "ready"
    words = "Asks it a few short questions, to find out what it can do."
    st.button(
        "Check",
        key=f"check_{name}",
        icon=":material/fact_check:",
        disabled=waits or not can(AccessRole.EDITOR),
        on_click=_do,
        args=(begin_check, name, "Not checked"),
        help="Start it first." if waits else words,
    )


def _file_buttons(file: EndpointsFile, config: EndpointConfig, server: ServerView) -> None:
    if file.error is not None or config.name == DEMO or not can(AccessRole.ADMIN):
        return
    name = config.name
    if st.button("Edit", key=f"edit_{name}", icon=":material/edit:"):
        go(edit=name)
        st.rerun()
    roles = [role for role in ROLES if file.book.roles[role] == name]
    runs = config.kind == "vllm" and server.runs
    why = "Stop it first." if runs else "It plays a role: give that to another one first."
    held = runs or bool(roles)
    with st.popover("Remove", icon=":material/delete:", disabled=held, help=why if held else None):
        st.text(f"{name} is taken out of endpoints.yaml. What it wrote stays.")
        if st.button("Remove the endpoint", key=f"remove_{name}"):
            _remove(name, file.hash)
            st.rerun()


def _remove(name: str, seen: str) -> None:
    try:
        remove_endpoint(services.actor(), services.workspace(), name, seen=seen)
    except CaiError as error:
        leave_message("error", "Not removed", str(error))
        return
    leave_message("note", "Removed", f"{name} is no longer an endpoint.")


def _do(action: Callable[..., None], name: str, title: str) -> None:
    try:
        action(services.actor(), services.workspace(), name)
    except CaiError as error:
        leave_message("error", title, str(error), place=f"card {name}")
