"""The models' servers as a page sees them: started, stopped, looked at and checked on threads.

Nothing here makes a page wait: a `begin_*` returns at once, `get_server` and `get_check` tell what
is known by now. What is known is kept in memory, by the hash of the endpoint's configuration.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from cai_core.errors import CaiError, EndpointError
from cai_core.inference.capabilities import Capabilities
from cai_core.inference.client import ModelClient
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server, stop_server
from cai_core.inference.probe import probe
from cai_core.inference.vllm_server import start_vllm, stop_vllm
from cai_core.pipeline.connect import connect
from cai_core.pipeline.model_look import ServerView, look
from cai_core.records import content_hash

log = logging.getLogger(__name__)

# A page asks every two seconds or so; another tab need not look again.
FRESH_SECONDS = 1.0
# What a page waits for the very first look, which mostly takes a few milliseconds.
PATIENCE = 0.3
MOST_KEPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What was found out about an endpoint.

    Attributes:
        found: what the first of its servers can do.
        servers: the addresses that were asked.
        at: when (seconds since the epoch).
    """

    found: Capabilities
    servers: tuple[str, ...]
    at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckView:
    """A check at one moment; `error` where it failed, `result` where it is done."""

    state: Literal["running", "done", "failed"]
    begun: float
    result: CheckResult | None = None
    error: str = ""


@dataclass(slots=True)
class _Known:
    """What is known of one endpoint. The service's lock guards it."""

    view: ServerView = field(default_factory=lambda: ServerView(state="unknown"))
    looked: float = 0.0
    looking: threading.Event | None = None
    job: Literal["starting", "stopping"] | None = None
    failure: str = ""
    check: CheckView | None = None


_lock = threading.Lock()
_known: OrderedDict[str, _Known] = OrderedDict()


def get_server(
    config: EndpointConfig, workspace: Path, *, patience: float = PATIENCE
) -> ServerView:
    """What is known of the endpoint's server by now; looks again on a thread when that is old.

    Args:
        patience: seconds to wait where nothing is known yet.
    """
    if config.kind == "url":
        return ServerView(state="elsewhere", url=", ".join(config.urls))
    with _lock:
        known = _get(config, workspace)
        if known.looking is None and time.monotonic() - known.looked > FRESH_SECONDS:
            known.looking = threading.Event()
            _run(_look_again, known, known.looking, config, workspace)
        looking = known.looking if known.view.state == "unknown" else None
    if looking is not None:
        looking.wait(patience)
    with _lock:
        return _build_view(known)


def begin_start(config: EndpointConfig, workspace: Path) -> None:
    """Start the server; nothing where a start or a stop is under way already."""
    _begin_job(config, workspace, "starting", _start)


def begin_stop(config: EndpointConfig, workspace: Path) -> None:
    """Stop the server; nothing where a start or a stop is under way already."""
    _begin_job(config, workspace, "stopping", _stop)


def begin_check(config: EndpointConfig, workspace: Path) -> None:
    """Find out what the endpoint can do; nothing where a check is under way already."""
    with _lock:
        known = _get(config, workspace)
        if known.check is not None and known.check.state == "running":
            return
        known.check = check = CheckView(state="running", begun=time.time())
    _run(_check, known, check, config, workspace)


def leave_check(config: EndpointConfig, workspace: Path) -> None:
    """Wait no longer for a check; what it still finds is thrown away."""
    with _lock:
        known = _get(config, workspace)
        if known.check is not None and known.check.state == "running":
            known.check = None


def get_check(config: EndpointConfig, workspace: Path) -> CheckView | None:
    """The latest check of this very configuration, None where there was none."""
    with _lock:
        return _get(config, workspace).check


def run_check(config: EndpointConfig, workspace: Path) -> CheckResult:
    """Find out what the endpoint can do, and wait for it. The bundled server is started.

    Raises:
        CaiError: it does not answer, or cannot be asked.
    """
    begun = time.monotonic()
    endpoints = connect(config, workspace)
    found = asyncio.run(_ask_all(endpoints, config.timeout_seconds))
    return CheckResult(
        found=found,
        servers=tuple(endpoint.base_url for endpoint in endpoints),
        at=time.time(),
        seconds=time.monotonic() - begun,
    )


