"""Askings that are under way in this process: each begun once, whatever the number of tabs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from cai_core.errors import CaiError

_lock = threading.Lock()
_threads: dict[Hashable, threading.Thread] = {}
_problems: dict[Hashable, str] = {}


def begin(key: Hashable, call: Callable[[], object]) -> None:
    """Call in the background; nothing where that key's call is under way.

    Args:
        key: what makes this asking another one; the workspace is among it.
        call: may block. A `CaiError` or `OSError` of it becomes the key's problem.
    """
    with _lock:
        if key in _threads:
            return
        _problems.pop(key, None)
        thread = threading.Thread(target=_run, args=(key, call), name="asking", daemon=True)
        _threads[key] = thread
        thread.start()


def is_under_way(key: Hashable) -> bool:
    """Whether it is being asked now."""
    with _lock:
        return key in _threads


def get_problem(key: Hashable) -> str:
    """Why the last asking failed; empty where it did not."""
    with _lock:
        return _problems.get(key, "")


def _run(key: Hashable, call: Callable[[], object]) -> None:
    problem = ""
    try:
        call()
    except (CaiError, OSError) as error:
        problem = str(error)
    except BaseException as error:
        problem = f"{type(error).__name__}: {error}"
        raise
    finally:
        with _lock:
            del _threads[key]
            if problem:
                _problems[key] = problem
