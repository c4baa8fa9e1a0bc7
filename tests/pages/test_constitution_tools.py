"""The page Constitutions: labels, YAML, undo, tries, lint, files, coverage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cai_core.actions.constitution_labels import move_label
from cai_core.actions.constitutions import save_constitution, save_draft
from cai_core.constitution.coverage import compute_coverage
from cai_core.constitution.exports import export_constitution
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.drafts import (
    as_constitution,
    build_draft,
    load_draft,
)
from cai_core.workspace.tries import list_tries
from cai_core.workspace.version_labels import needs_other_person, read_labels
from cai_core.workspace.versions import find_head
from tests.hostile import HOSTILE
from tests.pages.constitution_page import (
    OTHER,
    SHIPPED,
    address,
    begin,
    field,
    has_button,
    open_page,
    press,
    run,
    save_as_other,
    shown,
    type_into,
)
from ui import services
from ui.constitution_address import build_key
from ui.look import escape


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
