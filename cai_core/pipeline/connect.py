"""From a model's name to servers that answer: endpoint names, `demo`, folders, hub ids, URLs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cai_core.errors import EndpointError, ServerUnavailableError
from cai_core.inference.endpoints import DEMO_ENDPOINT, EndpointConfig
from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server
from cai_core.inference.model_folder import DEMO
from cai_core.inference.model_url import is_url, read_key, resolve_url
from cai_core.inference.pool import PATIENCE_SECONDS, EnginePool
from cai_core.inference.server_state import FIRST_LIMIT
from cai_core.inference.vllm_server import ensure_vllm
from cai_core.pipeline.progress import Price
from cai_core.workspace.endpoints import load_book

# One chain more for so many slots.
SPARE_CHAINS = 4
# The name that a place which stands in no book is given; it is never written anywhere.
_UNNAMED = "unnamed"


def resolve_config(model: str, workspace: Path) -> EndpointConfig:
    """The workspace's endpoint of that name, else one made up for a folder, a hub id or a URL.

    Args:
        model: an endpoint's name, `demo`, a model folder, a hub id, or
            `http://host:port#model-id` (its key from CAI_API_KEY).

    Raises:
        EndpointError: an empty name, or the endpoints file cannot be read.
    """
    if not model:
        raise EndpointError("No model was named. Give an endpoint's name, a folder or a URL.")
    if not is_url(model):
        try:
            endpoints = load_book(workspace).endpoints
        except EndpointError:
            if model != DEMO:
                raise
            endpoints = {DEMO: DEMO_ENDPOINT}  # works whatever became of the file
        if model in endpoints:
            return endpoints[model]
    if is_url(model):
        url, _, model_id = model.partition("#")
        return EndpointConfig(
            name=_UNNAMED, kind="url", model=model_id, urls=(url,), key_env="CAI_API_KEY"
        )
    return EndpointConfig(name=_UNNAMED, kind="bundled", model=model)


def connect(config: EndpointConfig, workspace: Path) -> tuple[Endpoint, ...]:
    """Where the model answers; servers of this machine are started. Blocks while they start.

    Raises:
        UnknownModelError: no such model, or a URL that may not be asked.
        ServerUnavailableError: a server did not come up.
    """
    match config.kind:
        case "bundled":
            found = [ensure_server(config.model, workspace)]
        case "vllm":
            found = [ensure_vllm(config, workspace)]
        case "url":
            named = f"#{config.model}" if config.model else ""
            key = read_key(config.key_env) if config.key_env else None
            if config.key_env and key is None and config.name != _UNNAMED:
                raise ServerUnavailableError(
                    f"endpoint {config.name!r}: its key is to stand in {config.key_env}, which is "
                    "not set. Set it where the workbench is started."
                )
            found = [resolve_url(url + named, key=key) for url in config.urls]
    return tuple(replace(endpoint, extra_body=config.extra_body) for endpoint in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """A model whose servers are up."""

    config: EndpointConfig
    endpoints: tuple[Endpoint, ...]
    workspace: Path

    def open(
        self, concurrency: int | None = None, *, patience: float = PATIENCE_SECONDS
    ) -> EnginePool:
        """The pool of its servers; belongs to the event loop that runs.

        Args:
            concurrency: the most requests at once at each server; None leaves it to the
                endpoint, whose ceiling holds in any case.
            patience: see `EnginePool`.
        """
        ceiling = min(concurrency or self.config.concurrency, self.config.concurrency)
        # A managed vLLM has a keeper that starts it again; the bundled server has us.
        ours = self.config.kind == "bundled"
        return EnginePool(
            self.endpoints,
            concurrency=ceiling,
            # Our own servers queue; others may have limits that are best found from below.
            first_limit=FIRST_LIMIT if self.config.kind == "url" else ceiling,
            read_seconds=self.config.timeout_seconds,
            patience=patience,
            relaunch=(lambda: connect(self.config, self.workspace)[0]) if ours else None,
        )

    def count_slots(self, concurrency: int | None = None) -> int:
        """The most requests at once at all its servers together."""
        each = min(concurrency or self.config.concurrency, self.config.concurrency)
        return each * len(self.endpoints)

    def count_chains(self, concurrency: int | None = None) -> int:
        """Chains to have open, so that all slots are in use: while one chain's row is written
        and its next prompt built, another's request takes the slot.
        """
        slots = self.count_slots(concurrency)
        return slots if slots == 1 else slots + -(-slots // SPARE_CHAINS)

    @property
    def price(self) -> Price | None:
        """What its tokens cost; None where that is not known."""
        prompt, completion = self.config.price_prompt, self.config.price_completion
        if prompt is None or completion is None:
            return None
        return Price(prompt=prompt, completion=completion)


def launch(model: str, workspace: Path) -> Launched:
    """Find a model by its name and bring its servers up; see `resolve_config` and `connect`."""
    config = resolve_config(model, workspace)
    return Launched(config=config, endpoints=connect(config, workspace), workspace=workspace)
