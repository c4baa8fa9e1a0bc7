"""The rounds that a queue of critiques is made of, and their texts out of the run files."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cai_core.errors import CaiError, WorkspaceError
from cai_core.records import Conversation
from cai_core.workspace.index.prepare import parse_text, parse_turns
from cai_core.workspace.index.sources import CHAIN_STEP
from cai_core.workspace.index.views import RoundFilter, RoundPage, RoundView
from cai_core.workspace.review_queues import QueuedRound
from cai_core.workspace.rows import Row, RowIndex, build_row_id
from cai_core.workspace.runs import open_run

# In a queue, and in memory while a sample is drawn.
MOST_ROUNDS = 50_000
_PAGE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsFound:
    """What a filter finds.

    Attributes:
        rounds: that have a critique, the newest run's first; of more than MOST_ROUNDS, so many of
            them, drawn at random.
        population: how many have one.
        without: how many were revised without a critique, and can be in no queue of critiques.
    """

    rounds: tuple[QueuedRound, ...]
    population: int
    without: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTexts:
    """What a round is about, and what the model made of it.

    Attributes:
        prompt_id, sample, tags: of the chain. revision: None where the model wrote none.
    """

    conversation: Conversation
    prompt_id: str
    sample: int
    tags: tuple[str, ...]
    revision: str | None


def find_rounds(
    list_rounds: Callable[..., RoundPage],
    chosen: RoundFilter,
    *,
    seed: int | None = None,
    report: Callable[[int], None] = lambda count: None,
) -> RoundsFound:
    """The rounds that a filter finds, some 10,000 a second.

    Args:
        list_rounds: of the workspace's index.
        seed: draws where more than MOST_ROUNDS match (Vitter 1985, algorithm R: each subset is as
            likely as another); None refuses these.
        report: told now and then how many are read.

    Raises:
        WorkspaceError: more than MOST_ROUNDS match and none shall be drawn, or the index cannot be
            read.
    """
    rounds: list[QueuedRound] = []
    draw = random.Random(f"rounds:{seed}")
    population, without, after = 0, 0, None
    while True:
        page = list_rounds(chosen, after=after, limit=_PAGE, facets=False)
        found = [one for one in page.rounds if one.critique is not None]
        without += len(page.rounds) - len(found)
        for one in found:
            population += 1
            if len(rounds) < MOST_ROUNDS:
                rounds.append(_build_round(one))
            elif (place := draw.randrange(population)) < MOST_ROUNDS:
                rounds[place] = _build_round(one)
        report(population + without)
        if population > MOST_ROUNDS and seed is None:
            raise WorkspaceError(
                f"More than {MOST_ROUNDS:,} rounds match. Narrow the filter: choose a run, a "
                "principle or words, or a random sample."
            )
        if (after := page.next_key) is None:
            return RoundsFound(rounds=tuple(rounds), population=population, without=without)


def load_texts(workspace: Path, rounds: Iterable[QueuedRound]) -> dict[str, RoundTexts]:
    """Item → its texts, from the run folders; what cannot be read there is left out."""
    by_run: dict[str, list[QueuedRound]] = {}
    for one in rounds:
        by_run.setdefault(one.run, []).append(one)
    return {
        item: texts
        for run, some in by_run.items()
        for item, texts in _load_run(workspace / "runs" / run, some).items()
    }


def _load_run(folder: Path, rounds: Iterable[QueuedRound]) -> Mapping[str, RoundTexts]:
    try:
        run = open_run(folder)
        rows = RowIndex(run, CHAIN_STEP)
    except (CaiError, OSError):
        return {}
    found = {}
    for one in rounds:
        first = rows.get(one.chain)
        if first is None or first.prompt is None:
            continue
        revised = rows.get(
            build_row_id(
                run_id=run.run_id,
                prompt_id=first.prompt_id,
                sample=first.sample,
                step=f"revision-{one.round}",
            )
        )
        tags = first.prompt.get("tags")
        found[one.item] = RoundTexts(
            conversation=parse_turns(first.prompt),
            prompt_id=first.prompt_id,
            sample=first.sample,
            tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
            revision=_read(revised),
        )
    return found


def _read(row: Row | None) -> str | None:
    return None if row is None or row.text is None else parse_text(row)


def _build_round(one: RoundView) -> QueuedRound:
    return QueuedRound(
        chain=one.chain,
        round=one.round,
        run=one.run,
        principle=one.principle,
        model=one.model,
        finding=one.finding.value if one.finding is not None else "",
        kind=one.kind,
    )
