"""Saved views of the explorers: named filters, as the journal of settings has them.

Everybody in the workspace sees all of them. Nothing here writes: see `actions.saved_views`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.workspace.events import Topic, read_events

SAVE, DELETE = "save view", "delete view"
MAX_NAME, MAX_VALUE, MAX_FIELDS = 80, 500, 24
_TEXTS = ("view", "page", "name", "actor", "at")


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A filter under a name.

    Attributes:
        view: its id. page: of the explorer that it is a view of.
        query: what the page's address says.
        at: when it was saved last (UTC, ISO 8601); actor: by whom.
    """

    view: str
    page: str
    name: str
    query: Mapping[str, str]
    actor: str
    at: str


def list_saved_views(workspace: Path, page: str | None = None) -> list[SavedView]:
    """The views of one page, of all pages for None; by name, then by who saved them.

    Of what one person saved under one name the newest counts.
    """
    found: dict[tuple[str, str, str], SavedView] = {}
    for event in read_events(workspace, Topic.SETTINGS):
        if event.get("action") == SAVE and (view := _parse(event)) is not None:
            found[view.page, view.actor, view.name] = view
        elif event.get("action") == DELETE:
            gone = event.get("view")
            found = {key: view for key, view in found.items() if view.view != gone}
    views = (view for view in found.values() if page in (None, view.page))
    return sorted(views, key=lambda view: (view.name.casefold(), view.name, view.actor))


def check_query(query: object) -> dict[str, str]:
    """A query that may be saved.

    Raises:
        CaiError: it is no mapping of texts, or has too many or too long ones.
    """
    if not isinstance(query, Mapping) or not all(
        isinstance(text, str) for pair in query.items() for text in pair
    ):
        raise CaiError("A view's query is names with texts. Take it from the page's address.")
    if len(query) > MAX_FIELDS or any(len(text) > MAX_VALUE for p in query.items() for text in p):
        raise CaiError(
            f"A view holds at most {MAX_FIELDS} fields of {MAX_VALUE} characters. Shorten it."
        )
    return dict(query)


def _parse(event: Mapping[str, Any]) -> SavedView | None:
    """A foreign or damaged event is no view."""
    texts = {name: event.get(name) for name in _TEXTS}
    try:
        query = check_query(event.get("query"))
    except CaiError:
        return None
    if not all(isinstance(text, str) for text in texts.values()):
        return None
    return SavedView(**texts, query=query)  # type: ignore[arg-type]  # texts, as was just seen
