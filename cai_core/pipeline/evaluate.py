"""An `evaluate` run: a suite asked, its answers judged and counted; resumable at any point.

inputs/                              see `evaluate_inputs`
rows/evaluate.<epoch>.jsonl          a row for each response, and for each thing a judge was asked
outputs/judgements.jsonl             a line for each response: what the judge, the oracle and
                                     phrases say of it, and the rows with the judge's reasons
outputs/metrics.json                 the figures, who judged, and what to be careful about
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError, Cancelled, WorkspaceError
from cai_core.pipeline.evaluate_asking import EvaluateTally, ask_cases
from cai_core.pipeline.evaluate_best import choose_responses
from cai_core.pipeline.evaluate_inputs import EvaluateInputs
from cai_core.pipeline.evaluate_metrics import compute_metrics
from cai_core.pipeline.evaluate_plan import STEP, count_rows, plan_cases
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe
from cai_core.pipeline.evaluate_records import (
    JUDGEMENTS,
    Caution,
    Oracle,
    build_judged,
    settle_sycophancy,
)
from cai_core.pipeline.evaluate_rows import EvaluateSetup
from cai_core.pipeline.judge_template import get_version
from cai_core.pipeline.progress import Prices, Progress, ProgressMeter
from cai_core.pipeline.row_sink import RowSink
from cai_core.records import ModelInfo
from cai_core.workspace.files import check_disk, replace_file
from cai_core.workspace.journal import encode_record, parse_line
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import explain_stop
from cai_core.workspace.writer import RunWriter

KIND = "evaluate"
METRICS = "metrics.json"
# A row without text; a token is seldom longer.
_BYTES_PER_ROW, _BYTES_PER_TOKEN = 2048, 6
_STATUS_SECONDS = 1.0
# Past this share of errors, cut responses or unreadable judgements the figures are doubtful: ours.
_MANY = 0.05


async def run_evaluation(
    run: Run,
    setup: EvaluateSetup,
    oracle: Oracle | None,
    *,
    concurrency: int,
    cautions: Sequence[Caution] = (),
    on_progress: Callable[[Progress], None] | None = None,
    prices: Prices | None = None,
    trouble: Callable[[], tuple[str, ...]] = tuple,
) -> dict[str, Any] | None:
    """Ask what is not durable yet, then write judgements.jsonl, metrics.json and the status.

    The run ends `succeeded`; `failed` when every response met an error (None is returned then);
    `cancelled` when a person stops it; `interrupted` when a server, the disk or the system gives
    up. All can be gone on with, and lose nothing that was durable.

    Args:
        oracle: who knows the truth; None where nobody does.
        cautions: what is known beforehand to make the figures doubtful.

    Raises:
        WorkspaceError: another process writes the run, or the disk is full.
        ServerUnavailableError, RequestRejectedError, RunMismatchError: as `ask_cases`.
    """
    recipe, inputs = setup.recipe, setup.inputs
    total = sum(count_rows(recipe, inputs).values())
    missing = max(0, total - len(RowIndex(run, STEP)))
    check_disk(run.path, missing * _count_row_bytes(recipe))
    with RunWriter(run) as writer:
        try:
            meter = ProgressMeter(
                total, 1, _tell_status(writer, on_progress), prices=prices, trouble=trouble
            )
            async with RowSink(partial(writer.append_rows, STEP)) as sink:
                tally = await ask_cases(
                    plan_cases(recipe, inputs, run.run_id),
                    setup,
                    meter,
                    concurrency=concurrency,
                    durable=RowIndex(run, STEP),
                    write=sink.put,
                )
            judge = setup.judge.info if setup.judge is not None else None
            metrics = save_judgements(
                run, recipe, inputs, setup.info, judge, oracle, cautions=cautions
            )
        except (asyncio.CancelledError, Cancelled):
            state, reason = explain_stop(run.path)
            writer.set_status(state, reason=reason)
            raise
        except CaiError as error:
            writer.set_status(RunState.INTERRUPTED, reason=str(error))
            raise
        return _save_end(writer, tally, metrics)


def save_judgements(
    run: Run,
    recipe: EvaluateRecipe,
    inputs: EvaluateInputs,
    model: ModelInfo,
    judge: ModelInfo | None,
    oracle: Oracle | None,
    *,
    cautions: Sequence[Caution] = (),
) -> dict[str, Any]:
    """Write outputs/judgements.jsonl in the suite's order, and metrics.json beside it.

    Nothing in them depends on time, place or concurrency.
    """
    index = RowIndex(run, STEP)
    judged = settle_sycophancy(
        [
            build_judged(
                case,
                choose_responses(case, index, recipe, inputs.feedback, run.run_id),
                index,
                oracle,
            )
            for case in plan_cases(recipe, inputs, run.run_id)
        ]
    )
    replace_file(run.outputs / JUDGEMENTS, (encode_record(one.as_dict()) for one in judged))
    figures = compute_metrics(judged)
    document = {
        "suite": {
            "name": inputs.suite.name,
            "hash": inputs.suite.hash,
            "prompts": len(inputs.suite.prompts),
            "held_out": inputs.suite.held_out,
        },
        "model": _describe_model(recipe.model, model),
        "judge": None if judge is None else _describe_judge(recipe, inputs, judge),
        "samples": recipe.samples,
        "sampling": recipe.sampling.as_dict(),
        "seed": recipe.seed,
        "system_constitution": _describe_pair(recipe, "system_constitution"),
        "constitution": _describe_pair(recipe, "constitution"),
        **_describe_best(recipe),
        "cautions": [asdict(one) for one in (*cautions, *list_cautions(figures))],
        **figures,
    }
    replace_file(run.outputs / METRICS, [encode_record(document)])
    return document


def read_metrics(run_folder: Path) -> dict[str, Any]:
    """metrics.json of an `evaluate` run.

    Raises:
        WorkspaceError: there is none, or it is damaged.
    """
    path = run_folder / "outputs" / METRICS
    try:
        record = parse_line(path.read_bytes()).record
    except OSError as error:
        raise WorkspaceError(
            f"{path}: cannot be read: {error.strerror}. Resume {run_folder.name}, or choose an "
            "evaluation that has succeeded."
        ) from error
    if record is None or "measures" not in record:
        raise WorkspaceError(f"{path}: damaged. Delete it and resume the run; it is made anew.")
    return record


def list_cautions(figures: Mapping[str, Any]) -> Iterator[Caution]:
    """What the figures themselves say against them."""
    total = figures["responses"]
    if (failed := figures["failed"]) > _MANY * total:
        told = f"{failed} of {total} responses met an error and are in no rate"
        yield Caution("failed", told)
    if (cut := figures["cut_short"]) > _MANY * total:
        yield Caution("cut short", f"{cut} of {total} responses were cut at the token limit")
    asked, unparsed = figures["judgements"]["asked"], figures["judgements"]["unparsed"]
    if unparsed > _MANY * asked:
        yield Caution(
            "unparsed",
            f"{unparsed} of {asked} judgements are unreadable: read some, then choose another "
            "judge, or raise judge_tokens",
        )


def shorten_model(name: str) -> str:
    """A model's name for people: the run that made it, in the place of its folder."""
    parts = Path(name).parts
    return parts[-3] if parts[-2:] == ("outputs", "model") and len(parts) > 2 else name


