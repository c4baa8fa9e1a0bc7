"""What people do with models: write down where they answer, give them roles, start, stop, check.

Saving is optimistic: whoever saves says which file they saw, and is refused when it was changed in
between, from here or by hand. A key is never written: an endpoint names the variable that holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cai_core.actions.check import require
from cai_core.errors import CaiError, EndpointError, VersionConflictError
from cai_core.inference.endpoints import ROLES, EndpointBook, EndpointConfig, ModelRole
from cai_core.inference.model_folder import DEMO
from cai_core.pipeline import model_service
from cai_core.pipeline.connect import resolve_config
from cai_core.pipeline.model_look import look
from cai_core.pipeline.model_service import CheckResult
from cai_core.records import AccessRole, Actor
from cai_core.workspace.endpoints import (
    EndpointsFile,
    load_book,
    lock_endpoints,
    read_endpoints,
    restore_endpoints,
    write_endpoints,
)
from cai_core.workspace.events import Topic, append_event

Change = Callable[[EndpointBook], EndpointBook]


def save_endpoint(
    actor: Actor, workspace: Path, config: EndpointConfig, *, seen: str, new: bool
) -> EndpointsFile:
    """Add an endpoint, or put it in the place of the one of its name.

    Args:
        seen: hash of the endpoints file that the person saw, "" where there was none.
        new: whether the name must not be there yet.

    Returns:
        The file as it is now.

    Raises:
        NotAllowedError: the actor is no admin.
        EndpointError: the name is taken, or not there to be replaced; a key stands in it; or
            the file cannot be read.
        VersionConflictError: the file was changed since. Nothing was written.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.ADMIN, "save an endpoint")
    _check_secrets(config)

    def change(book: EndpointBook) -> EndpointBook:
        if new and config.name in book.endpoints:
            raise EndpointError(
                f"There is an endpoint {config.name!r} already. Choose another name."
            )
        if not new:
            _find_endpoint(book, config.name)
        return replace(book, endpoints={**book.endpoints, config.name: config})

    before = read_endpoints(workspace).book.endpoints.get(config.name)
    fields = {
        "endpoint": config.name,
        "config": config.as_dict(),
        "before": None if before is None else before.as_dict(),
    }
    return _change(actor, workspace, seen, "save endpoint", fields, change)


def remove_endpoint(actor: Actor, workspace: Path, name: str, *, seen: str) -> EndpointsFile:
    """Forget an endpoint that plays no role. `seen` and what is returned: as `save_endpoint`.

    Raises:
        NotAllowedError: the actor is no admin.
        EndpointError: no such endpoint, a role uses it, its server runs, or it is `demo`.
        VersionConflictError, WorkspaceError: as `save_endpoint`.
    """
    require(actor, AccessRole.ADMIN, "remove an endpoint")

    def change(book: EndpointBook) -> EndpointBook:
        config = _find_endpoint(book, name)
        if name == DEMO:
            raise EndpointError("`demo` is always there and cannot be removed.")
        if roles := [role for role in ROLES if book.roles[role] == name]:
            raise EndpointError(
                f"{name} is the {' and '.join(roles)} model. Give the role to another one first."
            )
        if config.kind == "vllm" and look(config, workspace).runs:
            raise EndpointError(f"{name}: its server runs. Stop it first.")
        return replace(book, endpoints={n: c for n, c in book.endpoints.items() if n != name})

    return _change(actor, workspace, seen, "remove endpoint", {"endpoint": name}, change)


def set_role(
    actor: Actor, workspace: Path, role: ModelRole, name: str, *, seen: str
) -> EndpointsFile:
    """Let an endpoint play a role. `seen` and what is returned: as `save_endpoint`.

    A model critiques itself unless told otherwise: where critic and policy are one endpoint, the
    critic follows the policy.

    Raises:
        NotAllowedError: the actor is no admin.
        EndpointError: no such role or endpoint.
        VersionConflictError, WorkspaceError: as `save_endpoint`.
    """
    require(actor, AccessRole.ADMIN, "give a model a role")
    if role not in ROLES:
        raise EndpointError(f"There is no role {role!r:.80}. Known are {', '.join(ROLES)}.")

    def change(book: EndpointBook) -> EndpointBook:
        _find_endpoint(book, name)
        roles = {**book.roles, role: name}
        if role == "policy" and book.roles["critic"] == book.roles["policy"]:
            roles["critic"] = name
        return replace(book, roles=roles)

    before = read_endpoints(workspace).book.roles
    fields: dict[str, Any] = {"role": role, "endpoint": name, "before": before[role]}
    if role == "policy" and before["critic"] == before["policy"]:
        fields["critic_follows"] = True
    return _change(actor, workspace, seen, "set role", fields, change)


