"""What is known of a server, and the least that probes, scoring and adapters ask of a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cai_core.records import ModelInfo

Support = Literal["yes", "no", "unknown"]
# Best first: see `scoring.choose_way`.
ScoringWay = Literal["token-ids", "choice", "top-logprobs", "prompt-logprobs"]


class Asker(Protocol):
    """Asks one model, wherever it runs: `client.ModelClient`, or a pool of several servers."""

    async def info(self) -> ModelInfo:
        """Who answers."""
        ...

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """A route's JSON object; {} where `optional` and the server has no such route."""
        ...

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a body as it is; the answer's JSON object."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """One thing that a server can do or not.

    Attributes:
        name: a key of `probe.FALLBACKS`.
        evidence: one sentence with what was seen.
        fallback: what the workbench does without it, or the refusal; None where supported.
        limit: the number that goes with it (alternatives a token, tokens of context), or None.
    """

    name: str
    support: Support
    evidence: str
    fallback: str | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """All that a probe found out.

    Attributes:
        context_length: tokens of prompt and completion together, None when unknown.
        scoring_way: how options are scored here; None when they cannot be.
        seconds: how long the probe took.
    """

    model_id: str
    engine: str
    engine_version: str
    context_length: int | None
    scoring_way: ScoringWay | None
    capabilities: tuple[Capability, ...]
    seconds: float

    @property
    def by_name(self) -> Mapping[str, Capability]:
        """The capabilities under their names."""
        return {capability.name: capability for capability in self.capabilities}

    def has(self, name: str) -> bool:
        """Whether it was seen to work; False for what is unknown."""
        found = self.by_name.get(name)
        return found is not None and found.support == "yes"
