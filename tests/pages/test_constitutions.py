"""The constitutions page through AppTest: read, edit, save, decide, go back, bad links."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions import constitutions as actions
from cai_core.actions.constitution_labels import move_label
from cai_core.actions.constitutions import discard_draft, save_constitution, save_draft
from cai_core.constitution import find_constitution
from cai_core.constitution.coverage import compute_coverage
from cai_core.constitution.exports import export_constitution
from cai_core.errors import WorkspaceError
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.drafts import (
    Draft,
    as_constitution,
    build_draft,
    list_drafts,
    load_draft,
)
from cai_core.workspace.tries import list_tries
from cai_core.workspace.version_labels import needs_other_person, read_labels
from cai_core.workspace.versions import VersionInfo, find_head, list_versions, load_version
from tests.hostile import HOSTILE
from ui import services
from ui.constitution_address import build_key
from ui.look import escape

OTHER = Actor(name="otto", role=AccessRole.EDITOR)
SHIPPED = find_constitution("healthcare")
FIELDS = ("Critique request", "Revision request", "Principle", "Id")


def script() -> None:
    import streamlit as st

    from ui.explorer_links import CONSTITUTIONS, CRITIQUES, PLAYGROUND

    others = [st.Page(page) for page in (CRITIQUES, PLAYGROUND)]
    st.navigation([st.Page(CONSTITUTIONS, default=True), *others]).run()


def open_page(**address: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=30)
    for name, value in address.items():
        app.query_params[name] = value
    return run(app)


def run(app: AppTest) -> AppTest:
    app.run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    bodies = [block.proto.body for block in app.get("html")]
    return "\n".join(body for body in bodies if not body.startswith("<style>"))  # our own


def address(app: AppTest) -> dict[str, str]:
    found = dict(app.query_params)
    return {k: v[0] if isinstance(v, list) else v for k, v in found.items()}


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click()
    return run(app)


def press_way(app: AppTest, way: str) -> AppTest:
    return press(app, f"way_{way}_{address(app)['principle']}")


def has_button(app: AppTest, key: str) -> bool:
    return any(button.key == key for button in app.button)


def field(app: AppTest, label: str) -> Any:
    (found,) = [f for f in (*app.text_area, *app.text_input) if f.label == label]
    return found


def type_into(app: AppTest, label: str, text: str) -> AppTest:
    field(app, label).set_value(text)
    return run(app)


def begin(workspace: Path, description: str = "mine", name: str = "healthcare") -> Draft:
    draft = build_draft(find_constitution(name), base_hash=find_constitution(name).hash)
    return save_draft(LOCAL_ACTOR, workspace, replace(draft, description=description))


def save_as_other(workspace: Path, description: str) -> VersionInfo:
    draft = begin(workspace, description)
    return save_constitution(OTHER, workspace, draft, note="theirs", onto=SHIPPED.hash)


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


def open_view(app: AppTest, view: str) -> AppTest:
    app.button_group(key="constitution_view").set_value(view)
    return run(app)


def find_keys(app: AppTest, kind: str, prefix: str) -> list[str]:
    return [str(w.key) for w in app.get(kind) if str(w.key).startswith(prefix)]


def approve(app: AppTest, note: str, label: str = "Approve") -> AppTest:
    (area,) = [a for a in app.text_area if str(a.key).startswith("label_note_head")]
    area.set_value(note)
    (button,) = [b for b in app.button if b.label == label and "label_go_head" in str(b.key)]
    button.click()
    return run(app)


def test_approve_then_production_then_nothing_stands_in_the_way_of_editing(
    workspace: Path,
) -> None:
    saved = save_as_other(workspace, "theirs")
    app = open_page(constitution="healthcare")
    assert app.button(key="edit").proto.type == "secondary"
    approve(app, " ")
    assert "There is no note." in shown(app)
    approve(app, "Read <b>it</b>.")
    assert "healthcare@approved is version 1 from now on." in shown(app)
    approve(app, "Go.", "Put into production")
    labels = read_labels(workspace, "healthcare")
    assert {name: move.hash for name, move in labels.items()} == {
        "approved": saved.hash,
        "production": saved.hash,
    }
    assert app.button(key="edit").proto.type == "primary"
    text = shown(open_view(app, "Labels"))
    assert "Read &lt;b&gt;it&lt;/b&gt;." in text and "nowhere → version 1" in text
    (link,) = [x.proto for x in app.get("page_link")]
    assert link.query_string == "constitution=healthcare%40production"


def test_a_label_goes_back_by_being_moved_from_an_older_version(workspace: Path) -> None:
    first = save_as_other(workspace, "first")
    move_label(OTHER, workspace, "healthcare", "production", first.hash, note="go", expected=None)
    app = open_view(open_page(constitution="healthcare", version="0"), "Labels")
    area = next(a for a in app.text_area if str(a.key).startswith("label_note_list_0"))
    (button,) = [b for b in app.button if b.label == "Put into production"]
    keys = [a.key for a in app.text_area if str(a.key).startswith("label_note_list_0")]
    assert len(keys) == 3 and area is not None
    app.text_area(key=build_key("label_note_list_0", "production")).set_value("Worse.")
    button.click()
    run(app)
    move = read_labels(workspace, "healthcare")["production"]
    assert (move.hash, move.was, move.note) == (SHIPPED.hash, first.hash, "Worse.")
    (button,) = [b for b in app.button if b.label == "Take it away"]
    app.text_area(key=build_key("remove_note", "production")).set_value("Not at all.")
    button.click()
    run(app)
    assert read_labels(workspace, "healthcare") == {}


def test_who_wrote_it_cannot_approve_it_where_that_is_set(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_as_other(workspace, "theirs")
    app = open_view(open_page(constitution="healthcare"), "Labels")
    app.toggle(key="label_rule").set_value(True)
    run(app)
    assert needs_other_person(workspace)
    monkeypatch.setattr(services, "actor", lambda: OTHER)
    app = open_page(constitution="healthcare")
    told = [t.value for t in app.get("text")]
    assert "You wrote in this version: another person has to approve it." in told
    assert not [b for b in app.button if b.label == "Approve"]
    app = open_view(app, "Labels")
    assert app.toggle(key="label_rule").disabled


def test_any_two_versions_can_be_compared(workspace: Path) -> None:
    save_as_other(workspace, "first text")
    draft = replace(build_draft(SHIPPED, base_hash=None), description="second text")
    head = find_head(workspace, "healthcare")
    assert head is not None
    save_constitution(OTHER, workspace, draft, note="n", onto=head.hash)
    app = open_page(constitution="healthcare", version="2")
    assert "<del>first</del> <ins>second</ins>" in shown(app)
    app = open_page(constitution="healthcare", version="2", against="0")
    assert "Against the shipped version" in shown(app)
    assert "<ins>second" in shown(app) and "first" not in shown(app)


def test_yaml_and_form_are_in_step(workspace: Path) -> None:
    draft = begin(workspace)
    app = open_page(draft=draft.draft_id)
    app.button_group(key=f"cn_step_{draft.draft_id}").set_value("yaml")
    run(app)
    assert address(app) == {"draft": draft.draft_id, "step": "yaml"}
    area = field(app, "The constitution's file")
    assert "description: mine" in area.value
    area.set_value(area.value.replace("description: mine", "description: from the text"))
    run(app)
    held = load_draft(workspace, draft.draft_id)
    assert held.description == "from the text"
    assert [p.key for p in held.principles] == [p.key for p in draft.principles]
    broken = field(app, "The constitution's file").value + "\nnonsense: <img src=x>\n"
    field(app, "The constitution's file").set_value(broken)
    run(app)
    assert "This text is not in the draft yet" in shown(app) and "unknown key" in shown(app)
    assert "<img" not in shown(app)
    assert load_draft(workspace, draft.draft_id) == held
    assert field(app, "The constitution's file").value == broken
    press(app, "yaml_reset")
    assert "nonsense" not in field(app, "The constitution's file").value
    press(app, "undo")
    assert load_draft(workspace, draft.draft_id).description == "mine"
    assert "description: mine" in field(app, "The constitution's file").value


def test_undo_goes_back_step_by_step_and_never_over_another_tabs_change(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    draft_id = address(app)["draft"]
    assert app.button(key="undo").disabled and app.button(key="redo").disabled
    type_into(app, "Principle", "One.")
    type_into(app, "Principle", "Two.")
    press(app, "undo")
    assert field(app, "Principle").value == "One."
    press(app, "undo")
    assert field(app, "Principle").value == SHIPPED.principles[0].text
    press(app, "redo")
    press(app, "redo")
    assert field(app, "Principle").value == "Two."
    other = open_page(**address(app))
    type_into(other, "Critique request", "Theirs.")
    press(app, "undo")
    assert "was changed in another tab since" in shown(app)
    held = load_draft(workspace, draft_id).principles[0]
    assert (held.text, held.critique_request) == ("Two.", "Theirs.")


def test_a_principle_is_split_and_merged_and_switched_off_and_weighed(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    draft_id, key = address(app)["draft"], address(app)["principle"]
    type_into(app, "Principle", "Never guess. Ask a nurse.")
    press(app, f"split_1_{key}")
    held = load_draft(workspace, draft_id)
    assert [p.text for p in held.principles[:2]] == ["Never guess.", "Ask a nurse."]
    assert len(held.principles) == len(SHIPPED.principles) + 1
    app.selectbox(key=f"merge_other_{key}").set_value(held.principles[1].key)
    press(app, f"merge_{key}")
    held = load_draft(workspace, draft_id)
    assert held.principles[0].text == "Never guess. Ask a nurse."
    assert len(held.principles) == len(SHIPPED.principles)
    app.checkbox(key=f"on_{draft_id}_{key}_1").uncheck()
    run(app)
    app.number_input[0].set_value(2.5)
    run(app)
    held = load_draft(workspace, draft_id)
    assert (held.principles[0].enabled, held.principles[0].weight) == (False, 2.5)
    press(app, "review")
    assert "In use" in shown(app) and "no, it is off" in shown(app) and "2.5" in shown(app)


def test_the_prompts_are_shown_as_the_model_sees_them(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    first = SHIPPED.principles[0]
    text = shown(app)
    for request in (first.critique_request, first.revision_request, first.comparison_request):
        assert f"<ins>{escape(request)}</ins>" in text
    assert "Not touched." in text and "‹the critique›" in text
    app.button_group(key="cn_template").set_value("paper")
    run(app)
    assert "CritiqueRequest:" in shown(app)
    type_into(app, "Comparison request", "")
    assert "no preference labels are made" in shown(app)


def test_a_long_constitution_is_gone_through_in_parts(workspace: Path) -> None:
    many = tuple(replace(SHIPPED.principles[0], id=f"p{n}") for n in range(250))
    draft = build_draft(replace(SHIPPED, principles=many), base_hash=None, name="long")
    save_draft(LOCAL_ACTOR, workspace, draft)
    app = open_page(draft=draft.draft_id)
    assert len(find_keys(app, "button", f"part_{draft.draft_id}")) == 61
    far = draft.principles[240]
    app = open_page(draft=draft.draft_id, principle=far.key)
    assert has_button(app, f"part_{draft.draft_id}_{far.key}")
    app.text_input(key=f"find_{draft.draft_id}").set_value("P123")
    run(app)
    assert len(find_keys(app, "button", f"part_{draft.draft_id}")) == 2
    app.text_input(key=f"find_{draft.draft_id}").set_value("nothing like it")
    run(app)
    assert "No principle has these words." in shown(app)


def test_a_try_is_begun_from_a_draft_and_belongs_to_its_version(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cai_core.actions.jobs.ensure_dispatcher", lambda _workspace: False)
    app = press(open_page(constitution="healthcare"), "fork")
    draft_id = address(app)["draft"]
    key = load_draft(workspace, draft_id).principles[0].key
    press(app, f"part_{draft_id}_{key}")
    type_into(app, "Revision request", "Say less.")
    press(app, "try")
    assert app.selectbox(key=f"try_{draft_id}_against").value.startswith("healthcare@")
    assert app.button(key="review").proto.type == "secondary"
    press(app, f"try_{draft_id}_go")
    (tried,) = list_tries(workspace, "healthcare-copy")
    assert tried.principle == SHIPPED.principles[0].id and tried.count == 20
    place = address(app)
    assert (place["before"], place["after"]) == (tried.before_run, tried.after_run)
    assert "queued" in shown(app)
    type_into(press(app, "back"), "Name", "mine")
    app = open_page(**place)
    assert "Not the text that you have now" in shown(app)
    app = open_page(constitution="healthcare", before="../x", after="<img src=x>")
    assert "No such try" in shown(app) and "<img" not in shown(app)


def test_a_draft_with_problems_or_without_an_older_text_is_not_tried(workspace: Path) -> None:
    app = press(open_page(), "new")
    draft_id = address(app)["draft"]
    press(app, "try")
    assert "To mend before it can be tried" in shown(app)
    fine = build_draft(SHIPPED, base_hash=None, name="mine")
    save_draft(LOCAL_ACTOR, workspace, fine)
    assert "no older text to try it against" in shown(open_page(draft=fine.draft_id, step="try"))
    assert draft_id != fine.draft_id


def test_the_lint_says_the_rule_its_reason_and_the_fix(workspace: Path) -> None:
    app = press(open_page(constitution="healthcare"), "edit")
    draft_id, key = address(app)["draft"], address(app)["principle"]
    type_into(app, "Revision request", "")
    text = shown(app)
    assert "A request is missing" in text and ">missing-request<" in text
    assert "Why it matters" in text
    button = next(b for b in app.button if str(b.key).startswith("fix_"))
    button.click()
    run(app)
    held = load_draft(workspace, draft_id).principle(key)
    assert held is not None and held.revision_request
    assert ">missing-request<" not in shown(app)
    press(app, "undo")
    assert ">missing-request<" in shown(app)
    press(app, f"part_{draft_id}_about")
    labels = [b.label for b in app.button if str(b.key).startswith("remark_")]
    assert any("a request is missing" in label for label in labels)


def test_hostile_text_in_what_the_lint_quotes_is_text(workspace: Path) -> None:
    texts = ["Be good. " + text + " Be nice and <b>appropriate</b>." for text in HOSTILE[::6]]
    many = tuple(
        replace(SHIPPED.principles[0], id=f"p{n}", text=text, critique_request=text)
        for n, text in enumerate(texts)
    )
    draft = build_draft(replace(SHIPPED, principles=many), base_hash=None, name="x")
    save_draft(LOCAL_ACTOR, workspace, draft)
    seen = 0
    for principle in (None, *draft.principles[:4]):
        more = {"principle": principle.key} if principle else {}
        app = open_page(draft=draft.draft_id, **more)
        text = shown(app).lower()
        seen += text.count("why it matters")
        assert not any(tag in text for tag in ("<img", "<script", "<iframe", "<svg", "<b>app"))
        assert not any("![" in b.label for b in app.button)
    assert seen


def upload(app: AppTest, name: str, raw: bytes) -> AppTest:
    app.file_uploader[0].upload(name, raw)
    return run(app)


VOTES = (
    b"statement,agree,disagree\nThe AI should be kind.,90,5\nThe AI should be <b>brief</b>.,1,9\n"
)


def test_votes_become_a_draft_and_a_version_that_knows_where_each_came_from(
    workspace: Path,
) -> None:
    app = press(open_page(), "import")
    assert address(app) == {"step": "import"} and "Choose a file" in shown(app)
    upload(app, "<i>votes</i>.csv", VOTES)
    text = shown(app)
    assert "90 agree, 5 disagree" in text and "&lt;b&gt;brief&lt;/b&gt;" in text
    assert "<i>votes" not in text
    press(app, "import_go")
    draft = load_draft(workspace, address(app)["draft"])
    assert draft.note == "Imported from <i>votes</i>.csv." and draft.base_hash is None
    assert draft.principles[0].critique_request
    saved = save_constitution(LOCAL_ACTOR, workspace, draft, note="votes", onto=None)
    told = saved.provenance[draft.principles[0].id]
    assert (told["source"], told["votes"]["agree"]) == ("<i>votes</i>.csv", 90)
    assert "90 agree" in shown(open_page(constitution=saved.name))


@pytest.mark.parametrize("suffix", ["yaml", "json", "markdown"])
def test_what_is_exported_and_imported_is_the_same_text(workspace: Path, suffix: Any) -> None:
    raw = export_constitution(SHIPPED, suffix).encode()
    app = upload(open_page(step="import"), f"x.{suffix}", raw)
    press(app, "import_go")
    draft = load_draft(workspace, address(app)["draft"])
    assert draft.name == "healthcare-2"  # the name is taken
    assert as_constitution(draft).principles == SHIPPED.principles
    app = upload(open_page(step="import"), f"x.{suffix}", raw)
    app.selectbox(key="constitution_target").set_value("healthcare")
    press(run(app), "import_go")
    assert "no changes yet" in shown(app)


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"{", b"format: 1\nname: <img src=x>\n"])
def test_a_file_that_is_no_constitution_is_said(raw: bytes) -> None:
    app = upload(open_page(step="import"), "<img src=y>.yaml", raw)
    assert "cannot be read as a constitution" in shown(app)
    assert not has_button(app, "import_go") and "<img" not in shown(app)


def test_every_format_can_be_downloaded_and_a_reader_imports_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = open_page(constitution="healthcare")
    labels = [b.proto.label for b in app.get("download_button")]
    assert labels == ["YAML", "JSON", "Markdown", "HTML, to print"]
    vera = Actor(name="vera", role=AccessRole.VIEWER)
    monkeypatch.setattr(services, "actor", lambda: vera)
    app = open_page(step="import")
    assert not app.file_uploader and not has_button(app, "import")


def test_coverage_shows_holes_first_with_a_prompt_for_each() -> None:
    app = open_view(open_page(constitution="healthcare"), "Coverage")
    text = shown(app)
    coverage = compute_coverage(SHIPPED)
    assert coverage.holes
    for hole in coverage.holes:
        assert f"Try: {escape(hole.prompt)}" in text
    rows = text.split("<tbody>")[1].split("<tr>")[1:]
    assert [row.split("</td>")[0] for row in rows[: len(coverage.holes)]] == [
        f"<td>{hole.category}" for hole in coverage.holes
    ]
    assert "No run of this text has told" in text


def test_what_a_callback_was_kept_from_is_kept_by_the_next_run(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that a newer one replaces ends inside its callbacks: as if they were never called."""
    monkeypatch.setattr("ui.constitution_fields.keep_field", lambda *_: None)
    app = press(open_page(constitution="healthcare"), "edit")
    draft_id = address(app)["draft"]
    type_into(app, "Principle", "Left in haste.")
    assert field(app, "Principle").value == "Left in haste."
    app.multiselect[0].set_value(["harm", "new tag"])
    run(app)
    held = load_draft(workspace, draft_id).principles[0]
    assert (held.text, held.tags) == ("Left in haste.", ("harm", "new tag"))
