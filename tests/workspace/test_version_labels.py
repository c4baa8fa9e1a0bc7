"""Labels: pointers with a history, moved by somebody for a reason; and what they resolve to."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.actions.constitution_labels import move_label, remove_label, set_approval_rule
from cai_core.actions.constitutions import (
    change_draft,
    restore_version,
    save_constitution,
    save_draft,
)
from cai_core.commands.verify import _check_constitutions, _Tally
from cai_core.constitution import find_constitution
from cai_core.errors import (
    CaiError,
    ConstitutionError,
    NotAllowedError,
    VersionConflictError,
)
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor
from cai_core.workspace.drafts import build_draft
from cai_core.workspace.events import Topic, append_event, get_journal_path
from cai_core.workspace.journal import verify_chain
from cai_core.workspace.version_labels import (
    LabelMove,
    check_label,
    list_moves,
    needs_other_person,
    read_all_labels,
    read_labels,
)
from cai_core.workspace.versions import VersionInfo, list_versions, resolve_constitution

EVE = Actor(name="eve", role=AccessRole.EDITOR)
OTTO = Actor(name="otto", role=AccessRole.EDITOR)
VERA = Actor(name="vera", role=AccessRole.VIEWER)
NAME = "healthcare"
SHIPPED = find_constitution(NAME)


def save(workspace: Path, text: str, actor: Actor = EVE) -> VersionInfo:
    versions = list_versions(workspace, NAME)
    draft = build_draft(SHIPPED, base_hash=versions[0].hash)
    draft = replace(draft, description=text)
    return save_constitution(actor, workspace, draft, note=text, onto=versions[0].hash)


def move(
    workspace: Path, label: str, version: str, *, actor: Actor = OTTO, expected: str | None = None
) -> None:
    move_label(actor, workspace, NAME, label, version, note=f"to {label}", expected=expected)


def points_to(workspace: Path, label: str) -> str | None:
    found = read_labels(workspace, NAME).get(label)
    return found.hash if found else None


def test_a_label_points_moves_back_and_goes_and_its_history_stays(tmp_path: Path) -> None:
    first, second = save(tmp_path, "first"), save(tmp_path, "second")
    move(tmp_path, "production", first.hash)
    move(tmp_path, "production", second.hash, expected=first.hash)
    assert resolve_constitution(tmp_path, f"{NAME}@production").description == "second"
    move(tmp_path, "production", first.hash, actor=EVE, expected=second.hash)
    assert resolve_constitution(tmp_path, f"{NAME}@production").description == "first"
    assert resolve_constitution(tmp_path, NAME).description == "second"
    remove_label(OTTO, tmp_path, NAME, "production", note="gone", expected=first.hash)
    assert points_to(tmp_path, "production") is None
    told = [(m.hash, m.was, m.actor, m.note) for m in list_moves(tmp_path, NAME)]
    assert told == [
        (None, first.hash, "otto", "gone"),
        (first.hash, second.hash, "eve", "to production"),
        (second.hash, first.hash, "otto", "to production"),
        (first.hash, None, "otto", "to production"),
    ]
    assert verify_chain(get_journal_path(tmp_path, Topic.CONSTITUTIONS)) == []
    assert [v.number for v in list_versions(tmp_path, NAME)] == [2, 1, 0]


def test_what_labels_write_is_whole_to_who_verifies(tmp_path: Path) -> None:
    move(tmp_path, "production", SHIPPED.hash)
    first = save(tmp_path, "first")
    move(tmp_path, "production", first.hash, expected=SHIPPED.hash)
    remove_label(OTTO, tmp_path, NAME, "production", note="gone", expected=first.hash)
    set_approval_rule(LOCAL_ACTOR, tmp_path, other_person=True)
    assert list(_check_constitutions(tmp_path, _Tally())) == []


def test_labels_come_in_the_order_a_text_goes_through_them(tmp_path: Path) -> None:
    for label in ("zebra", "production", "draft", "a-team", "approved"):
        move(tmp_path, label, SHIPPED.hash)
    assert list(read_labels(tmp_path, NAME)) == [
        "draft",
        "approved",
        "production",
        "a-team",
        "zebra",
    ]
    assert list(read_all_labels(tmp_path)) == [NAME]


def test_a_label_on_a_shipped_text_keeps_that_text(tmp_path: Path) -> None:
    move(tmp_path, "production", SHIPPED.hash)
    elsewhere = tmp_path / "an empty folder of shipped constitutions"
    assert resolve_constitution(tmp_path, f"{NAME}@production", elsewhere) == SHIPPED


@pytest.mark.parametrize(
    "label", ["", "A", "1st", "a b", "../x", "a@b", "x" * 33, "decade", "facade", "<img src=x>"]
)
def test_what_cannot_be_a_label_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(ConstitutionError, match="cannot be a label"):
        move(tmp_path, label, SHIPPED.hash)
    assert not get_journal_path(tmp_path, Topic.CONSTITUTIONS).exists()


@pytest.mark.parametrize("label", ["draft", "approved", "production", "eu-2027", "dec"])
def test_what_can(label: str) -> None:
    check_label(label)


def test_an_unknown_label_says_which_there_are(tmp_path: Path) -> None:
    move(tmp_path, "approved", SHIPPED.hash)
    with pytest.raises(ConstitutionError, match="Its labels: approved"):
        resolve_constitution(tmp_path, f"{NAME}@production")


def test_a_move_needs_a_note_a_version_a_role_and_another_place(tmp_path: Path) -> None:
    with pytest.raises(CaiError, match="no note"):
        move_label(OTTO, tmp_path, NAME, "draft", SHIPPED.hash, note=" ", expected=None)
    with pytest.raises(ConstitutionError, match="no such version"):
        move(tmp_path, "draft", "0" * 64)
    with pytest.raises(NotAllowedError):
        move(tmp_path, "draft", SHIPPED.hash, actor=VERA)
    with pytest.raises(NotAllowedError):
        remove_label(VERA, tmp_path, NAME, "draft", note="n", expected=SHIPPED.hash)
    move(tmp_path, "draft", SHIPPED.hash)
    with pytest.raises(CaiError, match="already"):
        move(tmp_path, "draft", SHIPPED.hash, expected=SHIPPED.hash)


def test_of_two_who_move_a_label_the_second_looks_again(tmp_path: Path) -> None:
    first, second = save(tmp_path, "first"), save(tmp_path, "second")
    move(tmp_path, "production", first.hash)
    move(tmp_path, "production", second.hash, expected=first.hash)
    with pytest.raises(VersionConflictError, match="otto moved production meanwhile"):
        move(tmp_path, "production", SHIPPED.hash, actor=EVE, expected=first.hash)
    assert points_to(tmp_path, "production") == second.hash


def test_another_person_approves_where_that_is_set(tmp_path: Path) -> None:
    assert not needs_other_person(tmp_path)
    with pytest.raises(NotAllowedError):
        set_approval_rule(EVE, tmp_path, other_person=True)
    set_approval_rule(LOCAL_ACTOR, tmp_path, other_person=True)
    assert needs_other_person(tmp_path)
    mine = save(tmp_path, "mine")
    with pytest.raises(NotAllowedError, match="another person has to approve"):
        move(tmp_path, "approved", mine.hash, actor=EVE)
    with pytest.raises(NotAllowedError, match="nobody but its authors has approved"):
        move(tmp_path, "production", mine.hash, actor=EVE)
    move(tmp_path, "draft", mine.hash, actor=EVE)
    move(tmp_path, "approved", mine.hash)
    move(tmp_path, "production", mine.hash, actor=EVE)
    set_approval_rule(LOCAL_ACTOR, tmp_path, other_person=False)
    move(tmp_path, "approved", save(tmp_path, "next").hash, actor=EVE, expected=mine.hash)


def test_an_approval_by_the_author_counts_for_nothing_once_the_rule_is_set(tmp_path: Path) -> None:
    mine = save(tmp_path, "mine")
    move(tmp_path, "approved", mine.hash, actor=EVE)
    set_approval_rule(LOCAL_ACTOR, tmp_path, other_person=True)
    with pytest.raises(NotAllowedError, match="nobody but its authors"):
        move(tmp_path, "production", mine.hash)


def test_who_wrote_in_a_draft_is_an_author_whoever_saves_it(tmp_path: Path) -> None:
    set_approval_rule(LOCAL_ACTOR, tmp_path, other_person=True)
    draft = save_draft(LOCAL_ACTOR, tmp_path, build_draft(SHIPPED, base_hash=SHIPPED.hash))
    draft = change_draft(EVE, tmp_path, draft.draft_id, lambda d: replace(d, description="hers"))
    saved = save_constitution(OTTO, tmp_path, draft, note="n", onto=SHIPPED.hash)
    assert saved.authors == ("eve", "otto")
    for author in (EVE, OTTO):
        with pytest.raises(NotAllowedError, match=f"{author.name} wrote in this version"):
            move(tmp_path, "approved", saved.hash, actor=author)
    move(tmp_path, "approved", saved.hash, actor=LOCAL_ACTOR)


def test_who_brings_a_text_back_did_not_write_it(tmp_path: Path) -> None:
    first = save(tmp_path, "first")
    second = save(tmp_path, "second")
    restore_version(OTTO, tmp_path, NAME, first.hash, note="back", onto=second.hash)
    set_approval_rule(LOCAL_ACTOR, tmp_path, other_person=True)
    move(tmp_path, "approved", first.hash, actor=OTTO)


def test_a_fork_says_what_it_was_forked_from(tmp_path: Path) -> None:
    draft = replace(
        build_draft(SHIPPED, base_hash=None, name="mine"),
        forked_from=f"{NAME}@{SHIPPED.hash}",
    )
    saved = save_constitution(EVE, tmp_path, draft, note="forked", onto=None)
    assert saved.forked_from == f"{NAME}@{SHIPPED.hash}"
    again = replace(build_draft(SHIPPED, base_hash=saved.hash, name="mine"), description="x")
    assert save_constitution(EVE, tmp_path, again, note="n", onto=saved.hash).forked_from is None


def test_two_sessions_saving_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each saves ten texts on top of whatever is newest: every one of them is a version."""
    lost: list[str] = []

    def work(actor: Actor) -> None:
        for number in range(10):
            text = f"{actor.name} {number}"
            for _ in range(200):
                try:
                    save(tmp_path, text, actor)
                    break
                except VersionConflictError:
                    continue
            else:
                lost.append(text)

    threads = [threading.Thread(target=work, args=(actor,)) for actor in (EVE, OTTO)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = list_versions(tmp_path, NAME)[:-1]
    assert lost == []
    assert {v.note for v in versions} == {f"{a} {n}" for a in ("eve", "otto") for n in range(10)}
    assert [v.parent for v in versions[:-1]] == [v.hash for v in versions[1:]]
    assert verify_chain(get_journal_path(tmp_path, Topic.CONSTITUTIONS)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "../x", "label": "draft", "version": "0" * 64, "note": "n"},
        {"name": NAME, "label": "<b>", "version": "0" * 64, "note": "n"},
        {"name": NAME, "label": "draft", "version": "../../x", "note": "n"},
        {"name": NAME, "label": "draft", "version": None, "note": "n"},
        {"name": NAME, "label": "draft", "version": "0" * 64, "note": 5},
    ],
)
def test_a_foreign_event_is_no_move(tmp_path: Path, fields: dict[str, object]) -> None:
    append_event(tmp_path, Topic.CONSTITUTIONS, EVE, "move label", fields)
    assert list_moves(tmp_path, NAME) == []


def test_a_move_reads_back_as_it_was_made(tmp_path: Path) -> None:
    move(tmp_path, "draft", SHIPPED.hash)
    (found,) = list_moves(tmp_path, NAME)
    assert found == LabelMove(
        name=NAME,
        label="draft",
        hash=SHIPPED.hash,
        was=None,
        note="to draft",
        actor="otto",
        at=found.at,
    )
