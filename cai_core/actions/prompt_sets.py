"""What people do with prompt sets: add one from a file or a dataset, with its rejected lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cai_core.actions.check import require
from cai_core.errors import PromptFileError
from cai_core.pipeline.frozen_prompts import encode_prompts, load_frozen_prompts
from cai_core.pipeline.prompt_file import RejectedLine, prompts_hash
from cai_core.pipeline.prompt_sets import assign_split, count_splits
from cai_core.pipeline.prompt_tables import SUFFIXES, find_source, read_prompts
from cai_core.records import AccessRole, Actor, Prompt, PromptKind, content_hash
from cai_core.workspace.events import Topic, append_event
from cai_core.workspace.prompt_sets import (
    ADD,
    PromptSetVersion,
    check_set_name,
    lock_prompt_sets,
    read_prompt_sets,
    write_prompt_set,
    write_rejected,
)


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
    source: str,
    *,
    column: str | None = None,
    kind: PromptKind | None = None,
    held_out: float | None = None,
    seed: int = 0,
) -> AddedPrompts:
    """Add a file's or a dataset's prompts as the newest version of a set.

    Args:
        source: a .jsonl, .txt, .csv or .parquet file, or `hf:owner/name[:[config/]split]`.
        column, kind: as in `read_prompts`.
        held_out: share in (0, 1) of the prompts without a split that is held out; None gives
            nobody a split.
        seed: of the split.

    Raises:
        NotAllowedError: the actor may not add.
        PromptFileError: the name cannot be one, the source cannot be read, holds no prompt, or
            the share is none.
        ImportFormatError: a .parquet file that is none.
        WorkspaceError: the disk is full or refuses. Nothing was added.
    """
    require(actor, AccessRole.EDITOR, ADD)
    _check_name(name)
    if held_out is not None and not 0 < held_out < 1:
        raise PromptFileError(f"held-out is {held_out!r}. Give more than 0 and less than 1.")
    found = find_source(source)
    tally = _Tally(held_out=held_out, seed=seed)
    kept = tally.take(read_prompts(found, column=column, kind=kind), found.label)
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
        "held_out": held_out,
        "seed": seed,
        "rejected_hash": rejected_hash,
        **tally.as_dict(),
    }
    return _append_version(actor, workspace, fields, rejected)


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


def _check_name(name: str) -> None:
    check_set_name(name)
    if name.lower().endswith(SUFFIXES):
        raise PromptFileError(f"{name!r} would be taken for a file. Leave its ending out.")


@dataclass(slots=True)
class _Tally:
    """Passes prompts on and counts them."""

    held_out: float | None
    seed: int
    prompts: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    rejected: list[RejectedLine] = field(default_factory=list)

    def take(self, lines: Iterable[Prompt | RejectedLine], label: str) -> Iterator[Prompt]:
        """The prompts, each with its split. Raises PromptFileError where there are none."""
        for line in lines:
            if isinstance(line, RejectedLine):
                self.rejected.append(line)
                continue
            prompt = line
            if self.held_out is not None:
                prompt = assign_split(prompt, self.held_out, self.seed)
            self.prompts += 1
            self.kinds[prompt.kind.value] += 1
            count_splits(prompt, self.splits)
            yield prompt
        if not self.prompts:
            told = [f" Line {one.line}: {one.reason}." for one in self.rejected[:1]]
            raise PromptFileError(
                f"{label}: holds no prompt; {len(self.rejected)} lines were rejected."
                f"{''.join(told)} Correct it, or name another column (--column)."
            )

    def as_dict(self) -> dict[str, Any]:
        """Its counts, for the journal."""
        return {
            "prompts": self.prompts,
            "rejected": len(self.rejected),
            "kinds": dict(sorted(self.kinds.items())),
            "splits": dict(sorted(self.splits.items())),
        }
