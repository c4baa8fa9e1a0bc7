"""Many requests to one model: over one server or several, and through their bad hours.

    pool: turn (by priority) → server with room → attempt → answer | fault → again

A request is given up only while others are answered (then the fault is the request's own, and
an error for its row). When nobody is answered the server is down: its requests wait, a canary
tries it now and then, and only after `patience` the pool gives up. So a run outlives a restart
of its server, and no row is lost or marked for a fault that was not its own.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from cai_core.errors import CaiError, RequestFailedError, ServerUnavailableError
from cai_core.inference.client import RETRIES, ModelClient, Teller, compute_wait
from cai_core.inference.client_wire import FaultKind, PassingFault
from cai_core.inference.engine import Endpoint
from cai_core.inference.server_state import AdaptiveLimit, Circuit
from cai_core.inference.server_watch import ServerWatch
from cai_core.records import Completion, Conversation, ModelInfo, SamplingParams

log = logging.getLogger(__name__)

# A managed vLLM is up again in about a minute; a large model takes longer to load.
PATIENCE_SECONDS = 600.0
FIRST_WAIT = 0.25
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


@dataclass(eq=False, slots=True)
class _Server:
    client: ModelClient
    limit: AdaptiveLimit
    circuit: Circuit = field(default_factory=Circuit)
    in_flight: int = 0
    answers: int = 0
    # Until then nobody asks: the server said when to come back.
    held_until: float = 0.0
    # Each attempt's deadline, so that a hung server's can be brought forward.
    scopes: set[asyncio.Timeout] = field(default_factory=set)
    # Set while the circuit is closed.
    trusted: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.trusted.set()

    def has_room(self, now: float) -> bool:
        free = self.in_flight < int(self.limit.value)
        return free and not self.circuit.is_open and now >= self.held_until


class EnginePool:
    """Implements `engine.Engine`. Belongs to one event loop; close it when done.

    Args:
        endpoints: servers of one and the same model, at least one.
        concurrency: the most requests at once at each server.
        read_seconds: the longest silence of a server before one request counts as lost.
        patience: seconds without any answer after which the pool gives up.
        stall_seconds: after so long without an answer a server is looked at (`server_watch`).
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        *,
        concurrency: int,
        read_seconds: float = 600.0,
        patience: float = PATIENCE_SECONDS,
        stall_seconds: float = 60.0,
        first_wait: float = FIRST_WAIT,
    ) -> None:
        if not endpoints:
            raise ServerUnavailableError("No endpoint was given. Name at least one server.")
        self._servers = [
            _Server(
                ModelClient(
                    endpoint, retries=0, read_seconds=read_seconds, max_connections=concurrency + 8
                ),
                AdaptiveLimit(concurrency),
            )
            for endpoint in endpoints
        ]
        self._patience = patience
        self._stall_seconds = stall_seconds
        self._first_wait = first_wait
        self._waiting: list[tuple[int, int, asyncio.Future[_Server]]] = []
        self._numbers = itertools.count()
        self._info: ModelInfo | None = None
        self._asking_info = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching = False
        self._fatal: CaiError | None = None

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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(server.client.aclose() for server in self._servers))

    @property
    def load(self) -> PoolLoad:
        """How busy the pool is."""
        down = [s.circuit.last_fault for s in self._servers if s.circuit.is_open]
        return PoolLoad(
            limit=sum(int(server.limit.value) for server in self._servers),
            in_flight=sum(server.in_flight for server in self._servers),
            waiting=len(self._waiting),
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

    async def _asked(
        self,
        attempt: Callable[[ModelClient], Awaitable[T]],
        priority: int,
        teller: Teller | None = None,
    ) -> T:
        """Run `attempt` on a server with room, again after faults, until it is done for."""
        self._watch_servers()
        tried, answers_before = 0, 0
        while True:
            server = await self._take_turn(priority)
            sent_at = self._now()
            try:
                with self._counted(server) as scope:
                    async with scope:
                        answer = await attempt(server.client)
            except (PassingFault, TimeoutError) as error:
                fault = _as_fault(error, server)
                if teller is not None and not teller.silent:
                    self._took_fault(server, fault, sent_at)
                    raise ServerUnavailableError(str(fault)) from error
                if tried == 0:
                    answers_before = self._count_answers()
                tried += self._took_fault(server, fault, sent_at)
            except CaiError:
                # A refusal is an answer too: the server lives.
                await self._took_answer(server)
                raise
            else:
                await self._took_answer(server)
                return answer
            if tried > RETRIES and self._count_answers() > answers_before:
                raise RequestFailedError(
                    f"{fault} It was asked {tried} times while other requests were answered."
                )
            # While the circuit is open the turn itself waits.
            if fault.kind is not FaultKind.OVERLOAD and not server.circuit.is_open:
                await asyncio.sleep(compute_wait(max(0, tried - 1), self._first_wait))

    async def _take_turn(self, priority: int) -> _Server:
        """Wait for a server with room; who has the lowest priority number goes first."""
        if not self._waiting and (server := self._find_room()) is not None:
            server.in_flight += 1
            return server
        if self._fatal is not None:
            raise self._fatal
        self._check_patience()
        turn: asyncio.Future[_Server] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._numbers), turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                turn.result().in_flight -= 1
                self._give_turns()
            raise

    def _give_turns(self) -> None:
        while self._waiting:
            if self._waiting[0][2].done():
                heapq.heappop(self._waiting)
            elif (server := self._find_room()) is not None:
                server.in_flight += 1
                heapq.heappop(self._waiting)[2].set_result(server)
            else:
                return

    def _find_room(self) -> _Server | None:
        now = self._now()
        free = [server for server in self._servers if server.has_room(now)]
        return min(free, key=lambda s: s.in_flight / s.limit.value, default=None)

    @contextmanager
    def _counted(self, server: _Server) -> Iterator[asyncio.Timeout]:
        scope = asyncio.timeout(None)
        server.scopes.add(scope)
        try:
            yield scope
        finally:
            server.scopes.discard(scope)
            server.in_flight -= 1
            self._give_turns()

    async def _took_answer(self, server: _Server) -> None:
        # Another request's connection broke meanwhile: this answer may be of whoever listens
        # there now, so it waits until that is known.
        while server.circuit.is_open and self._fatal is None:
            await server.trusted.wait()
        if self._fatal is not None:
            raise self._fatal
        server.answers += 1
        server.circuit.succeeded()
        server.limit.answered(server.in_flight + 1)
        self._give_turns()

    def _took_fault(self, server: _Server, fault: PassingFault, sent_at: float) -> int:
        """Note a fault; 1 when it counts as a try of the request, 0 when it is the server's."""
        now = self._now()
        if fault.kind is FaultKind.OVERLOAD:
            server.limit.sent_away(sent_at, now)
            refusals = server.circuit.sent_away(str(fault), now)
            wait = compute_wait(refusals - 1, self._first_wait, fault.retry_after)
            self._hold(server, now + wait)
            return 0
        # A lost connection may mean that another process now listens there: nobody asks before
        # it has said who it is.
        lost = fault.kind in (FaultKind.UNREACHABLE, FaultKind.BROKEN)
        if server.circuit.failed(str(fault), now, at_once=lost):
            self._distrust(server, at_once=fault.kind is FaultKind.BROKEN)
        return 0 if fault.kind is FaultKind.UNREACHABLE else 1

    def _hold(self, server: _Server, until: float) -> None:
        if until <= server.held_until:
            return
        server.held_until = until
        asyncio.get_running_loop().call_at(until, self._release)

    def _release(self) -> None:
        try:
            self._check_patience()
        except ServerUnavailableError as error:
            self._give_up(error)
        self._give_turns()

    def _distrust(self, server: _Server, *, at_once: bool = False) -> None:
        server.trusted.clear()
        self._start(self._revive(server, at_once=at_once))

    async def _revive(self, server: _Server, *, at_once: bool = False) -> None:
        """Try a server that is down until it answers again, or patience ends.

        Args:
            at_once: its connection broke, which need not mean more; it is asked who it is, and
                only if that fails it rests.
        """
        while server.circuit.is_open:
            if not at_once:
                log.warning("waiting for a server: %s", server.circuit.last_fault)
                await asyncio.sleep(server.circuit.next_rest())
            try:
                async with asyncio.timeout(self._stall_seconds):
                    await self._check_same(server)
                    if not at_once:
                        await ServerWatch(server.client).ask_canary()
                        log.warning("%s answers again", server.client.endpoint)
            except (PassingFault, TimeoutError) as error:
                server.circuit.failed(str(_as_fault(error, server)), self._now())
                self._release()
            except CaiError as error:
                self._give_up(error)
                return
            else:
                server.answers += 1
                server.circuit.succeeded()
                server.trusted.set()
                self._give_turns()
            at_once = False

    async def _check_same(self, server: _Server) -> None:
        """Raise where another model answers than before the server went down."""
        found = await server.client.attempt_info()
        if self._info is not None and _identity(found) != _identity(self._info):
            raise ServerUnavailableError(
                f"{server.client.endpoint} came back with another model or other weights "
                f"({found.model_id!r}, {found.weights_hash}). Bring the old ones back, or start "
                "a new run."
            )

    def _check_patience(self) -> None:
        now = self._now()
        sinces = [server.circuit.silent_since for server in self._servers]
        waits = [now - since for since in sinces if since is not None]
        if len(waits) == len(self._servers) and min(waits) > self._patience:
            faults = "; ".join(server.circuit.last_fault for server in self._servers)
            raise ServerUnavailableError(
                f"{faults} Waited {min(waits):.0f} s. What is done is kept; start the server and "
                "go on."
            )

    def _give_up(self, error: CaiError) -> None:
        self._fatal = error
        for server in self._servers:
            server.trusted.set()
        for _, _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(error)
        self._waiting.clear()

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
        if len({_identity(one) for one in found}) > 1:
            names = ", ".join(f"{one.model_id!r} ({one.weights_hash})" for one in found)
            raise ServerUnavailableError(
                f"The servers of one endpoint serve different models: {names}. "
                "Give URLs of the same model, or make two endpoints."
            )
        return found[0]

    def _watch_servers(self) -> None:
        if not self._watching:
            self._watching = True
            for server in self._servers:
                self._start(self._watch(server))

    async def _watch(self, server: _Server) -> None:
        """Look at a server now and then: does it queue, and does it go on?"""
        watch = ServerWatch(server.client, stall_seconds=self._stall_seconds)
        while True:
            await asyncio.sleep(watch.period)
            if server.circuit.is_open or not server.in_flight:
                continue
            seen = await watch.look(server.answers)
            if seen.queue is not None:
                server.limit.told_queue(*seen.queue)
            if seen.hung:
                self._end_attempts(server)

    def _end_attempts(self, server: _Server) -> None:
        """A server hangs: what it holds is asked again, of another or later."""
        fault = f"{server.client.endpoint} hangs: nothing came and a canary was not answered."
        if server.circuit.failed(fault, self._now(), at_once=True):
            self._distrust(server)
        for scope in list(server.scopes):
            with suppress(RuntimeError):  # it ends by itself this moment
                scope.reschedule(0.0)

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count_answers(self) -> int:
        return sum(server.answers for server in self._servers)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _identity(info: ModelInfo) -> tuple[str, str | None]:
    return info.model_id, info.weights_hash


def _as_fault(error: PassingFault | TimeoutError, server: _Server) -> PassingFault:
    if isinstance(error, PassingFault):
        return error
    told = server.circuit.last_fault or f"{server.client.endpoint} did not answer in time."
    return PassingFault(FaultKind.SILENT, told)
