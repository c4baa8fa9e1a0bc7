"""A `choices` run: a multiple-choice file answered by a judge or a reward model; resumable.

inputs/questions.jsonl      the questions, as they are asked
rows/choices.<epoch>.jsonl  a row for each request
outputs/answers.jsonl       a line for each question
outputs/choices.json        the figures, with intervals clustered by context
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError, Cancelled, ImportFormatError, RunMismatchError, WorkspaceError
from cai_core.evaluation.multiple_choice import (
    Choice,
    ChoiceAnswer,
    compute_choice_quality,
    shuffle_labels,
)
from cai_core.pipeline.choices_asking import (
    STEP,
    ChoicesSetup,
    PlannedChoice,
    ask_choice,
    plan_choice,
    read_choice,
)
from cai_core.pipeline.choices_recipe import ChoicesRecipe
from cai_core.pipeline.inputs import FOLDER
from cai_core.pipeline.progress import Progress, ProgressMeter
from cai_core.pipeline.row_sink import RowSink
from cai_core.records import Message, content_hash
from cai_core.workspace.files import replace_file
from cai_core.workspace.journal import encode_record, is_header, parse_line, read_lines
from cai_core.workspace.rows import Row, RowIndex
from cai_core.workspace.runs import Run
from cai_core.workspace.status import RunState
from cai_core.workspace.stops import explain_stop
from cai_core.workspace.writer import RunWriter

KIND = "choices"
QUESTIONS, ANSWERS, FIGURES = "questions.jsonl", "answers.jsonl", "choices.json"


def choose_questions(
    choices: Sequence[Choice], *, scorer: str, limit: int | None, shuffled: int | None
) -> tuple[Choice, ...]:
    """The questions as they are asked.

    Raises:
        ImportFormatError: a reward model is to score, and a line does not tell the conversations.
    """
    chosen = tuple(choices[:limit])
    if scorer == "reward":
        blank = [number for number, one in enumerate(chosen, start=1) if not one.conversations]
        if blank:
            raise ImportFormatError(
                f"question {blank[0]} tells no conversations: a reward model reads text_correct "
                "and text_incorrect. Choose a file that has them, or ask a judge."
            )
    return chosen if shuffled is None else shuffle_labels(chosen, shuffled)


def choices_hash(choices: Iterable[Choice]) -> str:
    """Of everything that is asked and what is right."""
    return content_hash([_plain(one) for one in choices])


def save_choices(run: Run, choices: Sequence[Choice]) -> None:
    """Write inputs/questions.jsonl, where it is not there yet.

    Raises:
        WorkspaceError: the disk is full or refuses.
    """
    path = run.path / FOLDER / QUESTIONS
    if path.exists():
        return
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{path.parent}: cannot be made: {error.strerror}.") from error
    replace_file(path, (encode_record(_plain(one)) for one in choices))


def load_frozen_choices(run: Run, recipe: ChoicesRecipe) -> tuple[Choice, ...]:
    """Read them back, checked against the recipe's hash.

    Raises:
        RunMismatchError: they are missing, damaged, or not those that the recipe names.
    """
    path = run.path / FOLDER / QUESTIONS
    try:
        found = tuple(
            _parse(line.record or {}) for line in read_lines(path) if not is_header(line, path)
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunMismatchError(f"{path}: cannot be read: {error}. Start a new run.") from error
    if choices_hash(found) != recipe.file_hash:
        raise RunMismatchError(
            f"{path}: is not what recipe.yaml names: it was changed. Bring it back from a backup."
        )
    return found


async def run_choices(
    run: Run,
    choices: Sequence[Choice],
    setup: ChoicesSetup,
    *,
    concurrency: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Ask what is not durable yet, then write answers.jsonl, choices.json and the status.

    The run ends `succeeded`; `failed` when no question could be scored; `cancelled` or
    `interrupted` as other runs. All can be gone on with.

    Returns:
        The document of choices.json.

    Raises:
        WorkspaceError: another process writes the run, or the disk refuses.
        ServerUnavailableError, RequestRejectedError, RunMismatchError: the server is gone, refuses
            every request, or has other weights than the durable rows.
    """
    plans = [plan_choice(one, n, setup.recipe, run.run_id) for n, one in enumerate(choices)]
    durable = RowIndex(run, STEP)
    _check_origin(durable.values(), setup)
    waiting = iter(enumerate(plans))
    with RunWriter(run) as writer:
        meter = ProgressMeter(len(plans), max(map(len, plans), default=1), on_progress)
        try:
            async with RowSink(partial(writer.append_rows, STEP)) as sink:

                async def work() -> None:
                    for number, plan in waiting:
                        rows = [await have(planned, number) for planned in plan]
                        meter.chain_finished(rows)

                async def have(planned: PlannedChoice, number: int) -> Row:
                    row = durable.get(planned.row_id)
                    if row is None:
                        row = await ask_choice(planned, number, setup)
                        await sink.put(row)
                        meter.row_generated(row)
                    return row

                async with asyncio.TaskGroup() as group:
                    for _ in range(max(1, concurrency)):
                        group.create_task(work())
            document = save_answers(run, choices, setup)
        except (asyncio.CancelledError, Cancelled):
            state, reason = explain_stop(run.path)
            writer.set_status(state, reason=reason)
            raise
        except BaseExceptionGroup as group_error:
            error = _find_first(group_error)
            if isinstance(error, CaiError):
                writer.set_status(RunState.INTERRUPTED, reason=str(error))
            raise error from group_error
        scored = document["n"] - document["unscored"]
        writer.set_status(
            RunState.SUCCEEDED if scored else RunState.FAILED,
            reason=None if scored else document["first_error"] or "no answer could be read",
            counts={"rows_done": document["rows"], "rows_total": document["rows"]},
        )
    return document


