"""What runs in this process for a page: by id, bounded, found again by a URL."""

from __future__ import annotations

import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from cai_core.errors import CaiError

_ID = re.compile(r"[0-9a-f]{12}")
_ID_BYTES = 6


class _State(Protocol):
    @property
    def is_live(self) -> bool: ...


class _Snapshot(Protocol):
    @property
    def state(self) -> _State: ...


class Live(Protocol):
    """Something on a thread of its own."""

    @property
    def id(self) -> str:
        """12 hex digits."""
        ...

    def snapshot(self) -> _Snapshot:
        """How it stands."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """Tell it to end."""
        ...

    def join(self, timeout: float) -> None:
        """Wait for its thread."""
        ...


R = TypeVar("R")
L = TypeVar("L", bound=Live)


class Hub(Generic[R, L]):
    """What was started in this process, by id, so that a URL finds it again.

    Bounded both ways: at most `max_live` run at once, and at most `max_kept` are remembered,
    of which the oldest ended ones are forgotten first.
    """

    def __init__(
        self,
        what: str,
        make: Callable[[str, R], L],
        load: Callable[[str], L | None],
        *,
        max_live: int,
        max_kept: int,
    ) -> None:
        """
        Args:
            what: several of them, for people: `chains`.
            make: of an id and a request, not started yet.
            load: finds an ended one that is not in memory.
        """
        self._what, self._make, self._load = what, make, load
        self._max_live, self._max_kept = max_live, max_kept
        self._lock = threading.Lock()
        self._held: OrderedDict[str, L] = OrderedDict()

    def start(self, request: R) -> L:
        """Start one.

        Raises:
            CaiError: `max_live` are running already.
        """
        with self._lock:
            running = sum(one.snapshot().state.is_live for one in self._held.values())
            if running >= self._max_live:
                raise CaiError(
                    f"Playground: {running} {self._what} are running, the most at once. "
                    "Wait for one to end, or stop one."
                )
            one = self._make(secrets.token_hex(_ID_BYTES), request)
            self._held[one.id] = one
            self._forget_oldest()
        one.start()
        return one

    def get(self, id: str) -> L | None:
        """The one of that id, from memory or else from where it is kept; None without either.

        Any text may come in here: an id is a part of a URL, and of a folder's name.
        """
        if not _ID.fullmatch(id):
            return None
        with self._lock:
            one = self._held.get(id)
        if one is None and (one := self._load(id)) is not None:
            with self._lock:
                one = self._held.setdefault(id, one)
                self._forget_oldest()
        return one

    def close(self, timeout: float = 5.0) -> None:
        """Stop all of them and wait for their threads."""
        with self._lock:
            held = list(self._held.values())
        for one in held:
            one.stop()
        for one in held:
            one.join(timeout)

    def _forget_oldest(self) -> None:
        ended = [i for i, one in self._held.items() if not one.snapshot().state.is_live]
        for id in ended[: max(0, len(self._held) - self._max_kept)]:
            del self._held[id]
