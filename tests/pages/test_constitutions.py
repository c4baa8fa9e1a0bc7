"""The constitutions page through AppTest: read, edit, save, decide, go back, bad links."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core.actions import constitutions as actions
from cai_core.actions.constitutions import discard_draft, save_constitution, save_draft
from cai_core.constitution import find_constitution
from cai_core.errors import WorkspaceError
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.drafts import (
    build_draft,
    list_drafts,
    load_draft,
)
from cai_core.workspace.versions import find_head, list_versions, load_version
from tests.hostile import HOSTILE
from tests.pages.constitution_page import (
    FIELDS,
    SHIPPED,
    address,
    begin,
    field,
    has_button,
    open_page,
    press,
    press_way,
    run,
    save_as_other,
    shown,
    type_into,
)
from ui import services
from ui.look import escape


def test_the_first_constitution_is_shown_with_its_principles() -> None:
    app = open_page()
    first = find_constitution("harmlessness")
    text = shown(app)
    assert '<h2 class="cai-h2">harmlessness' in text
    assert "16 principles" in text and ">shipped<" in text
    assert escape(first.principles[0].critique_request) in text  # folded away, yet there
    for other in ("healthcare", "helpful\\-honest\\-harmless"):
        assert other in [button.label for button in app.button]


def test_choosing_another_puts_it_into_the_address() -> None:
    app = open_page()
    (button,) = [b for b in app.button if b.label == "healthcare"]
    button.click()
    run(app)
    assert address(app) == {"constitution": "healthcare"}
    assert '<h2 class="cai-h2">healthcare' in shown(app)


def test_an_edit_is_kept_at_once_and_outlives_the_session(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    draft_id = address(app)["draft"]
    assert "no changes yet" in shown(app)
    type_into(app, "Principle", "Never guess a dose.")
    assert load_draft(workspace, draft_id).principles[0].text == "Never guess a dose."
    assert "unsaved changes" in shown(app) and "Draft kept " in shown(app)
    other = open_page(draft=draft_id, principle=address(app)["principle"])
    assert field(other, "Principle").value == "Never guess a dose."
    assert "Continue your draft" in [
        button.label for button in open_page(constitution="healthcare").button
    ]


def test_every_field_reaches_the_draft(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    draft_id = address(app)["draft"]
    labels = ("Id", "Principle", "Critique request", "Revision request", "Comparison request")
    for label in labels:
        type_into(app, label, f"new-{label.split()[0]}")
    app.multiselect[0].set_value(["harm", "new tag"])
    run(app)
    held = load_draft(workspace, draft_id).principles[0]
    assert (held.id, held.text, held.critique_request) == (
        "new-Id",
        "new-Principle",
        "new-Critique",
    )
    assert (held.revision_request, held.comparison_request) == ("new-Revision", "new-Comparison")
    assert held.tags == ("harm", "new tag")
    press(app, f"part_{draft_id}_about")
    type_into(app, "Description", "Another one.")
    assert load_draft(workspace, draft_id).description == "Another one."
    assert field(app, "Name").disabled


def test_what_another_tab_changed_is_shown_and_not_undone(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    second = open_page(**address(app))
    type_into(second, "Principle", "From the second tab.")
    type_into(app, "Critique request", "From the first tab.")
    assert field(app, "Principle").value == "From the second tab."
    held = load_draft(workspace, address(app)["draft"]).principles[0]
    assert (held.text, held.critique_request) == ("From the second tab.", "From the first tab.")


def test_moving_duplicating_and_deleting_mix_no_texts_up(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    draft_id = address(app)["draft"]
    first, second = SHIPPED.principles[0], SHIPPED.principles[1]
    press_way(app, "down")
    held = load_draft(workspace, draft_id)
    assert [p.id for p in held.principles[:2]] == [second.id, first.id]
    assert field(app, "Principle").value == first.text
    type_into(app, "Principle", "Changed after the move.")
    held = load_draft(workspace, draft_id)
    assert [p.text for p in held.principles[:2]] == [second.text, "Changed after the move."]
    press_way(app, "up")
    press_way(app, "duplicate")
    held = load_draft(workspace, draft_id)
    assert [p.id for p in held.principles[:3]] == [first.id, f"{first.id}-copy", second.id]
    assert field(app, "Principle").value == "Changed after the move."
    press_way(app, "delete")
    held = load_draft(workspace, draft_id)
    assert [p.id for p in held.principles[:2]] == [first.id, second.id]
    assert field(app, "Principle").value == second.text
    press(app, "undo")
    held = load_draft(workspace, draft_id)
    assert [p.id for p in held.principles[:3]] == [first.id, f"{first.id}-copy", second.id]
    press(app, "redo")
    assert [p.id for p in load_draft(workspace, draft_id).principles[:2]] == [first.id, second.id]


def test_all_principles_can_be_deleted_and_one_added(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    for _ in SHIPPED.principles:
        press_way(app, "delete")
    assert "The constitution has no principles. Add at least one." in shown(app)
    press(app, "add")
    assert field(app, "Id").value == ""
    assert "Principle 1 has an empty id. Write one." in shown(app)


def test_problems_stand_beside_their_field_and_keep_from_saving() -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    for label in FIELDS:
        type_into(app, label, " ")
    text = shown(app)
    assert "4 problems to mend" in text
    for words in ("id", "text", "critique request", "revision request"):
        assert f"has an empty {words}. Write one." in text
    press(app, "review")
    assert "To mend before it can be saved" in shown(app)
    assert not has_button(app, "save")
    press(app, "keep_editing")
    assert "step" not in address(app)


def test_saving_takes_a_note_and_shows_the_new_versions_changes(workspace: Path) -> None:
    draft = begin(workspace, "For  clinics alone.")
    app = press(open_page(draft=draft.draft_id), "review")
    assert "<ins>For</ins>" in shown(app) or "<ins>For" in shown(app)
    press(app, "save")
    assert "There is no note." in shown(app)
    assert list_versions(workspace, "healthcare")[0].shipped
    app.text_area(key=f"note_{draft.draft_id}").set_value("Why <b>not</b>")
    press(app, "save")  # note and click arrive together
    assert address(app) == {"constitution": "healthcare", "version": "1"}
    assert "healthcare has a new version, number 1." in shown(app)
    assert "Why &lt;b&gt;not&lt;/b&gt;" in shown(app)
    assert "Against the shipped version:" in shown(app)
    assert list_drafts(workspace) == ([], 0)
    head = find_head(workspace, "healthcare")
    assert head is not None and (head.actor, head.note) == ("local", "Why <b>not</b>")


def test_a_note_outlives_the_session(workspace: Path) -> None:
    draft = begin(workspace)
    app = open_page(draft=draft.draft_id, step="review")
    app.text_area(key=f"note_{draft.draft_id}").set_value("half a no")
    run(app)
    again = open_page(draft=draft.draft_id, step="review")
    assert again.text_area(key=f"note_{draft.draft_id}").value == "half a no"


def test_nothing_changed_is_said_and_can_be_discarded(workspace: Path) -> None:
    draft = begin(workspace, SHIPPED.description)
    app = open_page(draft=draft.draft_id, step="review")
    assert "Nothing but white space differs" in shown(app)
    assert not has_button(app, "save")
    press(app, "discard_mine")
    assert list_drafts(workspace) == ([], 0)
    assert address(app) == {"constitution": "healthcare"}


def test_who_saves_second_sees_the_difference_and_may_save_on_top(workspace: Path) -> None:
    draft = begin(workspace, "mine alone")
    app = open_page(draft=draft.draft_id, step="review")
    theirs = save_as_other(workspace, "theirs alone")
    app.text_area(key=f"note_{draft.draft_id}").set_value("mine")
    press(app, "save")
    text = shown(app)
    assert "otto saved version 1 since you began." in text
    assert "What yours would change in theirs" in text
    assert "<del>theirs</del>" in text and "<ins>mine</ins>" in text
    assert len(list_versions(workspace, "healthcare")) == 2
    assert load_draft(workspace, draft.draft_id).description == "mine alone"
    assert app.button(key="save").label == "Save mine on top of theirs"
    press(app, "save")
    saved = find_head(workspace, "healthcare")
    assert saved is not None and (saved.number, saved.parent) == (2, theirs.hash)
    assert load_version(workspace, "healthcare", theirs.hash).description == "theirs alone"


def test_who_saves_second_may_discard_or_go_on(workspace: Path) -> None:
    draft = begin(workspace, "mine alone")
    theirs = save_as_other(workspace, "theirs alone")
    app = open_page(draft=draft.draft_id)
    assert "Somebody saved meanwhile" in shown(app)
    press(app, "review")
    press(app, "keep_editing")
    assert load_draft(workspace, draft.draft_id) == draft
    press(app, "review")
    press(app, "discard_mine")
    assert list_drafts(workspace) == ([], 0)
    assert find_head(workspace, "healthcare") == theirs


def test_a_draft_saved_in_another_tab_is_gone_and_the_text_is_not(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    discard_draft(LOCAL_ACTOR, workspace, address(app)["draft"])
    type_into(app, "Principle", "Typed too late <b>")
    assert "no such draft" in shown(app)
    assert "Typed too late &lt;b&gt;" in shown(app)
    press(app, "all")
    assert address(app) == {}


def test_a_disk_that_refuses_keeps_the_text_in_its_field(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    draft_id = address(app)["draft"]

    def refuse(*_: Any) -> None:
        raise WorkspaceError("The disk is full <b>.")

    with monkeypatch.context() as patch:
        patch.setattr(actions, "write_draft", refuse)
        type_into(app, "Principle", "Typed in vain?")
        assert "The disk is full &lt;b&gt;." in shown(app)
        assert field(app, "Principle").value == "Typed in vain?"
        press(app, "try_again")
        assert "The disk is full" in shown(app)
    press(app, "try_again")
    assert "The disk is full" not in shown(app)
    assert field(app, "Principle").value == "Typed in vain?"
    assert load_draft(workspace, draft_id).principles[0].text == "Typed in vain?"


def test_a_new_constitution_from_nothing(workspace: Path) -> None:
    app = press(open_page(), "new")
    draft_id = address(app)["draft"]
    type_into(app, "Name", "healthcare")
    assert "There is a constitution named &#x27;healthcare&#x27; already." in shown(app)
    type_into(app, "Name", "mine")
    key = load_draft(workspace, draft_id).principles[0].key
    press(app, f"part_{draft_id}_{key}")
    for label in FIELDS:
        type_into(app, label, label.lower().replace(" ", "-"))
    press(app, "review")
    app.text_area(key=f"note_{draft_id}").set_value("First.")
    press(app, "save")
    assert address(app) == {"constitution": "mine", "version": "1"}
    assert "This is the first version" in shown(app)
    assert ">edited<" in shown(app)


def test_a_duplicate_is_a_new_constitution(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "fork")
    draft = load_draft(workspace, address(app)["draft"])
    assert (draft.name, draft.base_hash) == ("healthcare-copy", None)
    assert [p.id for p in draft.principles] == [p.id for p in SHIPPED.principles]
    assert field(app, "Name").value == "healthcare-copy"
    press(app, "leave")
    assert "healthcare\\-copy" in [button.label for button in app.button]


def test_an_old_version_can_be_read_compared_and_restored(workspace: Path) -> None:
    first = save_as_other(workspace, "first text")
    app = open_page(constitution="healthcare")
    app.button_group(key="constitution_view").set_value("History")
    run(app)
    assert "theirs" in shown(app) and "otto, " in shown(app) and first.hash[:12] in shown(app)
    press(app, "version_0")
    assert address(app) == {"constitution": "healthcare", "version": "0"}
    assert "You are reading an older text; the newest is version 1." in shown(app)
    assert not has_button(app, "edit")
    press(app, "restore")
    assert "There is no note." in shown(app)
    app.text_area(key=f"restore_note_{SHIPPED.hash[:12]}").set_value("It was better.")
    press(app, "restore")
    head = find_head(workspace, "healthcare")
    assert head is not None
    assert (head.number, head.hash, head.note) == (2, SHIPPED.hash, "It was better.")
    assert address(app) == {"constitution": "healthcare"}
    assert "Saved as version 2" in shown(app)


def test_a_link_by_hash_opens_that_version(workspace: Path) -> None:
    first = save_as_other(workspace, "first text")
    for wanted in (first.hash, first.hash[:12], "1"):
        assert "first text" in shown(open_page(constitution="healthcare", version=wanted))
    assert "older text" in shown(open_page(constitution="healthcare", version=SHIPPED.hash[:8]))


@pytest.mark.parametrize("text", ["nobody", "../../etc/passwd", "<img src=x>", *HOSTILE[:40:4]])
def test_an_address_that_names_nothing_is_said(text: str) -> None:
    app = open_page(constitution=text)
    assert "No such constitution" in shown(app)
    assert text not in shown(app)
    app = open_page(constitution="healthcare", version=text)
    assert "No such version" in shown(app)
    assert text not in shown(app)
    app = open_page(draft=text, principle=text, step=text)
    assert "This draft cannot be opened" in shown(app)
    assert "<img" not in shown(app) and "<script" not in shown(app)


def test_a_principle_that_is_not_there_leads_to_the_name_and_description(workspace: Path) -> None:
    app = open_page(draft=begin(workspace).draft_id, principle="<img src=x>")
    assert field(app, "Description").value == "mine"


def test_hostile_text_is_inert_everywhere(workspace: Path) -> None:
    principles = tuple(
        replace(p, text=text, critique_request=text, revision_request=text, tags=(text,))
        for p, text in zip(SHIPPED.principles, HOSTILE[::8], strict=False)
    )
    hostile = replace(SHIPPED, principles=principles, description=HOSTILE[0])
    draft = build_draft(hostile, base_hash=SHIPPED.hash)
    save_draft(LOCAL_ACTOR, workspace, draft)
    pages = [open_page(draft=draft.draft_id, step="review")]
    pages += [open_page(draft=draft.draft_id, principle=p.key) for p in draft.principles]
    note = " ".join(HOSTILE)[:1900]
    save_constitution(LOCAL_ACTOR, workspace, draft, note=note, onto=SHIPPED.hash)
    pages += [
        open_page(constitution="healthcare"),
        open_page(constitution="healthcare", version="1"),
    ]
    pages[-1].button_group(key="constitution_view").set_value("History")
    run(pages[-1])
    bad = build_draft(hostile, base_hash=None, name=HOSTILE[0])
    bad = replace(bad, principles=tuple(replace(p, id=p.text) for p in bad.principles))
    save_draft(LOCAL_ACTOR, workspace, bad)
    pages += [
        open_page(),
        open_page(draft=bad.draft_id),
        open_page(draft=bad.draft_id, step="review"),
    ]
    for app in pages:
        for kind in ("markdown", "error", "warning", "info", "success", "caption", "exception"):
            assert all("evil.example" not in element.value for element in app.get(kind))
        text = shown(app)
        for tag in ("<img", "<script", "<iframe", "<svg", "<style", "<video", "<body", "<a "):
            assert tag not in text.lower()
        for button in app.button:
            assert "http://evil" not in button.label and "![" not in button.label


def test_a_reader_finds_nothing_to_change(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_as_other(workspace, "first text")
    draft = begin(workspace)
    vera = Actor(name="vera", role=AccessRole.VIEWER)
    monkeypatch.setattr(services, "actor", lambda: vera)
    for version in ("", "0"):
        app = open_page(constitution="healthcare", **({"version": version} if version else {}))
        for key in ("new", "edit", "fork", "restore"):
            assert not has_button(app, key)
    app = open_page(draft=draft.draft_id)
    assert "You may read here, not edit" in shown(app)
    assert len(app.button) == 0


def test_damaged_files_are_said_and_the_rest_works(workspace: Path) -> None:
    first = save_as_other(workspace, "first text")
    (workspace / "constitutions" / "healthcare" / f"{first.hash}.yaml").unlink()
    (workspace / "drafts" / "0123456789ab.json").write_text("{")
    app = open_page(constitution="healthcare")
    assert "This version cannot be read" in shown(app)
    assert "1 file under drafts/ cannot be read" in shown(app)
    app.button_group(key="constitution_view").set_value("History")
    run(app)
    press(app, "version_0")
    assert has_button(app, "restore")
    app = open_page(constitution="harmlessness")
    assert has_button(app, "edit")


def test_with_no_constitution_there_is_one_thing_to_do(
    monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setattr("cai_core.workspace.version_history.list_shipped", lambda _folder: ())
    app = open_page()
    assert "There is no constitution yet." in shown(app)
    press(app, "first")
    assert list_drafts(workspace)[0][0].name == ""
