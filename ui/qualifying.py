"""Qualifications that are under way in this process: asked once, whatever the number of tabs."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from cai_core.actions.qualifications import qualify_model
from cai_core.errors import CaiError
from cai_core.pipeline.recipe import TemplateName
from cai_core.records import Actor


@dataclass(frozen=True, slots=True)
class Asked:
    """How a feedback model is asked: what makes its qualification another one.

    Attributes:
        model: as a recipe's `feedback_model` names it.
    """

    model: str
    template: TemplateName
    reasoned: bool


_lock = threading.Lock()
_threads: dict[tuple[Path, Asked], threading.Thread] = {}
_problems: dict[tuple[Path, Asked], str] = {}


def begin(actor: Actor, workspace: Path, asked: Asked) -> None:
    """Ask in the background; nothing where that is under way."""
    place = (workspace, asked)
    with _lock:
        if place in _threads:
            return
        _problems.pop(place, None)
        thread = threading.Thread(target=_ask, args=(actor, *place), name="qualify", daemon=True)
        _threads[place] = thread
        thread.start()


def is_under_way(workspace: Path, asked: Asked) -> bool:
    """Whether the model is being asked now."""
    with _lock:
        return (workspace, asked) in _threads


def get_problem(workspace: Path, asked: Asked) -> str:
    """Why the last asking failed; empty where it did not."""
    with _lock:
        return _problems.get((workspace, asked), "")


def _ask(actor: Actor, workspace: Path, asked: Asked) -> None:
    problem = ""
    try:
        qualify_model(
            actor, workspace, asked.model, template=asked.template, reasoned=asked.reasoned
        )
    except (CaiError, OSError) as error:
        problem = str(error)
    except BaseException as error:
        problem = f"{type(error).__name__}: {error}"
        raise
    finally:
        with _lock:
            del _threads[workspace, asked]
            if problem:
                _problems[workspace, asked] = problem
