"""What people do with prompt sets: add one from a file or a dataset, with its rejected lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.actions.check import require
from cai_core.errors import PromptFileError
from cai_core.pipeline.frozen_prompts import encode_prompts, load_frozen_prompts
from cai_core.pipeline.prompt_file import RejectedLine, prompts_hash
from cai_core.pipeline.prompt_preview import Import, PromptTally, check_new_name
from cai_core.pipeline.prompt_tables import SUFFIXES, PromptSource, find_source
from cai_core.records import AccessRole, Actor, PromptKind, content_hash
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.prompt_sets import (
    ADD,
    PromptSetVersion,
    lock_prompt_sets,
    read_prompt_sets,
    write_prompt_set,
    write_rejected,
)
from cai_core.workspace.prompt_uploads import delete_upload, write_upload


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedPrompts:
    """What an import came to.

    Attributes:
        version: the set's newest one.
        rejected: lines that are no prompts, in order.
        fresh: False where the newest version held just this already; then nothing was added.
    """

    version: PromptSetVersion
    rejected: tuple[RejectedLine, ...]
    fresh: bool


def add_prompt_set(
    actor: Actor,
    workspace: Path,
    name: str,
    source: str | PromptSource,
    *,
    column: str | None = None,
    kind: PromptKind | None = None,
    tags: Sequence[str] = (),
    held_out: float | None = None,
    seed: int = 0,
) -> AddedPrompts:
    """Add a file's or a dataset's prompts as the newest version of a set.

    Args:
        source: a .jsonl, .txt, .csv or .parquet file, or `hf:owner/name[:[config/]split]`; or
            what `find_source` made of it.
        column, kind, tags, held_out, seed: as in `Import`.

    Raises:
        NotAllowedError: the actor may not add.
        PromptFileError: the name cannot be one, the source cannot be read, holds no prompt, or
            the share or a tag is none.
        ImportFormatError: a .parquet file that is none.
        WorkspaceError: the disk is full or refuses. Nothing was added.
    """
    require(actor, AccessRole.EDITOR, ADD)
    check_new_name(name)
    how = Import(column=column, kind=kind, tags=tuple(tags), held_out=held_out, seed=seed)
    found = find_source(source) if isinstance(source, str) else source
    tally = PromptTally()
    kept = tally.read(found, how)
    version_hash = write_prompt_set(
        workspace, name, encode_prompts(kept), lambda path: prompts_hash(load_frozen_prompts(path))
    )
    rejected = tuple(tally.rejected)
    lines = [line.as_dict() for line in rejected]
    rejected_hash = content_hash(lines) if lines else None
    if rejected_hash is not None:
        write_rejected(workspace, name, rejected_hash, lines)
    fields = {
        "name": name,
        "version": version_hash,
        "source": found.label,
        "column": column,
        "added_tags": list(how.tags),
        "held_out": held_out,
        "seed": seed,
        "rejected_hash": rejected_hash,
        **tally.as_dict(),
    }
    return _append_version(actor, workspace, fields, rejected)


def keep_upload(actor: Actor, workspace: Path, name: str, content: bytes) -> str:
    """Keep a file until it is decided whether to add it, at most a day. Not journalled.

    Returns:
        Its id, for `find_upload`.

    Raises:
        NotAllowedError: the actor may not add.
        PromptFileError: it is too large, or of no known kind.
        WorkspaceError: the disk is full or refuses.
    """
    require(actor, AccessRole.EDITOR, "upload prompts")
    if not name.lower().endswith(SUFFIXES):
        raise PromptFileError(f"{name!r:.80}: must end in {', '.join(SUFFIXES)}.")
    return write_upload(workspace, name, content)


def drop_upload(actor: Actor, workspace: Path, upload_id: str) -> None:
    """Forget a file that was kept. Not journalled.

    Raises:
        NotAllowedError: the actor may not add.
    """
    require(actor, AccessRole.EDITOR, "upload prompts")
    delete_upload(workspace, upload_id)


def _append_version(
    actor: Actor, workspace: Path, fields: dict[str, Any], rejected: tuple[RejectedLine, ...]
) -> AddedPrompts:
    with lock_prompt_sets(workspace):
        versions = read_prompt_sets(workspace).get(fields["name"], [])
        head = versions[-1] if versions else None
        told = (fields["version"], fields["rejected_hash"])
        if head is not None and (head.hash, head.rejected_hash) == told:
            return AddedPrompts(version=head, rejected=rejected, fresh=False)
        parent = head.hash if head else None
        append_event(workspace, Topic.PROMPTS, actor, ADD, {**fields, "parent": parent})
        version = read_prompt_sets(workspace)[fields["name"]][-1]
    return AddedPrompts(version=version, rejected=rejected, fresh=True)