def start_endpoint(actor: Actor, workspace: Path, name: str) -> None:
    """Begin to start the endpoint's server, and journal it. Returns at once.

    Raises:
        NotAllowedError: the actor may not start servers.
        EndpointError: no such endpoint, or it runs elsewhere.
        WorkspaceError: the journal cannot be written; nothing was started.
    """
    _serve(actor, workspace, name, "start a model server", model_service.begin_start)


def stop_endpoint(actor: Actor, workspace: Path, name: str) -> None:
    """Begin to stop the endpoint's server; otherwise as `start_endpoint`."""
    _serve(actor, workspace, name, "stop a model server", model_service.begin_stop)


def begin_check(actor: Actor, workspace: Path, name: str) -> None:
    """Begin to find out what the endpoint can do, and journal it. Returns at once.

    Raises:
        NotAllowedError: the actor may not ask: it costs tokens, and may start the bundled server.
        EndpointError: no such endpoint.
        WorkspaceError: the journal cannot be written; nothing was asked.
    """
    require(actor, AccessRole.EDITOR, "check a model")
    config = _find_endpoint(load_book(workspace), name)
    append_event(workspace, Topic.LAUNCHES, actor, "check model", {"endpoint": name})
    model_service.begin_check(config, workspace)


def check_model(actor: Actor, workspace: Path, model: str) -> CheckResult:
    """Find out what a model can do, and wait for it.

    Args:
        model: an endpoint's name, or anything else that names a model.

    Raises:
        NotAllowedError, WorkspaceError: as `begin_check`.
        CaiError: there is no such model, or it does not answer.
    """
    require(actor, AccessRole.EDITOR, "check a model")
    config = resolve_config(model, workspace)
    # Of a URL without what follows `?`, where a key may stand by mistake.
    fields = {"endpoint": model.partition("?")[0]}
    append_event(workspace, Topic.LAUNCHES, actor, "check model", fields)
    return model_service.run_check(config, workspace)


def _find_endpoint(book: EndpointBook, name: str) -> EndpointConfig:
    """The endpoint of that name.

    Raises:
        EndpointError: there is none; the message lists those there are.
    """
    if name not in book.endpoints:
        raise EndpointError(
            f"There is no endpoint {name!r:.80}. Known are {', '.join(book.endpoints)}."
        )
    return book.endpoints[name]


def _serve(
    actor: Actor,
    workspace: Path,
    name: str,
    action: str,
    begin: Callable[[EndpointConfig, Path], None],
) -> None:
    require(actor, AccessRole.EDITOR, action)
    config = _find_endpoint(load_book(workspace), name)
    if config.kind == "url":
        raise EndpointError(f"{name} runs elsewhere: it is started and stopped there.")
    fields = {"endpoint": name, "model": config.model}
    append_event(workspace, Topic.LAUNCHES, actor, action.replace(" a ", " "), fields)
    begin(config, workspace)


def _change(
    actor: Actor,
    workspace: Path,
    seen: str,
    action: str,
    fields: Mapping[str, Any],
    change: Change,
) -> EndpointsFile:
    with lock_endpoints(workspace):
        held = read_endpoints(workspace)
        if held.hash != seen:
            raise VersionConflictError(
                f"{held.path}: was changed since this was looked at. Look at what it says now, "
                "then do it again.",
                head=held.hash,
            )
        if held.error is not None:
            raise EndpointError(f"{held.error} Nothing was overwritten.")
        write_endpoints(workspace, change(held.book))
        now = read_endpoints(workspace)
        try:
            append_event(workspace, Topic.SETTINGS, actor, action, {**fields, "file": now.hash})
        except CaiError:
            # What the log does not tell of must not hold.
            restore_endpoints(workspace, held)
            raise
    return now


def _check_secrets(config: EndpointConfig) -> None:
    """Refuse the places where a key is put by mistake: file and journal are read by many."""
    if any("api-key" in option.replace("_", "-").lower() for option in config.options):
        raise EndpointError(
            f"endpoint {config.name!r}: a key does not belong into the options, where it would "
            "be written down. Put it into an environment variable and name that as key_env."
        )
    if any("?" in url for url in config.urls):
        raise EndpointError(
            f"endpoint {config.name!r}: a URL has a part after `?`, which is not sent and may "
            "hold a key. Remove it; a key goes into the variable that key_env names."
        )
    words = {"authorization", "api_key", "apikey", "api-key", "token"}
    if words & {str(field).lower() for field in config.extra_body}:
        raise EndpointError(
            f"endpoint {config.name!r}: extra_body holds what looks like a key. Put it into an "
            "environment variable and name that as key_env."
        )
