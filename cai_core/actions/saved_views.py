"""Views of the explorers, kept under a name for everybody in the workspace."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

from cai_core.actions.check import require
from cai_core.errors import CaiError, NotAllowedError
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.saved_views import (
    DELETE,
    MAX_NAME,
    SAVE,
    SavedView,
    check_query,
    list_saved_views,
)

# More than anybody finds again by name.
MAX_VIEWS = 200


def save_view(
    actor: Actor, workspace: Path, *, page: str, name: str, query: Mapping[str, str]
) -> SavedView:
    """Keep a page's filter; what the actor saved there under the same name is replaced.

    Args:
        page: of the explorer. query: what its address says.

    Raises:
        NotAllowedError: the actor may not save views.
        CaiError: the name is empty or too long, the query is none, or there are MAX_VIEWS already.
        WorkspaceError: the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, SAVE)
    whole = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")
    told = " ".join(whole.split())
    if not told:
        raise CaiError("The view has no name. Give it one.")
    if len(told) > MAX_NAME:
        raise CaiError(f"The name has {len(told)} characters. Shorten it to {MAX_NAME}.")
    if not isinstance(page, str) or not page:
        raise CaiError("A view is of a page. Name it.")
    held = list_saved_views(workspace, page)
    same = next((one for one in held if (one.actor, one.name) == (actor.name, told)), None)
    if same is None and len(held) >= MAX_VIEWS:
        raise CaiError(f"There are {MAX_VIEWS} views of this page. Delete one first.")
    view = same.view if same is not None else uuid.uuid4().hex
    fields = {"view": view, "page": page, "name": told, "query": check_query(query)}
    event = append_event(workspace, Topic.SETTINGS, actor, SAVE, fields)
    return SavedView(**fields, actor=actor.name, at=event["at"])  # type: ignore[arg-type]


def delete_view(actor: Actor, workspace: Path, *, view: str) -> None:
    """Take a view away: one's own, or as an editor anybody's.

    Raises:
        NotAllowedError: the actor may not, or the view is another's.
        CaiError: there is no such view.
        WorkspaceError: the journal cannot be written.
    """
    require(actor, AccessRole.REVIEWER, DELETE)
    found = next((one for one in list_saved_views(workspace) if one.view == view), None)
    if found is None:
        raise CaiError("There is no such view any more. Reload the page.")
    if found.actor != actor.name and not actor.role.includes(AccessRole.EDITOR):
        raise NotAllowedError(
            f"{DELETE}: {found.name!r} is {found.actor}'s, and {actor.name} is a {actor.role}. "
            "Ask them, or an editor."
        )
    fields = {"view": found.view, "page": found.page, "name": found.name}
    append_event(workspace, Topic.SETTINGS, actor, DELETE, fields)
