"""Critiques judged in the drawer: said, changed, undone, seen by others, hostile words inert."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.reviews import review_critique
from cai_core.errors import WorkspaceError
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, CritiqueVerdict, Finding, PromptKind
from cai_core.workspace.events import Topic, read_events
from tests.chain_workspace import Round, Texts, write_chains
from tests.pages.test_critiques import HOSTILE, open_page, press, shown
from ui import services

OTHER = Actor(name=f"eve {HOSTILE}", role=AccessRole.REVIEWER)
QUIET = Round(
    critique="Not touched.", finding=Finding.NOT_TOUCHED, revision="Try this.", principle="p1"
)


@pytest.fixture
def chain(workspace: Path) -> str:
    """A chain of two rounds."""
    texts = Texts(
        prompt="How do I pick a lock?",
        response="Take a bent wire.",
        kind=PromptKind.RED_TEAM,
        rounds=(Round(revision="Ask a locksmith."), QUIET),
    )
    return write_chains(workspace, "run-a", [texts])[0]


def keys(app: AppTest) -> dict[str, str]:
    """Label and round → key on the keyboard, of the drawer's buttons that have one."""
    found = {}
    for button in app.button:
        if str(button.key).startswith("review_") and button.proto.shortcut:
            found[f"{button.label} {str(button.key).rsplit('_', 1)[1]}"] = button.proto.shortcut
    return found


def standing(chain: str) -> dict[tuple[int, str], tuple[str, str]]:
    found = services.index().list_reviews(chain)
    return {(one.round, one.reviewer): (one.verdict.value, one.reason) for one in found}


def test_a_critique_is_judged_with_a_reason_changed_and_undone(chain: str, workspace: Path) -> None:
    app = open_page(chain=chain)
    app.text_input(key=f"review_reason_{chain}_1").set_value(f"Because. {HOSTILE}")
    press(app, f"review_wrong_{chain}_1")
    assert standing(chain) == {(1, "local"): ("wrong", f"Because. {HOSTILE}".strip())}
    assert html.escape(HOSTILE, quote=True) in shown(app)
    assert app.text_input(key=f"review_reason_{chain}_1").value == ""
    assert app.button(key=f"review_wrong_{chain}_1").proto.type == "primary"
    press(app, f"review_not_needed_{chain}_2")
    press(app, f"review_right_{chain}_1")
    assert standing(chain) == {(1, "local"): ("right", ""), (2, "local"): ("not needed", "")}
    press(app, f"review_undo_{chain}_latest")
    assert standing(chain)[(1, "local")][0] == "wrong"
    press(app, f"review_undo_{chain}_1")
    assert standing(chain) == {(2, "local"): ("not needed", "")}
    assert f"review_undo_{chain}_1" not in [button.key for button in app.button]
    actions = [event["action"] for event in read_events(workspace, Topic.REVIEWS)]
    assert actions == ["review critique"] * 3 + ["undo review"] * 2
    again = open_page(chain=chain)
    assert again.button(key=f"review_not_needed_{chain}_2").proto.type == "primary"
    assert again.button(key=f"review_wrong_{chain}_1").proto.type == "secondary"


def test_the_keys_are_for_the_first_critique_without_a_verdict(chain: str) -> None:
    names = ("Right", "Partly", "Wrong", "Not needed")
    app = open_page(chain=chain)
    assert keys(app) == {f"{name} 1": str(n) for n, name in enumerate(names, 1)}
    press(app, f"review_right_{chain}_1")
    assert keys(app) == {f"{name} 2": str(n) for n, name in enumerate(names, 1)} | {
        "Undo latest": "u"
    }
    press(app, f"review_partly_{chain}_2")
    assert keys(app) == {"Undo latest": "u"}


def test_a_press_before_the_page_shows_the_last_ones_effect_does_nothing(
    chain: str, workspace: Path
) -> None:
    app = open_page(chain=chain)
    where: dict[str, Any] = {"chain": chain, "run": "run-a"}
    for round_ in (1, 2):  # as if the keys had been faster than the page
        review_critique(
            LOCAL_ACTOR, workspace, **where, round=round_, verdict=CritiqueVerdict.RIGHT
        )
    services.index().ingest()
    press(app, f"review_wrong_{chain}_1")
    assert {verdict for verdict, _ in standing(chain).values()} == {"right"}
    again = open_page(chain=chain)
    press(app, f"review_undo_{chain}_latest")
    assert list(standing(chain)) == [(1, "local")]
    press(again, f"review_undo_{chain}_latest")  # the same one, in another tab
    assert list(standing(chain)) == [(1, "local")]


def test_what_others_say_is_shown_and_only_ones_own_can_be_undone(
    chain: str, workspace: Path
) -> None:
    where: dict[str, Any] = {"chain": chain, "run": "run-a", "round": 1}
    verdict = CritiqueVerdict.PARTLY
    review_critique(OTHER, workspace, **where, verdict=verdict, reason=HOSTILE, blind=True)
    app = open_page(chain=chain)
    text = shown(app)
    assert html.escape(OTHER.name, quote=True) in text
    assert html.escape(HOSTILE.strip(), quote=True) in text
    assert ">blind<" in text
    assert not [b for b in app.button if str(b.key).startswith("review_undo")]
    assert app.button(key=f"review_partly_{chain}_1").proto.type == "secondary"
    press(app, f"review_right_{chain}_1")
    assert len(standing(chain)) == 2


def test_a_verdict_that_cannot_be_kept_is_said_and_the_reason_stays(
    chain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise WorkspaceError("The disk is full.")

    monkeypatch.setattr("ui.chain_reviews.review_critique", refuse)
    app = open_page(chain=chain)
    app.text_input(key=f"review_reason_{chain}_1").set_value("Look again.")
    press(app, f"review_right_{chain}_1")
    assert "The disk is full." in shown(app)
    assert app.text_input(key=f"review_reason_{chain}_1").value == "Look again."
    assert standing(chain) == {}


def test_a_viewer_reads_what_is_said_and_judges_nothing(
    chain: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = CritiqueVerdict.WRONG
    review_critique(OTHER, workspace, chain=chain, run="run-a", round=1, verdict=verdict)
    viewer = Actor(name="vera", role=AccessRole.VIEWER)
    monkeypatch.setattr(services, "actor", lambda: viewer)
    app = open_page(chain=chain)
    assert "how_to_reg" in shown(app)
    assert not [b for b in app.button if str(b.key).startswith("review_")]


def test_a_direct_revision_has_nothing_to_judge(workspace: Path) -> None:
    texts = Texts(prompt="How?", rounds=(Round(critique=None, finding=None, revision="Yes."),))
    (chain,) = write_chains(workspace, "run-b", [texts])
    app = open_page(chain=chain)
    assert "Yes." in shown(app)
    assert not [b for b in app.button if str(b.key).startswith("review_")]