def save_answers(run: Run, choices: Sequence[Choice], setup: ChoicesSetup) -> dict[str, Any]:
    """Write outputs/answers.jsonl in the file's order, and choices.json beside it."""
    recipe, index = setup.recipe, RowIndex(run, STEP)
    answers: list[ChoiceAnswer | None] = []
    lines = []
    errors: list[str] = []
    ways = set[str]()
    for number, choice in enumerate(choices):
        rows = [index.get(one.row_id) for one in plan_choice(choice, number, recipe, run.run_id)]
        answer, numbers = read_choice(choice, rows, recipe.least_mass)
        answers.append(answer)
        errors += [row.error for row in rows if row is not None and row.error is not None]
        ways |= {str(row.scoring["way"]) for row in rows if row is not None and row.scoring}
        lines.append(
            {
                "question": number,
                "kind": choice.kind,
                "options": list(choice.options),
                "correct": sorted(choice.correct),
                "numbers": None if numbers is None else list(numbers),
                "chosen": None if answer is None else answer.chosen,
                "points": None if answer is None else answer.points,
                "orders": len(rows),
            }
        )
    quality = asdict(compute_choice_quality(choices, answers))
    document = {
        "model": recipe.model,
        "model_id": setup.info.model_id,
        "weights_hash": setup.info.weights_hash,
        "scorer": recipe.scorer,
        "template": recipe.template,
        "ways": sorted(ways),
        "file": recipe.file,
        "file_hash": recipe.file_hash,
        "shuffled": recipe.shuffled,
        "rows": len(index),
        "failed": len(errors),
        "first_error": errors[0] if errors else None,
        **quality,
    }
    replace_file(run.outputs / ANSWERS, map(encode_record, lines))
    replace_file(run.outputs / FIGURES, [encode_record(document)])
    return document


def read_figures(run_folder: Path) -> dict[str, Any]:
    """choices.json of a run.

    Raises:
        WorkspaceError: there is none, or it is damaged.
    """
    path = run_folder / "outputs" / FIGURES
    try:
        record = parse_line(path.read_bytes()).record
    except OSError as error:
        raise WorkspaceError(
            f"{path}: cannot be read: {error.strerror}. Repeat the command of {run_folder.name}."
        ) from error
    if record is None or "accuracy" not in record:
        raise WorkspaceError(f"{path}: damaged. Repeat the command of {run_folder.name}.")
    return record


def list_figures(workspace: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every run with its figures, the newest first; damaged ones are left to `verify`."""
    found = [
        (path.stat().st_mtime_ns, path)
        for path in (workspace / "runs").glob(f"*/outputs/{FIGURES}")
    ]
    for _, path in sorted(found, reverse=True):
        folder = path.parents[1]
        try:
            yield folder.name, read_figures(folder)
        except WorkspaceError:
            continue


def _check_origin(rows: Iterable[Row], setup: ChoicesSetup) -> None:
    for row in rows:
        if (row.model_id, row.weights_hash) != (setup.info.model_id, setup.info.weights_hash):
            raise RunMismatchError(
                f"run {row.run_id}: its answers were made by model {row.model_id!r} (weights "
                f"{row.weights_hash}); now {setup.info.model_id!r} (weights "
                f"{setup.info.weights_hash}) answers. Bring the old weights back, or start a new "
                "run."
            )


def _find_first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _find_first(error) if isinstance(error, BaseExceptionGroup) else error


def _plain(choice: Choice) -> dict[str, Any]:
    return {
        "prompt": choice.prompt,
        "options": list(choice.options),
        "correct": sorted(choice.correct),
        "cluster": choice.cluster,
        "kind": choice.kind,
        "conversations": [[turn.as_dict() for turn in one] for one in choice.conversations],
    }


def _parse(record: dict[str, Any]) -> Choice:
    blank = Choice(
        prompt=record["prompt"],
        options=tuple(record["options"]),
        correct=frozenset(record["correct"]),
        cluster=record["cluster"],
        kind=record["kind"],
    )
    told = tuple(
        tuple(Message(turn["role"], turn["content"]) for turn in one)
        for one in record["conversations"]
    )
    return replace(blank, conversations=told)
