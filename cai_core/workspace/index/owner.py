"""The one owner of the workspace's indexes: opens them, keeps them in step, lets readers in."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import duckdb

from cai_core.errors import LockHeldError, WorkspaceError, WorkspaceOwnedError
from cai_core.workspace.index.ingest import Ingest
from cai_core.workspace.index.queries import IndexQueries
from cai_core.workspace.index.schema import Connection, Stores, open_stores, remove_stores
from cai_core.workspace.index.views import IndexReport
from cai_core.workspace.locks import lock_pid, take_lock
from cai_core.workspace.read_only import refuse_in_demo

log = logging.getLogger(__name__)

LOCK = "index.lock"
# A page that asks while the indexes close or are opened again waits that long at most.
_WAIT_SECONDS = 10.0
# After a pass that failed: long enough not to fill the log, short enough to be soon well.
_RETRY_SECONDS = 5.0
_STORE_ERRORS = (duckdb.Error, sqlite3.Error)
_COUNTS = """
select (select count(*) from rows), (select count(distinct chain_key) from rows),
    (select count(*) from runs), (select count(*) from events),
    (select coalesce(sum(damaged), 0) from files), (select coalesce(sum(doubled), 0) from files),
    (select coalesce(sum(late), 0) from files), (select count(*) from comparisons)
