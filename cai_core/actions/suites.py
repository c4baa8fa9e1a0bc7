"""Suites that people bring: added as immutable versions, held out of training where they say so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from cai_core.actions.check import check_note, require
from cai_core.evaluation.suite_file import dump_suite
from cai_core.jobs.suite_upload import read_upload
from cai_core.records import AccessRole, Actor
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.locks import hold_lock
from cai_core.workspace.suites import (
    ADD,
    LOCK,
    SuiteVersion,
    read_suites,
    write_suite,
)

_MOST_COUNTED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedSuite:
    """What an upload came to.

    Attributes:
        fresh: False where the newest version was just this already; then nothing was added.
    """

    version: SuiteVersion
    fresh: bool


def add_suite(
    actor: Actor,
    workspace: Path,
    name: str,
    content: bytes,
    note: str,
    *,
    source: str = "",
    held_out: bool | None = None,
) -> AddedSuite:
    """Add a file's prompts as the newest version of a suite.

    Args:
        content: JSON lines, as `evaluation.suites` tells.
        note: why, at most `check.MAX_NOTE` characters.
        source: name of the file, for people.
        held_out: None takes what the file says, which is true where it says nothing.

    Raises:
        NotAllowedError: the actor may not add.
        CaiError: there is no note, or it is too long.
        ImportFormatError: as `suite_upload.read_upload`.
        WorkspaceError: the disk is full or refuses. Nothing was added.
    """
    require(actor, AccessRole.EDITOR, ADD)
    told = check_note(note)
    suite = read_upload(name, content, held_out)
    with hold_lock(workspace, LOCK):
        versions = read_suites(workspace).get(name, [])
        head = versions[-1] if versions else None
        same = (suite.hash, suite.held_out, suite.description)
        if head is not None and (head.hash, head.held_out, head.description) == same:
            return AddedSuite(version=head, fresh=False)
        numbered = replace(suite, version=len(versions) + 1)
        write_suite(workspace, name, suite.hash, dump_suite(numbered))
        categories = sorted(suite.count_categories().items(), key=lambda one: -one[1])
        fields = {
            "name": name,
            "version": suite.hash,
            "number": numbered.version,
            "description": suite.description,
            "held_out": suite.held_out,
            "source": source[:200],
            "note": told,
            "prompts": len(suite.prompts),
            "kinds": {kind.value: count for kind, count in suite.count_kinds().items()},
            "categories": dict(categories[:_MOST_COUNTED]),
        }
        append_event(workspace, Topic.PROMPTS, actor, ADD, fields)
        return AddedSuite(version=read_suites(workspace)[name][-1], fresh=True)
