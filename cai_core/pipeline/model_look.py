"""How an endpoint's server stands: looked at, never started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cai_core.errors import CaiError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.launcher import find_server
from cai_core.inference.model_folder import DEMO, resolve_model
from cai_core.inference.server_record import ServerFiles, load_record
from cai_core.inference.vllm_server import find_vllm

ServerState = Literal[
    "unknown", "absent", "starting", "ready", "restarting", "failed", "stopping", "elsewhere"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """An endpoint's server at one moment.

    Attributes:
        state: `unknown` until it was looked at; `elsewhere` for a URL: nobody looks at it unasked.
        reason: why it failed, else "".
        since: when the server was started (seconds since the epoch), None where unknown.
        log_tail: the last lines of its log, "" where there is none.
    """

    state: ServerState
    reason: str = ""
    url: str = ""
    pid: int | None = None
    since: float | None = None
    log_tail: str = ""

    @property
    def runs(self) -> bool:
        """Whether there is a process, or is going to be one."""
        return self.state in ("starting", "ready", "restarting", "stopping")


def look(config: EndpointConfig, workspace: Path) -> ServerView:
    """Look at the endpoint's server now, and wait for what is seen."""
    try:
        if config.kind == "url":
            return ServerView(state="elsewhere", url=", ".join(config.urls))
        return (_look_bundled if config.kind == "bundled" else _look_vllm)(config, workspace)
    except (CaiError, OSError) as error:
        return ServerView(state="failed", reason=str(error))


def _look_bundled(config: EndpointConfig, workspace: Path) -> ServerView:
    folder = resolve_model(config.model)
    own = config.model if folder is None or config.model == DEMO else str(folder)
    files = ServerFiles.of(workspace, own)
    record = load_record(files.record)
    if record is None or not record.is_alive():
        return ServerView(state="absent")
    # It answers only once the model is loaded.
    answers = find_server(config.model, workspace) is not None
    return ServerView(
        state="ready" if answers else "starting",
        url=record.endpoint.base_url,
        pid=record.pid,
        since=_changed_at(files.record),
        log_tail=files.log_tail(),
    )


def _look_vllm(config: EndpointConfig, workspace: Path) -> ServerView:
    seen = find_vllm(config, workspace)
    return ServerView(
        state=seen.state,
        reason=seen.reason,
        url=seen.url or "",
        pid=seen.pid,
        since=seen.since,
        log_tail=seen.log_tail() if seen.log.is_file() else "",
    )


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
