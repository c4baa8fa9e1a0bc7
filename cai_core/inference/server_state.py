"""What a pool knows of one server: how much it is given, and whether it is asked at all. Pure.

Times are seconds of a clock that never goes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cai_core.inference.client import LONGEST_WAIT

# Where the number of requests at once begins; it doubles with every round of answers.
FIRST_LIMIT = 16
# Faults in a row, without an answer in between, that open the circuit.
FAULTS_TO_OPEN = 5
# While the circuit is open, the server is tried after this long, then twice as long, up to …
FIRST_REST = 0.5
# A server that waits itself for room has more than it can run: a quarter on top keeps it fed.
SPARE = 1.25


@dataclass(slots=True)
class AdaptiveLimit:
    """How many requests a server is given at once, in [1, ceiling].

    Grows by one with each answer while it is used to the full, so that it doubles with each
    round, until the server sends somebody away; from then on by one a round. It is halved when
    the server does (429, 503), once for all requests that were under way at that time: additive
    increase, multiplicative decrease (Chiu and Jain 1989), as TCP does it.

    Attributes:
        first: where it begins.
    """

    ceiling: int
    first: int = FIRST_LIMIT
    value: float = field(init=False)
    _slow: bool = False
    _cut_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.value = min(self.first, self.ceiling)

    def answered(self, in_flight: int) -> None:
        """An answer came while that many requests, itself included, were under way."""
        if in_flight >= int(self.value):
            step = 1.0 / self.value if self._slow else 1.0
            self.value = min(float(self.ceiling), self.value + step)

    def sent_away(self, sent_at: float, now: float) -> None:
        """The server had no room for a request that was sent at `sent_at`."""
        if sent_at >= self._cut_at:
            self._cut_at = now
            self._slow = True
            self.value = max(1.0, self.value / 2)

    def told_queue(self, running: int, waiting: int) -> None:
        """The server told how many requests it runs, and how many wait in it."""
        if waiting > running * (SPARE - 1) and running > 0:
            self._slow = True
            self.value = max(1.0, min(self.value, running * SPARE))


@dataclass(slots=True)
class Circuit:
    """Whether a server is asked.

    Open after FAULTS_TO_OPEN faults in a row, or one failed connection: nobody asks then but a
    canary, whose success closes the circuit.

    Attributes:
        down_since: since when the circuit is open; None while it is closed.
        refused_since: since when the server sends everybody away (429, 503).
    """

    down_since: float | None = None
    refused_since: float | None = None
    last_fault: str = ""
    _faults: int = 0
    _rests: int = 0
    _refusals: int = 0

    @property
    def is_open(self) -> bool:
        """Whether the server counts as down."""
        return self.down_since is not None

    @property
    def silent_since(self) -> float | None:
        """Since when nobody was answered; None where somebody was."""
        return self.refused_since if self.down_since is None else self.down_since

    def succeeded(self) -> None:
        """An answer came."""
        self.down_since = self.refused_since = None
        self._faults = self._rests = self._refusals = 0

    def sent_away(self, message: str, now: float) -> int:
        """The server has no room now; how often it said so since its last answer."""
        self.last_fault = message
        if self.refused_since is None:
            self.refused_since = now
        self._refusals += 1
        return self._refusals

    def failed(self, message: str, now: float, *, at_once: bool = False) -> bool:
        """A fault came; True when it opened the circuit.

        Args:
            at_once: one such fault says enough.
        """
        self.last_fault = message
        self._faults += 1
        if self.is_open or not (at_once or self._faults >= FAULTS_TO_OPEN):
            return False
        self.down_since = now
        return True

    def next_rest(self) -> float:
        """Seconds until the next canary."""
        rest = min(FIRST_REST * 2.0**self._rests, LONGEST_WAIT)
        self._rests += 1
        return rest