def forget() -> None:
    """Forget everything that is known; what runs goes on."""
    with _lock:
        _known.clear()


def _get(config: EndpointConfig, workspace: Path) -> _Known:
    """The entry of this very configuration. Call with the lock held."""
    key = content_hash([str(workspace), config.name, config.as_dict()])
    known = _known.setdefault(key, _Known())
    _known.move_to_end(key)
    while len(_known) > MOST_KEPT:
        _known.popitem(last=False)
    return known


def _build_view(known: _Known) -> ServerView:
    view = known.view
    if known.job == "stopping" or (known.job == "starting" and not view.runs):
        return replace(view, state=known.job, reason="")
    if known.failure and not view.runs:
        return replace(view, state="failed", reason=known.failure)
    return view


def _run(work: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=work, args=args, name=work.__name__, daemon=True).start()


def _look_again(
    known: _Known, looking: threading.Event, config: EndpointConfig, workspace: Path
) -> None:
    view = ServerView(state="failed", reason="It could not be looked at.")
    try:
        view = look(config, workspace)
    finally:
        with _lock:
            known.view, known.looked, known.looking = view, time.monotonic(), None
        looking.set()


def _begin_job(
    config: EndpointConfig,
    workspace: Path,
    job: Literal["starting", "stopping"],
    work: Callable[[EndpointConfig, Path], None],
) -> None:
    with _lock:
        known = _get(config, workspace)
        if known.job is not None:
            return
        known.job, known.failure = job, ""
    _run(_do_job, known, work, config, workspace)


def _do_job(
    known: _Known,
    work: Callable[[EndpointConfig, Path], None],
    config: EndpointConfig,
    workspace: Path,
) -> None:
    failure = ""
    try:
        work(config, workspace)
    except Exception as error:  # noqa: BLE001  nobody above this thread would hear of it
        failure = _describe(error)
    view = look(config, workspace)
    with _lock:
        known.job, known.failure, known.view = None, failure, view
        known.looked = time.monotonic()


def _start(config: EndpointConfig, workspace: Path) -> None:
    if config.kind == "vllm":
        # Does not wait until it is ready, which takes minutes: whoever looks is told.
        start_vllm(config, workspace)
    else:
        ensure_server(config.model, workspace)


def _stop(config: EndpointConfig, workspace: Path) -> None:
    if config.kind == "vllm":
        stop_vllm(config, workspace)
    else:
        stop_server(config.model, workspace)


def _check(known: _Known, mine: CheckView, config: EndpointConfig, workspace: Path) -> None:
    try:
        ended = replace(mine, state="done", result=run_check(config, workspace))
    except Exception as error:  # noqa: BLE001  nobody above this thread would hear of it
        ended = replace(mine, state="failed", error=_describe(error))
    with _lock:
        if known.check is mine:  # else it was left
            known.check = ended


def _describe(error: Exception) -> str:
    if isinstance(error, CaiError):
        return str(error)
    log.error("unforeseen, at work on a model server", exc_info=error)
    return (
        f"An unforeseen {type(error).__name__}. The terminal that runs the app shows the details."
    )


async def _ask_all(endpoints: tuple[Endpoint, ...], read_seconds: float) -> Capabilities:
    """What the first one can do, when the others serve the same model."""
    async with ModelClient(endpoints[0], read_seconds=read_seconds) as client:
        found = await probe(client)
        first = await client.info()
    for endpoint in endpoints[1:]:
        async with ModelClient(endpoint, read_seconds=read_seconds) as client:
            other = await client.info()
        if (other.model_id, other.engine) != (first.model_id, first.engine):
            raise EndpointError(
                f"{endpoint.base_url} serves {other.model_id} on {other.engine}, the first one "
                f"{first.model_id} on {first.engine}. Servers of one endpoint must be alike."
            )
    return found
