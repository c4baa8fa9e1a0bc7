"""Prompt sets by name: found, chosen from, and split into training and held-out prompts."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import overload

from cai_core.errors import PromptFileError
from cai_core.pipeline.frozen_prompts import load_frozen_prompts
from cai_core.pipeline.prompt_file import RejectedLine, load_prompts, prompts_hash
from cai_core.pipeline.prompt_tables import expand_path
from cai_core.records import Prompt
from cai_core.training.datasets import HELD_OUT
from cai_core.workspace.prompt_sets import (
    SHORT,
    PromptSetVersion,
    check_set_name,
    get_prompt_set_path,
    read_prompt_sets,
)

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "prompts"
SPLIT = "split:"
TRAIN = f"{SPLIT}train"
_FILE_SUFFIXES = (".jsonl", ".txt")
_TABLE_SUFFIXES = (".csv", ".parquet")
_PREFIX = re.compile(r"[0-9a-f]{6,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPrompts:
    """What a reference names.

    Attributes:
        label: `name@hash`, or the file's name.
        rejected: lines of the file that are no prompts; none for a set.
    """

    label: str
    prompts: Sequence[Prompt]
    rejected: tuple[RejectedLine, ...] = ()


def resolve_prompts(
    workspace: Path, ref: str, *, folder: Path | None = None, shipped: Path = SHIPPED
) -> FoundPrompts:
    """The prompts that a reference names.

    Args:
        ref: a set's NAME (its newest version), `NAME@HASHPREFIX` (at least 6 hex digits), or a
            path to a .jsonl or .txt file.
        folder: where a relative path begins; None is the working directory.

    Raises:
        PromptFileError: unknown (the message lists what there is), ambiguous, or broken.
    """
    if "/" in ref or "\\" in ref or ref.lower().endswith((*_FILE_SUFFIXES, *_TABLE_SUFFIXES)):
        return _load_file((folder or Path()) / expand_path(ref))
    name, _, prefix = ref.partition("@")
    version = find_version(workspace, name, prefix if "@" in ref else None, shipped)
    return FoundPrompts(label=version.label, prompts=load_version(workspace, version, shipped))


def list_versions(
    workspace: Path, name: str | None = None, shipped: Path = SHIPPED
) -> list[PromptSetVersion]:
    """Every version of a set, newest first; without a name the newest version of each set."""
    histories = read_prompt_sets(workspace)
    for path in sorted(shipped.glob("*.jsonl")):
        if name in (None, path.stem):
            histories.setdefault(path.stem, []).insert(0, _build_shipped(path))
    if name is not None:
        return histories.get(name, [])[::-1]
    return [histories[key][-1] for key in sorted(histories, key=str.casefold)]


def find_version(
    workspace: Path, name: str, prefix: str | None = None, shipped: Path = SHIPPED
) -> PromptSetVersion:
    """The newest version of a set, or the one whose hash begins with `prefix`.

    Raises:
        PromptFileError: no such set or version, or several.
    """
    check_set_name(name)
    versions = list_versions(workspace, name, shipped)
    if not versions:
        there = ", ".join(version.name for version in list_versions(workspace, None, shipped))
        raise PromptFileError(
            f"no prompt set {name!r}. There is: {there or 'none'}. Add it with `prompts add`, or "
            "give a path to a .jsonl or .txt file."
        )
    if prefix is None:
        return versions[0]
    if not _PREFIX.fullmatch(prefix):
        raise PromptFileError(
            f"{name}@{prefix}: {prefix!r} is not the beginning of a hash. Give 6 to 64 digits of "
            "0-9 and a-f."
        )
    found = {v.hash: v for v in versions if v.hash.startswith(prefix)}
    if len(found) != 1:
        problem = "several versions begin with it" if found else "no such version"
        there = ", ".join(dict.fromkeys(v.hash[:SHORT] for v in versions))
        raise PromptFileError(f"{name}@{prefix}: {problem}. There is: {there}.")
    return next(iter(found.values()))


def load_version(
    workspace: Path, version: PromptSetVersion, shipped: Path = SHIPPED
) -> Sequence[Prompt]:
    """The prompts of a version, checked against its hash.

    Raises:
        PromptFileError: its file is gone, damaged, or was changed by hand.
    """
    if version.number == 0:
        path = shipped / f"{version.name}.jsonl"
        prompts: Sequence[Prompt] = load_prompts(path).prompts
    else:
        path = get_prompt_set_path(workspace, version.name, version.hash)
        prompts = load_frozen_prompts(path)
    if (found := prompts_hash(prompts)) != version.hash:
        raise PromptFileError(
            f"{path}: was changed after it was added; its hash is {found[:SHORT]}. Bring the file "
            "back from a backup, or choose another version."
        )
    return prompts


def select_prompts(
    prompts: Sequence[Prompt],
    *,
    tags: Collection[str] = (),
    kinds: Collection[str] = (),
    limit: int | None = None,
) -> Sequence[Prompt]:
    """Those that have every one of the tags and one of the kinds, in order, at most `limit`."""
    chosen = array("Q")
    for number, prompt in enumerate(prompts):
        if len(chosen) == limit:
            break
        if set(tags) <= set(prompt.tags) and (not kinds or prompt.kind.value in kinds):
            chosen.append(number)
    return prompts if len(chosen) == len(prompts) else _Chosen(prompts, chosen)


def assign_split(prompt: Prompt, held_out: float, seed: int) -> Prompt:
    """The prompt with a tag that holds it out, or gives it to training.

    It depends on the prompt's content and the seed alone: the same text is on the same side
    wherever it stands, and new lines move no old ones. Who has a split already keeps it.

    Args:
        held_out: share in [0, 1] that is held out, on average.
    """
    if any(tag.startswith(SPLIT) for tag in prompt.tags):
        return prompt
    digest = hashlib.sha256(f"split:{seed}:{prompt.hash}".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big") / 2**64
    return replace(prompt, tags=(*prompt.tags, HELD_OUT if drawn < held_out else TRAIN))


def count_splits(prompt: Prompt, counts: Counter[str]) -> None:
    """Count the prompt under each of its splits."""
    counts.update(tag.removeprefix(SPLIT) for tag in prompt.tags if tag.startswith(SPLIT))


def count_tags(prompt: Prompt, counts: Counter[str]) -> None:
    """Count the prompt under each of its tags that is no split."""
    counts.update(tag for tag in set(prompt.tags) if not tag.startswith(SPLIT))


class _Chosen(Sequence[Prompt]):
    """Some of a sequence, by their places in it."""

    def __init__(self, prompts: Sequence[Prompt], places: array[int]) -> None:
        self._prompts, self._places = prompts, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Prompt: ...
    @overload
    def __getitem__(self, at: slice) -> _Chosen: ...
    def __getitem__(self, at: int | slice) -> Prompt | _Chosen:
        if isinstance(at, slice):
            return _Chosen(self._prompts, self._places[at])
        return self._prompts[self._places[at]]

    def __iter__(self) -> Iterator[Prompt]:
        return (self._prompts[place] for place in self._places)


def _load_file(path: Path) -> FoundPrompts:
    if path.suffix.lower() in _TABLE_SUFFIXES:
        raise PromptFileError(
            f"{path}: add it as a set first: `python -m cai_core prompts add NAME {path}`."
        )
    file = load_prompts(path)
    return FoundPrompts(label=path.name, prompts=file.prompts, rejected=file.rejected)


def _build_shipped(path: Path) -> PromptSetVersion:
    stat = path.stat()
    return _read_shipped(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _read_shipped(path: Path, modified: int, size: int) -> PromptSetVersion:
    """Reading takes a tenth of a second: once for each state of the file."""
    file = load_prompts(path)
    kinds, splits, tags = Counter[str](), Counter[str](), Counter[str]()
    for prompt in file.prompts:
        kinds[prompt.kind.value] += 1
        count_splits(prompt, splits)
        count_tags(prompt, tags)
    return PromptSetVersion(
        name=path.stem,
        hash=prompts_hash(file.prompts),
        number=0,
        parent=None,
        source=path.name,
        prompts=len(file.prompts),
        rejected=len(file.rejected),
        rejected_hash=None,
        kinds=kinds,
        splits=splits,
        tags=tags,
        actor="",
        at="",
    )
