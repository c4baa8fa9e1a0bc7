"""A prompt set before and after it is added: what a file would come to, what a version changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cai_core.errors import PromptFileError
from cai_core.pipeline.prompt_file import RejectedLine
from cai_core.pipeline.prompt_sets import assign_split, count_splits, count_tags
from cai_core.pipeline.prompt_tables import SUFFIXES, PromptSource, read_prompts
from cai_core.records import Prompt, PromptKind
from cai_core.workspace.prompt_sets import check_set_name

FIRST_SHOWN = 10
MAX_TAG_CHARS = 100
# Of a set's tags only the commonest are counted in its event: a set may have one a prompt.
MOST_TAGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """How a source is read.

    Attributes:
        column, kind: as in `read_prompts`.
        tags: given to every prompt beside its own.
        held_out: share in (0, 1) of the prompts without a split that is held out; None gives
            nobody a split.
        seed: of the split.
    """

    column: str | None = None
    kind: PromptKind | None = None
    tags: tuple[str, ...] = ()
    held_out: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.held_out is not None and not 0 < self.held_out < 1:
            raise PromptFileError(
                f"held-out is {self.held_out!r}. Give more than 0 and less than 1."
            )
        for tag in self.tags:
            if not tag.strip() or len(tag) > MAX_TAG_CHARS or not tag.isprintable():
                raise PromptFileError(
                    f"{tag!r:.80} is no tag. Give 1 to {MAX_TAG_CHARS} characters, none of them a "
                    "control character."
                )


@dataclass(slots=True, kw_only=True)
class PromptTally:
    """Reads a source and counts what it gives.

    Attributes:
        prompts: how many.
        first: the first few of them.
        kinds, splits, tags: word → how many prompts have it; a split's tag is no tag here.
        rejected: lines that are no prompts, in order.
    """

    prompts: int = 0
    first: list[Prompt] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)
    rejected: list[RejectedLine] = field(default_factory=list)

    def read(self, source: PromptSource, how: Import) -> Iterator[Prompt]:
        """Every prompt as it is to be kept, one at a time.

        Raises:
            PromptFileError: the source cannot be read, or holds no prompt.
            ImportFormatError: a .parquet file that is none.
        """
        for line in read_prompts(source, column=how.column, kind=how.kind):
            if isinstance(line, RejectedLine):
                self.rejected.append(line)
                continue
            prompt = replace(line, tags=tuple(dict.fromkeys([*line.tags, *how.tags])))
            if how.held_out is not None:
                prompt = assign_split(prompt, how.held_out, how.seed)
            self._count(prompt)
            yield prompt
        if not self.prompts:
            told = [f" Line {one.line}: {one.reason}." for one in self.rejected[:1]]
            raise PromptFileError(
                f"{source.label}: holds no prompt; {len(self.rejected)} lines were rejected."
                f"{''.join(told)} Correct it, or name another column (--column)."
            )

    def as_dict(self) -> dict[str, object]:
        """Its counts, for the journal."""
        return {
            "prompts": self.prompts,
            "rejected": len(self.rejected),
            "kinds": dict(sorted(self.kinds.items())),
            "splits": dict(sorted(self.splits.items())),
            "tags": dict(self.tags.most_common(MOST_TAGS)),
        }

    def _count(self, prompt: Prompt) -> None:
        self.prompts += 1
        if len(self.first) < FIRST_SHOWN:
            self.first.append(prompt)
        self.kinds[prompt.kind.value] += 1
        count_splits(prompt, self.splits)
        count_tags(prompt, self.tags)


def preview_prompts(source: PromptSource, how: Import) -> PromptTally:
    """What adding the source would come to. Nothing is written.

    Raises:
        PromptFileError, ImportFormatError: as `PromptTally.read`, but for a source without a
            single prompt, whose rejected lines are told.
    """
    tally = PromptTally()
    try:
        for _ in tally.read(source, how):
            pass
    except PromptFileError:
        if tally.prompts or not tally.rejected:
            raise
    return tally


@dataclass(frozen=True, slots=True, kw_only=True)
class SetChange:
    """What one version has that another had not.

    Attributes:
        added, removed: prompts, by their turns.
        relabelled: the same turns with another kind or other tags.
        kept: unchanged, wherever they stand.
    """

    added: int
    removed: int
    relabelled: int
    kept: int


def compare_versions(old: Iterable[Prompt], new: Iterable[Prompt]) -> SetChange:
    """Count what changed; a prompt that stands there twice counts twice."""
    before, after = Counter(map(_key, old)), Counter(map(_key, new))
    gone, come = before - after, after - before
    gone_texts, come_texts = _by_text(gone), _by_text(come)
    relabelled = (gone_texts & come_texts).total()
    return SetChange(
        added=come.total() - relabelled,
        removed=gone.total() - relabelled,
        relabelled=relabelled,
        kept=(before & after).total(),
    )


def export_prompts(prompts: Sequence[Prompt]) -> Iterator[bytes]:
    """The lines of a prompt file that holds them: turns, kinds and tags come back as they were."""
    for prompt in prompts:
        yield json.dumps(build_export(prompt), ensure_ascii=False).encode() + b"\n"


def build_export(prompt: Prompt) -> dict[str, object]:
    """A line of a prompt file, which `parse_prompt_line` reads."""
    turns = [turn.as_dict() for turn in prompt.conversation]
    what: dict[str, object] = {"prompt": prompt.text} if len(turns) == 1 else {"messages": turns}
    # Its line is added again when it is read.
    name = prompt.prompt_id.rpartition("#")[0] or prompt.prompt_id
    return {"id": name, **what, "kind": prompt.kind.value, "tags": list(prompt.tags)}


def _key(prompt: Prompt) -> tuple[str, str, tuple[str, ...]]:
    return prompt.hash, prompt.kind.value, prompt.tags


def _by_text(counts: Mapping[tuple[str, str, tuple[str, ...]], int]) -> Counter[str]:
    found = Counter[str]()
    for (text, _, _), count in counts.items():
        found[text] += count
    return found


def check_new_name(name: str) -> None:
    """Raise PromptFileError unless a set can be added under that name."""
    check_set_name(name)
    if name.lower().endswith(SUFFIXES):
        raise PromptFileError(f"{name!r} would be taken for a file. Leave its ending out.")
