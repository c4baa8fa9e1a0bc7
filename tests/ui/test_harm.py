"""Harmful text is held back by what is known of it, and blurred without being lost or read out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from cai_core.errors import WorkspaceError
from cai_core.records import Finding, PromptKind
from ui import services
from ui.diff import build_diff
from ui.harm import LABEL, NOTHING, find_held_back, hold_back, hold_removed
from ui.look import escape

texts = st.text(min_size=1, max_size=30).filter(str.strip)
findings = st.sampled_from([None, *Finding])
FINE = [kind.value for kind in PromptKind if kind is not PromptKind.RED_TEAM]


@given(st.lists(st.tuples(texts, findings), min_size=1, max_size=5))
def test_a_red_team_prompts_first_answer_is_always_held(
    drafts: list[tuple[str, Finding | None]],
) -> None:
    assert find_held_back("red-team", drafts).holds(drafts[0][0])


@given(st.sampled_from(FINE), st.lists(st.tuples(texts, findings), max_size=5))
def test_elsewhere_a_text_is_held_exactly_when_a_critique_objects_to_its_like(
    kind: str, drafts: list[tuple[str, Finding | None]]
) -> None:
    held = find_held_back(kind, drafts)
    objected = {" ".join(text.split()) for text, finding in drafts if finding is Finding.FOUND}
    for text, _finding in drafts:
        assert held.holds(text) == (" ".join(text.split()) in objected)


def test_a_revision_that_kept_the_text_is_held_with_it() -> None:
    held = find_held_back("red-team", [("First you  take\n a saw.", None), ("No.", None)])
    assert held.holds("First you take a saw.")
    assert not held.holds("No.")


def test_an_unparsed_critique_objects_to_nothing() -> None:
    held = find_held_back("helpful", [("Sure.", Finding.UNPARSED), ("Yes.", Finding.NOT_TOUCHED)])
    assert not held.holds("Sure.")
    assert not held.holds("Yes.")


def test_an_empty_text_is_never_held() -> None:
    held = find_held_back("red-team", [("", Finding.FOUND), (" \n", Finding.FOUND)])
    assert not held.holds("")


def test_what_a_diff_removed_is_held_in_red_team_chains_and_where_the_text_was() -> None:
    drafts = [("A saw.", Finding.FOUND), ("No.", None)]
    assert find_held_back("red-team", drafts).holds_removed("anything")
    assert find_held_back("helpful", drafts).holds_removed("A saw.")
    assert not find_held_back("helpful", drafts).holds_removed("No.")
    assert not NOTHING.holds_removed("A saw.")


@given(texts, texts)
def test_a_diffs_removed_words_are_blurred_and_nothing_else(before: str, after: str) -> None:
    plain = build_diff(before, after)
    shown = hold_removed(plain)
    assert shown.count('<del class="cai-blur" aria-hidden="true">') == plain.count("<del>")
    assert re.sub(r"<del [^>]*>", "<del>", shown) == plain


def test_a_blurred_body_says_how_to_read_it_outside_the_blur() -> None:
    shown = hold_back(escape("<b>x</b>"))
    label, _, blurred = shown.partition('<div class="cai-blur"')
    assert LABEL in label
    assert "&lt;b&gt;x" in blurred
    assert 'aria-hidden="true"' in blurred
    assert "tabindex" not in blurred


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    yield tmp_path
    services.close()


def _page() -> None:
    import streamlit as st

    from ui.harm import show_harmful_toggle

    st.text(f"shown: {show_harmful_toggle()}")


def test_the_setting_outlives_the_session(workspace: Path) -> None:
    app = AppTest.from_function(_page).run()
    assert app.text[0].value == "shown: False"
    app.toggle(key="show_harmful").set_value(True).run()
    assert app.text[0].value == "shown: True"
    other = AppTest.from_function(_page).run()
    assert other.text[0].value == "shown: True"
    assert other.toggle(key="show_harmful").value is True
    other.toggle(key="show_harmful").set_value(False).run()
    assert AppTest.from_function(_page).run().text[0].value == "shown: False"


def test_a_setting_that_cannot_be_kept_is_said(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise WorkspaceError("The disk is full.")

    monkeypatch.setattr("ui.harm.set_setting", refuse)
    app = AppTest.from_function(_page).run()
    app.toggle(key="show_harmful").set_value(True).run()
    assert not app.exception
    shown = "\n".join(block.proto.body for block in app.get("html"))
    assert "Not remembered" in shown
    assert "The disk is full." in shown
    assert app.toggle(key="show_harmful").value is False
