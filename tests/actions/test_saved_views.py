"""Saved views: one a person, page and name; the newest counts; only their own may go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cai_core.actions.saved_views import delete_view, save_view
from cai_core.errors import CaiError, NotAllowedError
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.events import Topic, get_journal_path
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.saved_views import list_saved_views

ADA = Actor(name="ada", role=AccessRole.REVIEWER)
BOB = Actor(name="bob", role=AccessRole.REVIEWER)


def save(actor: Actor, workspace: Path, name: str, page: str = "critiques", **query: str) -> str:
    return save_view(actor, workspace, page=page, name=name, query=query or {"q": "x"}).view


def test_the_same_name_is_replaced_and_others_names_are_theirs(tmp_path: Path) -> None:
    first = save(ADA, tmp_path, "mine", q="1")
    assert save(ADA, tmp_path, " mine ", q="2") == first
    save(BOB, tmp_path, "mine", q="3")
    save(ADA, tmp_path, "mine", page="preferences", q="4")
    told = [(view.actor, view.query["q"]) for view in list_saved_views(tmp_path, "critiques")]
    assert told == [("ada", "2"), ("bob", "3")]
    assert len(list_saved_views(tmp_path)) == 3
    with pytest.raises(NotAllowedError, match="ada's"):
        delete_view(BOB, tmp_path, view=first)
    delete_view(LOCAL_ACTOR, tmp_path, view=first)
    with pytest.raises(CaiError, match="no such view"):
        delete_view(ADA, tmp_path, view=first)
    assert [view.actor for view in list_saved_views(tmp_path, "critiques")] == ["bob"]
    assert save(ADA, tmp_path, "mine") != first
    assert verify_chain(get_journal_path(tmp_path, Topic.SETTINGS)) == []


@pytest.mark.parametrize(
    ("name", "query", "words"),
    [
        ("  ", {}, "no name"),
        ("x" * 81, {}, "Shorten it to 80"),
        ("n", {"q": "x" * 501}, "at most"),
        ("n", {str(at): "x" for at in range(25)}, "at most"),
        ("n", {"q": 7}, "names with texts"),
        ("n", ["q"], "names with texts"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, name: str, query: Any, words: str) -> None:
    with pytest.raises(CaiError, match=words):
        save_view(ADA, tmp_path, page="critiques", name=name, query=query)
    assert list_saved_views(tmp_path) == []


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.text(min_size=1, max_size=80), text=st.text(max_size=60))
def test_any_name_and_query_come_back(tmp_path_factory: Any, name: str, text: str) -> None:
    workspace = tmp_path_factory.mktemp("views")
    try:
        saved = save_view(ADA, workspace, page="critiques", name=name, query={"q": text})
    except CaiError:
        assert not " ".join(name.replace("\0", "").split())
        return
    assert list_saved_views(workspace, "critiques") == [saved]
