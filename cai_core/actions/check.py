"""What actions check of their caller: the role, which every one begins with, and the note.

In a read-only demo no role reaches, not even an admin's.
"""

from __future__ import annotations

from cai_core.errors import CaiError, NotAllowedError
from cai_core.records import AccessRole, Actor
from cai_core.workspace.read_only import refuse_in_demo

# Of the note that says why a version was saved or a label moved, in characters.
MAX_NOTE = 2000


def require(actor: Actor, role: AccessRole, action: str) -> None:
    """Refuse an actor whose role does not reach, and everybody in a read-only demo.

    Args:
        action: what is asked for, as the message and the journal name it.

    Raises:
        NotAllowedError: names the actor, the role there is and the one it takes; or the demo.
    """
    refuse_in_demo(action)
    if not actor.role.includes(role):
        raise NotAllowedError(
            f"{action}: {actor.name} is a {actor.role}, and this takes the role {role}. "
            "Ask an admin for it."
        )


def check_note(note: str) -> str:
    """The note without white space around it.

    Raises:
        CaiError: there is none, or it is longer than MAX_NOTE.
    """
    text = note.strip()
    if not text:
        raise CaiError("There is no note. Write what you changed, and why.")
    if len(text) > MAX_NOTE:
        raise CaiError(f"The note has {len(text)} characters. Shorten it to {MAX_NOTE}.")
    return text
