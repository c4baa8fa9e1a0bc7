"""What a keeper writes down about its vLLM, and what others read from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from cai_core.errors import EndpointError
from cai_core.inference.engine import Endpoint
from cai_core.inference.server_record import (
    ServerFiles,
    is_running,
    read_boot_id,
    save_private,
)

# A record of another format is of another version of this program and is ignored.
FORMAT = 1
VllmStateName = Literal["absent", "starting", "ready", "restarting", "failed", "stopping"]
LIVE: frozenset[VllmStateName] = frozenset({"starting", "ready", "restarting", "stopping"})


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmRecord:
    """One keeper and its vLLM, as last written by the keeper.

    Attributes:
        model: as the person named it; model_id: as it is served.
        fingerprint: of the weights served, "" for a hub id.
        options: of vLLM, as they were given.
        version: of vLLM.
        engine_pid: leader of vLLM's process group, 0 while there is none.
        api_key: in a file that only its owner may read, "" when nothing is served; out of repr.
        reason: a sentence about the state.
        since: when the state began, seconds since 1970.
        restarts: how often vLLM was started again.
        detached: whether the keeper runs in the background.
    """

    format: int = FORMAT
    name: str
    model: str
    model_id: str
    fingerprint: str
    options: tuple[str, ...]
    version: str
    keeper_pid: int
    keeper_start: str
    engine_pid: int = 0
    engine_start: str = ""
    boot_id: str
    port: int = 0
    api_key: str
    state: VllmStateName
    reason: str
    since: float
    restarts: int = 0
    detached: bool

    def __repr__(self) -> str:
        return f"VllmRecord({self.name!r}, {self.state}, keeper {self.keeper_pid})"

    @property
    def endpoint(self) -> Endpoint:
        """Where it answers."""
        url = f"http://127.0.0.1:{self.port}"
        return Endpoint(base_url=url, model_id=self.model_id, api_key=self.api_key)

    def is_kept(self) -> bool:
        """Whether the keeper that wrote this runs, if only to write its last word."""
        return is_running(self.keeper_pid, self.keeper_start, self.boot_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmState:
    """How a managed vLLM stands.

    Attributes:
        model: as the person named it; model_id: as it is served.
        state: `absent`, `starting`, `ready`, `restarting`, `failed` or `stopping`.
        reason: a sentence about it, "" where there is nothing to say.
        url: root of its server, None where nothing is served.
        pid: of its keeper, None where none runs.
        since: when the state began, seconds since 1970; None where unknown.
        log: vLLM's log; it need not exist.
        record: the file that holds the key.
        restarts: how often vLLM was started again.
    """

    name: str
    model: str
    model_id: str
    state: VllmStateName
    reason: str
    url: str | None
    pid: int | None
    since: float | None
    log: Path
    record: Path
    restarts: int = 0

    def log_tail(self, lines: int = 15) -> str:
        """The log's last lines."""
        return ServerFiles(self.record, self.record, self.log).log_tail(lines)


def files_of(workspace: Path, name: str) -> ServerFiles:
    """The files of one managed vLLM, under `workspace/servers/vllm`.

    Args:
        name: an endpoint's name.
    """
    if not name or "/" in name or name.startswith("."):
        raise EndpointError(f"{name!r:.80} is no name of an endpoint.")
    folder = workspace / "servers" / "vllm"
    return ServerFiles(folder / f"{name}.json", folder / f"{name}.lock", folder / f"{name}.log")


def load_vllm_record(path: Path) -> VllmRecord | None:
    """The record, or None when there is none that can be used."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format", None) != FORMAT or document["state"] not in get_args(
            VllmStateName
        ):
            return None
        return VllmRecord(**{**document, "options": tuple(document["options"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def save_vllm_record(path: Path, record: VllmRecord) -> None:
    """Write aside and rename, readable by the owner only."""
    save_private(path, asdict(record))


def build_state(record: VllmRecord | None, files: ServerFiles, name: str) -> VllmState:
    """What a record tells, checked against the processes that run."""
    told: dict[str, Any] = {"log": files.log, "record": files.record}
    if record is None:
        told |= dict.fromkeys(("url", "pid", "since"))
        return VllmState(name=name, model="", model_id="", state="absent", reason="", **told)
    kept = record.state in LIVE and record.is_kept()
    state, reason = record.state, record.reason
    if not kept and state in LIVE:
        state, reason = _explain_lost(record)
    for item in fields(VllmState):
        if item.name in ("name", "model", "model_id", "since", "restarts"):
            told[item.name] = getattr(record, item.name)
    url = record.endpoint.base_url if kept else None
    pid = record.keeper_pid if kept else None
    return VllmState(state=state, reason=reason, url=url, pid=pid, **told)


def _explain_lost(record: VllmRecord) -> tuple[VllmStateName, str]:
    if record.state == "stopping":
        return "absent", "stopped"
    if record.boot_id != read_boot_id():
        return "absent", "The machine was started anew."
    return "failed", f"Its keeper (process {record.keeper_pid}) was killed. Start it again."
