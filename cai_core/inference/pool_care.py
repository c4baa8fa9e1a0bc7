"""What a pool does about its servers' answers and faults: load, rest, revival, identity, hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

from cai_core.errors import CaiError, RunMismatchError, ServerUnavailableError
from cai_core.inference.client import ModelClient, compute_wait
from cai_core.inference.client_wire import FaultKind, PassingFault
from cai_core.inference.engine import Endpoint
from cai_core.inference.pool_turns import Server, Turns
from cai_core.inference.server_watch import ServerWatch
from cai_core.records import ModelInfo

log = logging.getLogger(__name__)
# Nobody puts another server on a port faster than this, unnoticed by all requests under way.
TRUST_SECONDS = 0.25


class Caretaker:
    """Keeps a pool's servers in order. Belongs to one event loop.

    Args:
        known: who answered when the pool was opened; None before.
        patience, stall_seconds, first_wait, relaunch: see `EnginePool`.
        make_client: for a server that answers elsewhere since it was started again.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        known: Callable[[], ModelInfo | None],
        *,
        patience: float,
        stall_seconds: float,
        first_wait: float,
        relaunch: Callable[[], Endpoint] | None,
        make_client: Callable[[Endpoint], ModelClient],
    ) -> None:
        self.turns = Turns(servers, self._check_patience)
        self._servers = servers
        self._known = known
        self._patience = patience
        self._stall_seconds = stall_seconds
        self._first_wait = first_wait
        self._relaunch = relaunch
        self._make_client = make_client
        self._tasks: set[asyncio.Task[None]] = set()
        self._left: list[ModelClient] = []
        self._watching = False

    async def aclose(self) -> None:
        """Stop watching, and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        clients = [*self._left, *(server.client for server in self._servers)]
        await asyncio.gather(*(client.aclose() for client in clients))

    def count_answers(self) -> int:
        """Answers of all servers so far."""
        return sum(server.answers for server in self._servers)

    async def took_answer(self, server: Server) -> None:
        """Note an answer, once it is known to be of the server that was there before.

        It may have come over a new connection, or another request's connection may have broken
        meanwhile: then it may be of whoever listens there now, and waits until that is known.

        Raises:
            CaiError: the pool was given up, e.g. because it is another model's.
        """
        await self._identify_again(server)
        while server.circuit.is_open:
            await server.trusted.wait()
            self.turns.raise_if_given_up()
        self.turns.raise_if_given_up()
        server.answers += 1
        server.circuit.succeeded()
        server.limit.answered(server.in_flight + 1)
        self.turns.give()

    def took_fault(self, server: Server, fault: PassingFault, sent_at: float) -> int:
        """Note a fault; 1 when it counts as a try of the request, 0 when it is the server's."""
        now = _now()
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

    def watch(self) -> None:
        """Begin to look at the servers now and then."""
        if not self._watching:
            self._watching = True
            for server in self._servers:
                self._start(self._watch(server))

    def _hold(self, server: Server, until: float) -> None:
        if until > server.held_until:
            server.held_until = until
            asyncio.get_running_loop().call_at(until, self._release)

    def _release(self) -> None:
        try:
            self._check_patience()
        except ServerUnavailableError as error:
            self.turns.give_up(error)
        self.turns.give()

    def _distrust(self, server: Server, *, at_once: bool = False) -> None:
        server.trusted.clear()
        self._start(self._revive(server, at_once=at_once))

    async def _revive(self, server: Server, *, at_once: bool) -> None:
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
                if not at_once:
                    await self._start_again(server)
                async with asyncio.timeout(self._stall_seconds):
                    await self._check_same(server)
                    if not at_once:
                        await ServerWatch(server.client).ask_canary()
                        log.warning("%s answers again", server.client.endpoint)
            except (PassingFault, TimeoutError, ServerUnavailableError) as error:
                server.circuit.failed(str(as_fault(error, server)), _now())
                self._release()
            except CaiError as error:
                self.turns.give_up(error)
                return
            else:
                server.answers += 1
                server.circuit.succeeded()
                server.trusted.set()
                self.turns.give()
            at_once = False

    async def _start_again(self, server: Server) -> None:
        """Have a server of this machine started again; it may answer elsewhere then."""
        if self._relaunch is None:
            return
        endpoint = await asyncio.to_thread(self._relaunch)
        if endpoint != server.client.endpoint:
            # Closed at the end: a request may be on its way with it still.
            self._left.append(server.client)
            server.client = self._make_client(endpoint)

    async def _check_same(self, server: Server) -> None:
        """Raise where another model answers than before the server went down."""
        client, opened = server.client, server.client.opened
        found, known = await client.attempt_info(), self._known()
        if known is not None and identify(found) != identify(known):
            raise RunMismatchError(
                f"{client.endpoint} came back with another model or other weights "
                f"({found.model_id!r}, {found.weights_hash}). Bring the old ones back, or start "
                "a new run."
            )
        if client is server.client:
            server.identified, server.identified_at = opened, _now()

    async def _identify_again(self, server: Server) -> None:
        """Ask a server who it is where connections were opened since it was last asked."""
        if not self._is_stranger(server):
            return
        async with server.identifying:
            if not self._is_stranger(server):
                return
            try:
                async with asyncio.timeout(self._stall_seconds):
                    await self._check_same(server)
            except (PassingFault, TimeoutError) as error:
                if server.circuit.failed(str(as_fault(error, server)), _now(), at_once=True):
                    self._distrust(server, at_once=True)
            except CaiError as error:
                self.turns.give_up(error)

    def _is_stranger(self, server: Server) -> bool:
        recent = _now() - server.identified_at < TRUST_SECONDS
        return server.client.opened != server.identified and not recent

    def _check_patience(self) -> None:
        now = _now()
        sinces = [server.circuit.silent_since for server in self._servers]
        waits = [now - since for since in sinces if since is not None]
        if len(waits) == len(self._servers) and min(waits) > self._patience:
            faults = "; ".join(server.circuit.last_fault for server in self._servers)
            raise ServerUnavailableError(
                f"{faults} Waited {min(waits):.0f} s. What is done is kept; start the server and "
                "go on."
            )

    async def _watch(self, server: Server) -> None:
        """Does the server queue, and does it go on?"""
        watch = ServerWatch(server.client, stall_seconds=self._stall_seconds)
        while True:
            await asyncio.sleep(watch.period)
            if watch.client is not server.client:
                watch = ServerWatch(server.client, stall_seconds=self._stall_seconds)
            if server.circuit.is_open or not server.in_flight:
                watch.rest()
                continue
            seen = await watch.look(server.answers)
            if seen.queue is not None:
                server.limit.told_queue(*seen.queue)
            if seen.hung:
                self._end_attempts(server)

    def _end_attempts(self, server: Server) -> None:
        """A server hangs: what it holds is asked again, of another or later."""
        fault = f"{server.client.endpoint} hangs: nothing came and a canary was not answered."
        if server.circuit.failed(fault, _now(), at_once=True):
            self._distrust(server)
        for scope in list(server.scopes):
            with suppress(RuntimeError):  # it ends by itself this moment
                scope.reschedule(0.0)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What nobody foresaw must not leave everybody waiting."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.turns.give_up(ServerUnavailableError(f"The pool's care ended: {error!r}."))


def identify(info: ModelInfo) -> tuple[str, str | None]:
    """What must stay the same for rows to belong together."""
    return info.model_id, info.weights_hash


def as_fault(
    error: PassingFault | TimeoutError | ServerUnavailableError, server: Server
) -> PassingFault:
    """A deadline that was brought forward as the fault that it was brought forward for."""
    if isinstance(error, PassingFault):
        return error
    if isinstance(error, ServerUnavailableError):
        return PassingFault(FaultKind.UNREACHABLE, str(error))
    told = server.circuit.last_fault or f"{server.client.endpoint} did not answer in time."
    return PassingFault(FaultKind.SILENT, told)


def _now() -> float:
    return asyncio.get_running_loop().time()
