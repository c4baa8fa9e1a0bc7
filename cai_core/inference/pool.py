"""Many requests to one model: over one server or several, and through their bad hours.

    pool: turn (by priority) → server with room → attempt → answer | fault → again

A request is given up only while others are answered (then the fault is the request's own, and
an error for its row). When nobody is answered the server is down: its requests wait, a canary
tries it now and then, and only after `patience` the pool gives up. So a run outlives a restart
of its server, and no row is lost or marked for a fault that was not its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from cai_core.errors import CaiError, RequestFailedError, ServerUnavailableError
from cai_core.inference.client import FIRST_WAIT, RETRIES, ModelClient, Teller, compute_wait
from cai_core.inference.client_wire import FaultKind, PassingFault
from cai_core.inference.engine import Endpoint
from cai_core.inference.pool_care import Caretaker, as_fault, identify
from cai_core.inference.pool_turns import Server
from cai_core.inference.rewards import compute_rewards
from cai_core.inference.server_state import FIRST_LIMIT, AdaptiveLimit
from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams

# A managed vLLM is up again in about a minute; a large model takes longer to load.
PATIENCE_SECONDS = 600.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLoad:
    """A pool at one moment.

    Attributes:
        limit: requests at once that the servers are given now, all together.
        down: servers that are being waited for, each with its last fault.
    """

    limit: int
    in_flight: int
    waiting: int
    down: tuple[str, ...]


class EnginePool:
    """Implements `engine.Engine`. Belongs to one event loop; close it when done.

    Args:
        endpoints: servers of one and the same model, at least one.
        concurrency: the most requests at once at each server.
        first_limit: how many to begin with; the ceiling itself for servers that are known to
            queue what they cannot run.
        read_seconds: the longest silence of a server before one request counts as lost.
        patience: seconds without any answer after which the pool gives up.
        stall_seconds: after so long without an answer a server is looked at (`server_watch`).
        relaunch: starts a server of this machine again that is gone, and tells where it now
            answers; called on a thread. None for servers that others look after.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        concurrency: int,
        first_limit: int = FIRST_LIMIT,
        read_seconds: float = 600.0,
        patience: float = PATIENCE_SECONDS,
        stall_seconds: float = 60.0,
        first_wait: float = FIRST_WAIT,
        relaunch: Callable[[], Endpoint] | None = None,
    ) -> None:
        if not endpoints:
            raise ServerUnavailableError("No endpoint was given. Name at least one server.")

        def make_client(endpoint: Endpoint) -> ModelClient:
            spare = 8  # canaries and looks at the metrics find a connection, however busy it is
            return ModelClient(
                endpoint,
                retries=0,
                read_seconds=read_seconds,
                max_connections=concurrency + spare,
            )

        self._servers = [
            Server(make_client(endpoint), AdaptiveLimit(concurrency, first_limit))
            for endpoint in endpoints
        ]
        self._first_wait = first_wait
        self._info: ModelInfo | None = None
        self._asking_info = asyncio.Lock()
        self._care = Caretaker(
            self._servers,
            lambda: self._info,
            patience=patience,
            stall_seconds=stall_seconds,
            first_wait=first_wait,
            relaunch=relaunch,
            make_client=make_client,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop watching and close the connections."""
        await self._care.aclose()

    @property
    def load(self) -> PoolLoad:
        """How busy the pool is."""
        down = [s.circuit.last_fault for s in self._servers if s.circuit.is_open]
        return PoolLoad(
            limit=sum(int(server.limit.value) for server in self._servers),
            in_flight=sum(server.in_flight for server in self._servers),
            waiting=len(self._care.turns),
            down=tuple(down),
        )

    async def info(self) -> ModelInfo:
        """Who answers; asked once. Servers that are down at that time are left out until later.

        Raises:
            UnknownModelError: a server serves another model.
            ServerUnavailableError: nobody answers, or two serve different models.
        """
        async with self._asking_info:
            if self._info is None:
                self._info = await self._ask_info()
        return self._info

    async def generate(
        self,
        prompt: Conversation | str,
        params: SamplingParams,
        *,
        seed: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        priority: int = 0,
    ) -> Completion:
        """Answer one prompt; see `engine.Engine.generate`."""
        info = await self.info()
        teller = None if on_text is None else Teller(on_text)

        async def attempt(client: ModelClient) -> Completion:
            return await client.attempt(
                prompt, params, info=info, seed=seed, stop=stop, teller=teller
            )

        return await self._asked(attempt, priority, teller)

    async def post(self, path: str, body: dict[str, Any], *, priority: int = 0) -> dict[str, Any]:
        """Send a JSON body to one of the servers; see `ModelClient.post`."""
        return await self._asked(lambda client: client.attempt_post(path, body), priority)

    async def get(self, path: str, *, optional: bool = False) -> dict[str, Any]:
        """A route's JSON object from one of the servers; see `ModelClient.get`."""
        return await self._asked(lambda client: client.attempt_get(path, optional=optional), 0)

    async def score(
        self, conversations: Sequence[Conversation], *, finished: bool = True
    ) -> list[float]:
        """Raw rewards by a reward model; see `rewards.compute_rewards`."""
        return await compute_rewards(self, conversations, finished=finished)

    async def _asked(
        self,
        attempt: Callable[[ModelClient], Awaitable[T]],
        priority: int,
        teller: Teller | None = None,
    ) -> T:
        """Run `attempt` on a server with room, again after faults, until it is done for."""
        care, turns = self._care, self._care.turns
        care.watch()
        tried, answers_before = 0, 0
        while True:
            server = await turns.take(priority)
            sent_at = asyncio.get_running_loop().time()
            try:
                with turns.counted(server) as scope:
                    async with scope:
                        answer = await attempt(server.client)
            except (PassingFault, TimeoutError) as error:
                fault = as_fault(error, server)
                counts = care.took_fault(server, fault, sent_at)
                if teller is not None and not teller.silent:
                    raise ServerUnavailableError(str(fault)) from error
                answers_before = care.count_answers() if tried == 0 else answers_before
                tried += counts
            except CaiError:
                # A refusal is an answer too: the server lives.
                await care.took_answer(server)
                raise
            else:
                await care.took_answer(server)
                return answer
            if tried > RETRIES and care.count_answers() > answers_before:
                raise RequestFailedError(
                    f"{fault} It was asked {tried} times while other requests were answered."
                )
            # While the circuit is open the turn itself waits.
            if fault.kind is not FaultKind.OVERLOAD and not server.circuit.is_open:
                await asyncio.sleep(compute_wait(max(0, tried - 1), self._first_wait))

    async def _ask_info(self) -> ModelInfo:
        told = await asyncio.gather(
            *(server.client.info() for server in self._servers), return_exceptions=True
        )
        found = [one for one in told if isinstance(one, ModelInfo)]
        for one in told:
            if isinstance(one, BaseException) and not (
                found and isinstance(one, ServerUnavailableError)
            ):
                raise one
        if len({identify(one) for one in found}) > 1:
            names = ", ".join(f"{one.model_id!r} ({one.weights_hash})" for one in found)
            raise ServerUnavailableError(
                f"The servers of one endpoint serve different models: {names}. "
                "Give URLs of the same model, or make two endpoints."
            )
        return found[0]
