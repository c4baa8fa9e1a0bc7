"""The role check that every action begins with."""

from __future__ import annotations

from cai_core.errors import NotAllowedError
from cai_core.records import AccessRole, Actor


def require(actor: Actor, role: AccessRole, action: str) -> None:
    """Refuse an actor whose role does not reach.

    Args:
        action: what is asked for, as the message and the journal name it.

    Raises:
        NotAllowedError: names the actor, the role there is and the one it takes.
    """
    if not actor.role.includes(role):
        raise NotAllowedError(
            f"{action}: {actor.name} is a {actor.role}, and this takes the role {role}. "
            "Ask an admin for it."
        )