def _describe_model(name: str, info: ModelInfo) -> dict[str, Any]:
    told = asdict(info)
    told.pop("context_length")
    return {"name": name, **told}


def _describe_judge(
    recipe: EvaluateRecipe, inputs: EvaluateInputs, info: ModelInfo
) -> dict[str, Any]:
    assert inputs.rubric is not None and recipe.judge is not None
    return {
        **_describe_model(recipe.judge, info),
        "template": get_version(inputs.rubric.template),
        "rubric": inputs.rubric.name,
        "rubric_hash": inputs.rubric.hash,
        "tokens": recipe.judge_tokens,
    }


def _describe_pair(recipe: EvaluateRecipe, name: str) -> dict[str, str] | None:
    value = getattr(recipe, name)
    return None if value is None else {"name": value, "hash": getattr(recipe, f"{name}_hash")}


def _describe_best(recipe: EvaluateRecipe) -> dict[str, Any]:
    """How one of several answers was chosen; nothing where one was drawn."""
    if recipe.best_of == 1:
        return {}
    return {
        "best_of": recipe.best_of,
        "feedback": {
            "name": recipe.feedback_model,
            "constitution": _describe_pair(recipe, "feedback_constitution"),
        },
    }


def _save_end(
    writer: RunWriter, tally: EvaluateTally, metrics: dict[str, Any]
) -> dict[str, Any] | None:
    all_failed = metrics["failed"] == metrics["responses"]
    writer.set_status(
        RunState.FAILED if all_failed else RunState.SUCCEEDED,
        reason="no prompt was answered: look at the rows' errors" if all_failed else None,
        counts={
            "responses": metrics["responses"],
            "failed": tally.failed,
            "unparsed": metrics["judgements"]["unparsed"],
            "cut_short": metrics["cut_short"],
            "rows_done": tally.rows,
            "rows_total": tally.rows,
        },
    )
    return None if all_failed else metrics


def _count_row_bytes(recipe: EvaluateRecipe) -> int:
    tokens = max(recipe.sampling.max_tokens, recipe.judge_tokens if recipe.judge else 0)
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
                counts={"rows_done": progress.rows_done, "rows_total": progress.rows_total},
            )
        if on_progress is not None:
            on_progress(progress)

    return tell
