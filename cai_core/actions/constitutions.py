"""What people do with constitutions: keep a draft, save it as a version, go back to an older one.

Saving is optimistic: whoever saves says which version they saw last, and is refused when another
one came in between. Nothing is overwritten: a version's file never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cai_core.actions.check import check_note, require
from cai_core.errors import CaiError, VersionConflictError
from cai_core.records import AccessRole, Actor, Constitution
from cai_core.workspace.draft_check import build_constitution
from cai_core.workspace.drafts import (
    Draft,
    as_constitution,
    delete_draft,
    get_draft_path,
    load_draft,
    lock_constitutions,
    write_draft,
)
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.status import now
from cai_core.workspace.versions import (
    RESTORE,
    SAVE,
    SHORT,
    VersionInfo,
    find_head,
    load_version,
    write_version,
)


def save_draft(actor: Actor, workspace: Path, draft: Draft) -> Draft:
    """Keep a draft, whatever state it is in. Returns it with who and when.

    Raises:
        NotAllowedError: the actor may not edit.
        WorkspaceError: too large, or the disk refuses; the old file is untouched.
    """
    require(actor, AccessRole.EDITOR, "edit a constitution")
    kept = replace(draft, actor=actor.name, updated_at=now())
    with lock_constitutions(workspace):
        write_draft(workspace, kept)
    return kept


def change_draft(
    actor: Actor, workspace: Path, draft_id: str, change: Callable[[Draft], Draft]
) -> Draft:
    """Change what a draft's file holds now, so that two tabs do not undo each other's fields.

    Raises:
        NotAllowedError: the actor may not edit.
        WorkspaceError: the draft is gone or damaged, or the disk refuses.
    """
    require(actor, AccessRole.EDITOR, "edit a constitution")
    with lock_constitutions(workspace):
        held = load_draft(workspace, draft_id)
        changed = replace(change(held), draft_id=draft_id)
        if changed == held:
            return held
        kept = replace(
            changed,
            actor=actor.name,
            updated_at=now(),
            authors=tuple(dict.fromkeys((*held.authors, actor.name))),
        )
        write_draft(workspace, kept)
    return kept


def discard_draft(actor: Actor, workspace: Path, draft_id: str) -> None:
    """Throw a draft away, damaged or not; one that is gone already is no error.

    Raises:
        NotAllowedError: the actor may not edit.
    """
    require(actor, AccessRole.EDITOR, "discard a draft")
    with lock_constitutions(workspace):
        delete_draft(workspace, draft_id)


def save_constitution(
    actor: Actor, workspace: Path, draft: Draft, *, note: str, onto: str | None
) -> VersionInfo:
    """Save a draft as the newest version of its name, and end the draft.

    Args:
        note: why; 1 to MAX_NOTE characters.
        onto: hash of the version that the person saw as the newest, None for a new name.

    Returns:
        The new version.

    Raises:
        NotAllowedError: the actor may not edit.
        ConstitutionError: every problem of the draft, one a line.
        VersionConflictError: another version is the newest by now. Nothing was written.
        CaiError: no note, nothing changed, or the draft was changed in another tab meanwhile.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.EDITOR, SAVE)
    reason = check_note(note)
    constitution = build_constitution(draft)
    with lock_constitutions(workspace):
        _check_draft_unchanged(workspace, draft)
        head = _check_head(workspace, constitution.name, onto)
        more: dict[str, Any] = {"authors": list(dict.fromkeys((*draft.authors, actor.name)))}
        if draft.forked_from is not None and head is None:
            more["forked_from"] = draft.forked_from
        kept = {p.id: draft.provenance[p.id] for p in draft.principles if p.id in draft.provenance}
        if kept:
            more["provenance"] = kept
        version = _append_version(actor, workspace, constitution, head, SAVE, reason, more)
        # A kill before this line leaves a draft that equals the head: the page says so.
        delete_draft(workspace, draft.draft_id)
    return version


def restore_version(
    actor: Actor, workspace: Path, name: str, version_hash: str, *, note: str, onto: str | None
) -> VersionInfo:
    """Make an older version's content the newest again, as one more version.

    Args:
        note, onto: as in `save_constitution`.

    Raises:
        NotAllowedError: the actor may not edit.
        ConstitutionError: the version is missing or damaged.
        VersionConflictError: another version is the newest by now. Nothing was written.
        CaiError: no note, or the content is the newest already.
        WorkspaceError: the disk refuses.
    """
    require(actor, AccessRole.EDITOR, RESTORE)
    reason = check_note(note)
    with lock_constitutions(workspace):
        head = _check_head(workspace, name, onto)
        constitution = load_version(workspace, name, version_hash)
        return _append_version(actor, workspace, constitution, head, RESTORE, reason, {})


def _check_draft_unchanged(workspace: Path, draft: Draft) -> None:
    """What was looked at is what is saved; a draft that was never kept is its own proof."""
    if not get_draft_path(workspace, draft.draft_id).exists():
        return
    held = load_draft(workspace, draft.draft_id)
    if as_constitution(held) != as_constitution(draft):
        raise CaiError(
            "This draft was changed in another tab since you looked at it. Look at the changes "
            "again, then save."
        )


def _check_head(workspace: Path, name: str, onto: str | None) -> VersionInfo | None:
    head = find_head(workspace, name)
    if (head.hash if head else None) == onto:
        return head
    if head is None:
        raise CaiError(f"{name}: there is no such constitution to save on. Save it as a new one.")
    if onto is None:
        raise VersionConflictError(
            f"{name}: this name is taken. Choose another name.", head=head.hash
        )
    who = f"{head.actor} saved {head.hash[:SHORT]}" if head.actor else f"{head.hash[:SHORT]} came"
    raise VersionConflictError(
        f"{name}: {who} meanwhile. Look at the difference, then save yours on top of it or "
        "discard yours.",
        head=head.hash,
    )


def _append_version(
    actor: Actor,
    workspace: Path,
    constitution: Constitution,
    head: VersionInfo | None,
    action: str,
    note: str,
    more: Mapping[str, Any],
) -> VersionInfo:
    if head is not None and head.hash == constitution.hash:
        raise CaiError(
            f"{constitution.name}: this is what the newest version {head.hash[:SHORT]} says "
            "already (white space does not count). There is nothing to save."
        )
    if head is not None and head.shipped:
        # The next release may ship another text under this name; what was built on stays.
        write_version(workspace, load_version(workspace, head.name, head.hash))
    write_version(workspace, constitution)
    append_event(
        workspace,
        Topic.CONSTITUTIONS,
        actor,
        action,
        {
            "name": constitution.name,
            "version": constitution.hash,
            "parent": head.hash if head else None,
            "note": note,
            "principles": len(constitution.principles),
            **more,
        },
    )
    saved = find_head(workspace, constitution.name)
    assert saved is not None
    return saved
