"""How far a batch is, on a terminal as one line that is redrawn, elsewhere as plain lines."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from cai_core.pipeline.progress import Progress

# Often enough to look alive, seldom enough for a log file.
_TTY_SECONDS, _PLAIN_SECONDS = 0.2, 10.0
_BAR_WIDTH = 24


class ProgressLine:
    """Draws `Progress`; call `close` to leave the line."""

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._last = 0.0
        self._drawn = False

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        finished = progress.chains_done >= progress.chains_total
        if now - self._last < (_TTY_SECONDS if self._tty else _PLAIN_SECONDS) and not finished:
            return
        self._last = now
        text = format_progress(progress, bar=self._tty)
        print(
            f"\r{text}\x1b[K" if self._tty else text,
            end="" if self._tty else "\n",
            file=self._stream,
            flush=True,
        )
        self._drawn = True

    def close(self) -> None:
        """Go to a line of its own."""
        if self._tty and self._drawn:
            print(file=self._stream, flush=True)


def format_progress(progress: Progress, *, bar: bool) -> str:
    """`[####----] 12/90 rows, 1/10 chains, 85 tokens/s, 0:23 left`."""
    total = max(1, progress.rows_total)
    filled = _BAR_WIDTH * progress.rows_done // total
    parts = [
        f"{progress.rows_done}/{progress.rows_total} rows",
        f"{progress.chains_done}/{progress.chains_total} chains",
    ]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.tokens_per_second is not None:
        parts.append(f"{progress.tokens_per_second:.0f} tokens/s")
    if progress.remaining_seconds is not None:
        parts.append(f"{format_seconds(progress.remaining_seconds)} left")
    if progress.cost is not None:
        parts.append(f"{progress.cost:.4g} USD")
    parts += [f"waiting for a server: {fault}" for fault in progress.waiting_for]
    drawn = f"[{'#' * filled}{'-' * (_BAR_WIDTH - filled)}] " if bar else ""
    return drawn + ", ".join(parts)


def format_seconds(seconds: float) -> str:
    """`0:23`, `12:05`, `3:00:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