"""


class WorkspaceIndex(IndexQueries):
    """Both indexes of a workspace, owned by this process. Pages ask it from any thread."""

    def __init__(
        self, workspace: Path, recordings: Path | None, home: Path, lock: int, stores: Stores
    ):
        """Use `open`."""
        self._workspace = workspace
        self._home = home  # where the two files lie
        self._recordings = recordings
        self._lock = lock
        self._use(stores)
        self._rebuilt = stores.rebuilt
        self._pass = threading.RLock()  # one pass at a time; also held while the stores change
        self._free = threading.Condition()  # guards the two below
        self._readers = 0
        self._open = True
        self._damage: str | None = None
        self._failure: str | None = None
        self._looked = time.monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def open(
        cls,
        workspace: Path,
        *,
        recordings: Path | None = None,
        home: Path | None = None,
        fresh: bool = False,
    ) -> Self:
        """Take the workspace's lock and open its indexes, or make them anew.

        Args:
            recordings: a folder of run folders that ship with the workbench; only read.
            home: an existing folder for the lock and the two files; the workspace is then only
                read, whoever owns it. None for the workspace itself.
            fresh: delete the index files that there are, and begin with empty ones.

        Raises:
            WorkspaceOwnedError: somebody owns them already; the message names the pid.
            WorkspaceError: the folder cannot be written.
            NotAllowedError: in a read-only demo, without a home.
        """
        if home is None:
            refuse_in_demo("open the workspace's indexes")
            home = workspace
            try:
                home.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WorkspaceError(f"{home}: cannot be made: {error.strerror}.") from error
        lock = _own(home)
        try:
            if fresh:
                remove_stores(home)
            return cls(workspace, recordings, home, lock, open_stores(home))
        except BaseException:
            os.close(lock)
            raise

    def start(self, every: float = 0.5) -> None:
        """Ingest in the background from now on.

        Args:
            every: seconds between two looks at the files.
        """
        with self._free:
            if self._thread is not None or not self._open:
                return
            self._thread = threading.Thread(
                target=self._keep_up, args=(every,), name="ingest", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Stop, close both files and let go of the workspace. Closing twice is fine."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._pass:
            if not self._shut():
                return
            self._ingest.close()
            self._stores.close()
            os.close(self._lock)

    def ingest(self, *, patience: float = 5.0) -> bool:
        """One look at the files now; what is in them when this is called is shown afterwards.

        Args:
            patience: seconds to wait for a look that is under way (the first one at a large
                workspace takes minutes).

        Returns:
            False when that look was still under way.

        Raises:
            WorkspaceError: the indexes are closed, or cannot be written.
        """
        if not self._pass.acquire(timeout=patience):
            return False
        try:
            self._look()
        finally:
            self._pass.release()
        return True

    def report(self) -> IndexReport:
        """What the indexes hold, and what could not be read."""
        with self._reading() as con:
            (counts,) = con.execute(_COUNTS).fetchall()
        rows, chains_, runs, events, damaged, doubled, late, comparisons = map(int, counts)
        failure = () if self._failure is None else (self._failure,)
        return IndexReport(
            rows=rows,
            chains=chains_,
            runs=runs,
            events=events,
            damaged=damaged,
            doubled=doubled,
            late_bytes=late,
            comparisons=comparisons,
            rebuilt=self._rebuilt,
            seconds_behind=time.monotonic() - self._looked,
            problems=failure + self._ingest.problems,
        )

    def _keep_up(self, every: float) -> None:
        while not self._stop.is_set():
            wait = every
            try:
                self.ingest()
            except Exception as error:  # the thread must outlive whatever happens
                if not self._stop.is_set():
                    log.exception("the indexes could not be brought up to date")
                self._failure = str(error)
                wait = max(every, _RETRY_SECONDS)
            self._stop.wait(wait)

    def _look(self) -> None:
        self._check_open()
        try:
            if self._damage is not None:
                self._reopen()
            self._ingest.run_pass(self._stop)
        except _STORE_ERRORS as error:
            self._damage = str(error)
            raise WorkspaceError(
                f"{self._workspace}: the indexes cannot be written: {error}. "
                "The run folders are untouched; the next look tries again."
            ) from error
        self._failure = None
        self._looked = time.monotonic()

    def _reopen(self) -> None:
        """An error may have been damage: close and open with all checks, as at a start."""
        log.warning("%s: the indexes are opened again: %s", self._workspace, self._damage)
        self._shut()
        try:
            self._ingest.close()
            self._stores.close()
        except _STORE_ERRORS as error:
            log.warning("closing the indexes: %s", error)
        self._use(open_stores(self._home))
        self._rebuilt = self._stores.rebuilt or self._rebuilt
        self._damage = None
        with self._free:
            self._open = True
            self._free.notify_all()

    def _use(self, stores: Stores) -> None:
        self._stores = stores
        self._ingest = Ingest(stores, self._workspace, self._recordings)
        self._use_lists(stores.texts, self._ingest.progress, self._workspace)

    def _shut(self) -> bool:
        """Let no reader in and wait for those inside; False when it was shut already."""
        with self._free:
            was_open, self._open = self._open, False
            self._free.wait_for(lambda: self._readers == 0, _WAIT_SECONDS)
            return was_open

    def _check_open(self) -> None:
        if not self._open and self._stop.is_set():
            raise WorkspaceError(f"{self._workspace}: its indexes are closed. Open them again.")

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._free:
            self._free.wait_for(lambda: self._open or self._stop.is_set(), _WAIT_SECONDS)
            if not self._open:
                raise WorkspaceError(f"{self._workspace}: its indexes are closed. Open them again.")
            self._readers += 1
        try:
            con = self._stores.rows.cursor()
            try:
                yield con
            finally:
                con.close()
        except duckdb.ProgrammingError:
            raise  # a fault of ours, not of the files
        except _STORE_ERRORS as error:
            self._damage = str(error)
            raise WorkspaceError(
                f"{self._workspace}: the indexes cannot be read: {error}. They are checked, and "
                "made anew from the run folders if need be; try again in a moment."
            ) from error
        finally:
            with self._free:
                self._readers -= 1
                self._free.notify_all()


def _own(workspace: Path) -> int:
    path = workspace / LOCK
    try:
        return take_lock(path)
    except LockHeldError as error:
        pid = lock_pid(path)
        who = "this process" if pid == os.getpid() else "another process"
        raise WorkspaceOwnedError(
            f"{workspace}: {who} owns its indexes (pid {pid}). Close it first, e.g. by "
            f"stopping the app, or set CAI_WORKSPACE to another folder."
        ) from error
