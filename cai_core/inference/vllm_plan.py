"""What a keeper is told: which vLLM, with which options, and its times."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.vllm_preflight import check_vllm, identify_model

# A server that nobody asks for ten minutes leaves (docs/architecture.md).
IDLE_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperTimes:
    """All in seconds.

    Attributes:
        start_seconds: the longest start; large weights from a slow disk take many minutes.
        canary_seconds: between two canaries.
        hang_seconds: a canary without an answer for that long, and an engine without progress,
            count as hung. A cold engine's first request takes up to 20 s.
        idle_seconds: without a request it stops; 0 never stops.
        stop_seconds: for vLLM to end by itself after SIGTERM.
        backoff_seconds: before the first restart; doubled each time.
    """

    start_seconds: float = 1800.0
    canary_seconds: float = 30.0
    hang_seconds: float = 60.0
    idle_seconds: float = IDLE_SECONDS
    stop_seconds: float = 20.0
    backoff_seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperPlan:
    """One vLLM to keep.

    Attributes:
        name: the endpoint's.
        model: as the person named it; model_id: as it is served.
        source: the folder or hub id that vLLM is given.
        fingerprint: of the weights, "" for a hub id.
        options: for vLLM, checked.
        port: a fixed one, or None.
        python, version: of the environment that has vLLM.
        folder: where relative paths in the options begin.
        detached: whether the keeper runs in the background.
    """

    name: str
    model: str
    model_id: str
    source: str
    fingerprint: str
    options: tuple[str, ...]
    port: int | None
    python: str
    version: str
    folder: str
    detached: bool
    times: KeeperTimes = field(default_factory=KeeperTimes)


def make_plan(
    config: EndpointConfig,
    *,
    port: int | None = None,
    times: KeeperTimes | None = None,
    detached: bool,
) -> KeeperPlan:
    """Check everything that can be known before the start.

    Raises:
        CaiError: as `check_vllm`.
    """
    install, options = check_vllm(config, port)
    served = identify_model(config.model)
    return KeeperPlan(
        name=config.name,
        model=config.model,
        model_id=served.model_id,
        source=served.source,
        fingerprint=served.fingerprint,
        options=options.passed,
        port=options.port,
        python=install.python,
        version=install.version,
        folder=str(Path(os.curdir).resolve()),
        detached=detached,
        times=times or KeeperTimes(),
    )
