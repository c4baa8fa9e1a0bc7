"""Qualifications that are under way in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cai_core.actions.qualifications import qualify_model
from cai_core.pipeline.recipe import TemplateName
from cai_core.records import Actor
from ui import background


@dataclass(frozen=True, slots=True)
class Asked:
    """How a feedback model is asked: what makes its qualification another one.

    Attributes:
        model: as a recipe's `feedback_model` names it.
    """

    model: str
    template: TemplateName
    reasoned: bool


def begin(actor: Actor, workspace: Path, asked: Asked) -> None:
    """Ask in the background; nothing where that is under way."""
    background.begin(
        (workspace, asked),
        lambda: qualify_model(
            actor, workspace, asked.model, template=asked.template, reasoned=asked.reasoned
        ),
    )


def is_under_way(workspace: Path, asked: Asked) -> bool:
    """Whether the model is being asked now."""
    return background.is_under_way((workspace, asked))


def get_problem(workspace: Path, asked: Asked) -> str:
    """Why the last asking failed; empty where it did not."""
    return background.get_problem((workspace, asked))
