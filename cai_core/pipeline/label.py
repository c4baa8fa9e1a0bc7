"""A `label` run: comparisons frozen, asked about, and labelled; resumable at any point.

outputs/comparisons.jsonl, comparisons.json   what is asked about, and how it was formed
rows/label.<epoch>.jsonl                      a row for each answer
outputs/labels.jsonl, labels.json             a label for each comparison, and their counts
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from cai_core.constitution import dump_constitution
from cai_core.errors import CaiError, Cancelled
from cai_core.pipeline.comparison_records import FormedComparison, read_comparisons
from cai_core.pipeline.comparisons import FormingCounts
from cai_core.pipeline.human_labels import HumanLabel, find_human_label
from cai_core.pipeline.label_asking import AskTally, LabelSetup, PastLimitError, ask_all
from cai_core.pipeline.label_building import build_given_label, build_model_label, plan_asks
from cai_core.pipeline.label_counts import LabelCounts, count_labels
from cai_core.pipeline.label_recipe import LabelRecipe
from cai_core.pipeline.label_records import COMPARISONS, LABELS, LabelRecord, read_labels
from cai_core.pipeline.progress import Prices, Progress, ProgressMeter
from cai_core.pipeline.row_sink import RowSink
from cai_core.records import Constitution
from cai_core.workspace.files import check_disk, replace_file
from cai_core.workspace.journal import encode_record
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

KIND = "label"
STEP = "label"
FORMED, COUNTS = "comparisons.json", "labels.json"
# A row without text; a token of a chain of thought is seldom longer.
_BYTES_PER_ROW, _BYTES_PER_TOKEN = 2048, 6
_STATUS_SECONDS = 1.0

Human = Mapping[str, HumanLabel]


def freeze_comparisons(
    run: Run, form: Callable[[], tuple[Sequence[FormedComparison], FormingCounts]]
) -> list[FormedComparison]:
    """The run's comparisons: read back where they are frozen, else formed and written.

    Raises:
        CaiError: as `form`; WorkspaceError when the disk refuses.
    """
    # The counts are written last: with them the comparisons are whole.
    if not (run.outputs / FORMED).exists():
        comparisons, counts = form()
        lines = (encode_record(comparison.as_dict()) for comparison in comparisons)
        replace_file(run.outputs / COMPARISONS, lines)
        replace_file(run.outputs / FORMED, [encode_record(counts.as_dict())])
    return list(read_comparisons(run.path))


async def run_labelling(
    run: Run,
    comparisons: Sequence[FormedComparison],
    setup: LabelSetup,
    *,
    human: Human,
    concurrency: int,
    on_progress: Callable[[Progress], None] | None = None,
    prices: Prices | None = None,
    trouble: Callable[[], tuple[str, ...]] = tuple,
) -> LabelCounts | None:
    """Ask what is not durable yet, then write labels.jsonl and the status.

    The run ends `succeeded`; `failed` when every comparison met an error or too many answers are
    unreadable (None is returned then); `cancelled` when the task is cancelled; `interrupted` when
    the server or the disk gives up. All can be gone on with, and lose nothing that was durable.

    Raises:
        WorkspaceError: another process writes the run, or the disk is full.
        ServerUnavailableError, RequestRejectedError, RunMismatchError: as `ask_all`.
    """
    recipe = setup.recipe
    asked = [
        (place, comparison)
        for place, comparison in enumerate(comparisons)
        if comparison.preferred is None and find_human_label(human, comparison) is None
    ]
    missing = len(asked) * recipe.asks_per_comparison - len(RowIndex(run, STEP))
    check_disk(run.path, max(0, missing) * _count_row_bytes(recipe))
    with RunWriter(run) as writer:
        try:
            meter = ProgressMeter(
                len(asked),
                recipe.asks_per_comparison,
                _tell_status(writer, on_progress),
                prices=prices,
                trouble=trouble,
            )
            async with RowSink(partial(writer.append_rows, STEP)) as sink:
                tally = await ask_all(
                    asked,
                    setup,
                    meter,
                    concurrency=concurrency,
                    durable=RowIndex(run, STEP),
                    write=sink.put,
                )
            counts = save_labels(run, comparisons, recipe, setup.constitution, human)
        except (asyncio.CancelledError, Cancelled):
            writer.set_status(RunState.CANCELLED, reason="stopped by the person")
            raise
        except PastLimitError as error:
            writer.set_status(RunState.FAILED, reason=str(error))
            return None
        except CaiError as error:
            writer.set_status(RunState.INTERRUPTED, reason=str(error))
            raise
        return _save_end(writer, tally, counts)


def save_labels(
    run: Run,
    comparisons: Sequence[FormedComparison],
    recipe: LabelRecipe,
    constitution: Constitution,
    human: Human,
) -> LabelCounts:
    """Write outputs/labels.jsonl in the order of the comparisons, and labels.json beside it.

    A line holds nothing that depends on time, place or concurrency.
    """
    index = RowIndex(run, STEP)
    ways: Counter[str] = Counter()
    told: Counter[str] = Counter()

    def build() -> Iterator[LabelRecord]:
        for place, comparison in enumerate(comparisons):
            person = find_human_label(human, comparison)
            if person is not None or comparison.preferred is not None:
                told["human_used"] += person is not None
                yield build_given_label(comparison, person)
                continue
            plan = plan_asks(recipe, constitution, comparison, place=place, run_id=run.run_id)
            rows = [row for ask in plan if (row := index.get(ask.row_id)) is not None]
            _count_rows(rows, ways, told)
            yield build_model_label(comparison, rows, recipe)

    replace_file(run.outputs / LABELS, (encode_record(label.as_dict()) for label in build()))
    replace_file(run.outputs / "constitution.yaml", [dump_constitution(constitution).encode()])
    counts = count_labels(read_labels(run.path))
    document = {
        **counts.as_dict(),
        "answers": told["rows"],
        "failed": told["failed"],
        "cut_short": told["cut_short"],
        "exact": told["exact"],
        "human_unmatched": len(human) - told["human_used"],
        "ways": dict(sorted(ways.items())),
    }
    replace_file(run.outputs / COUNTS, [encode_record(document)])
    return counts


def _count_rows(rows: Iterable[Row], ways: Counter[str], told: Counter[str]) -> None:
    for row in rows:
        told["rows"] += 1
        told["failed"] += row.error is not None
        told["cut_short"] += row.finish_reason == "length"
        scoring: Mapping[str, Any] = row.scoring or {}
        told["exact"] += bool(scoring.get("exact"))
        if scoring:
            ways[str(scoring["way"])] += 1


def _save_end(writer: RunWriter, tally: AskTally, counts: LabelCounts) -> LabelCounts | None:
    all_failed = tally.rows > 0 and tally.failed == tally.rows
    writer.set_status(
        RunState.FAILED if all_failed else RunState.SUCCEEDED,
        reason=tally.first_error,
        counts={
            "comparisons": counts.comparisons,
            "unparsed": counts.unparsed,
            "failed": tally.failed,
            "cut_short": tally.cut_short,
            "rows_done": tally.rows,
            "rows_total": tally.rows,
        },
    )
    return None if all_failed else counts


def _count_row_bytes(recipe: LabelRecipe) -> int:
    tokens = recipe.sampling.max_tokens if recipe.reasoned else 0
    return _BYTES_PER_ROW + tokens * _BYTES_PER_TOKEN


def _tell_status(
    writer: RunWriter, on_progress: Callable[[Progress], None] | None
) -> Callable[[Progress], None]:
    last = -_STATUS_SECONDS

    def tell(progress: Progress) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= _STATUS_SECONDS:
            last = now
            waiting = "; ".join(progress.waiting_for)
            writer.set_status(
                RunState.RUNNING,
                reason=f"waiting for a server: {waiting}" if waiting else None,
                counts={
                    "comparisons": progress.chains_total,
                    "rows_done": progress.rows_done,
                    "rows_total": progress.rows_total,
                },
            )
        if on_progress is not None:
            on_progress(progress)

    return tell
