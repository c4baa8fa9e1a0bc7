"""Who may ask which server next: room at the servers, and turns by priority."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from cai_core.errors import CaiError
from cai_core.inference.client import ModelClient
from cai_core.inference.server_state import AdaptiveLimit, Circuit


@dataclass(eq=False, slots=True)
class Server:
    """One server of a pool.

    Attributes:
        answers: how many it has given; canaries count.
        held_until: until then nobody asks: the server said when to come back.
        scopes: each attempt's deadline, so that a hung server's can be brought forward.
        trusted: set while the circuit is closed.
        identified: how many of its client's connections were open when it last said who it is.
        identified_at: when that was.
        identifying: held while it is asked.
    """

    client: ModelClient
    limit: AdaptiveLimit
    circuit: Circuit = field(default_factory=Circuit)
    in_flight: int = 0
    answers: int = 0
    held_until: float = 0.0
    scopes: set[asyncio.Timeout] = field(default_factory=set)
    trusted: asyncio.Event = field(default_factory=asyncio.Event)
    identified: int = 0
    identified_at: float = 0.0
    identifying: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.trusted.set()

    def has_room(self, now: float) -> bool:
        """Whether it may be asked one thing more."""
        free = self.in_flight < int(self.limit.value)
        return free and not self.circuit.is_open and now >= self.held_until


class Turns:
    """Gives out room at the servers.

    Args:
        check: raises where waiting is in vain; asked before a wait begins.
    """

    def __init__(self, servers: Sequence[Server], check: Callable[[], None]) -> None:
        self._servers = servers
        self._check = check
        self._waiting: list[tuple[int, int, asyncio.Future[Server]]] = []
        self._numbers = itertools.count()
        self._fatal: CaiError | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def take(self, priority: int) -> Server:
        """Wait for a server with room; who has the lowest number goes first, then who came first.

        Raises:
            CaiError: the pool was given up.
        """
        self.raise_if_given_up()
        if not self._waiting and (server := self._find_room()) is not None:
            server.in_flight += 1
            return server
        self._check()
        turn: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._numbers), turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                turn.result().in_flight -= 1
                self.give()
            raise

    @contextmanager
    def counted(self, server: Server) -> Iterator[asyncio.Timeout]:
        """An attempt that took its turn; its room is given on at the end."""
        scope = asyncio.timeout(None)
        server.scopes.add(scope)
        try:
            yield scope
        finally:
            server.scopes.discard(scope)
            server.in_flight -= 1
            self.give()

    def give(self) -> None:
        """Let those go whose turn it is, as far as there is room."""
        while self._waiting:
            if self._waiting[0][2].done():
                heapq.heappop(self._waiting)
            elif (server := self._find_room()) is not None:
                server.in_flight += 1
                heapq.heappop(self._waiting)[2].set_result(server)
            else:
                return

    def give_up(self, error: CaiError) -> None:
        """Raise in everybody who waits, and in who comes."""
        self._fatal = error
        for server in self._servers:
            server.trusted.set()
        for _, _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(error)
        self._waiting.clear()

    def raise_if_given_up(self) -> None:
        """Raise what the pool was given up for."""
        if self._fatal is not None:
            raise self._fatal

    def _find_room(self) -> Server | None:
        now = asyncio.get_running_loop().time()
        free = [server for server in self._servers if server.has_room(now)]
        return min(free, key=lambda s: s.in_flight / s.limit.value, default=None)
