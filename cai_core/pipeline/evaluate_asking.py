"""Asking a model a suite's prompts, and a judge about its answers, many at a time. No files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from cai_core.errors import RunMismatchError
from cai_core.pipeline.evaluate_best import ask_choice, choose_responses
from cai_core.pipeline.evaluate_plan import Case, PlannedRow
from cai_core.pipeline.evaluate_rows import EvaluateSetup, Said, judge_response, respond
from cai_core.pipeline.label_asking import Prioritised
from cai_core.pipeline.progress import ProgressMeter
from cai_core.workspace.rows import Row

T = TypeVar("T")
Write = Callable[[Row], Awaitable[None]]
_TELL_SECONDS = 1.0


@dataclass(slots=True)
class EvaluateTally:
    """What asking came to: rows that are durable now, and those of them that met an error."""

    rows: int = 0
    failed: int = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Count a case's rows."""
        self.rows += len(rows)
        self.failed += sum(row.error is not None for row in rows)


async def ask_cases(
    cases: Iterable[Case],
    setup: EvaluateSetup,
    meter: ProgressMeter,
    *,
    concurrency: int,
    durable: Mapping[str, Row],
    write: Write,
) -> EvaluateTally:
    """Ask every case, at most `concurrency` at a time, the earlier ones first.

    Raises:
        ServerUnavailableError, RequestRejectedError: a server is gone, or refuses every request.
        RunMismatchError: durable rows come from other weights. What was written is kept.
    """
    tally, waiting, asked = EvaluateTally(), iter(cases), 0

    async def write_counted(row: Row) -> None:
        nonlocal asked
        await write(row)
        asked += 1
        meter.row_generated(_as_one(row))

    async def work() -> None:
        for case in waiting:
            before = asked
            rows = await ask_case(case, setup, durable, write_counted)
            for row in rows:
                meter.chain_finished([_as_one(row)])
            tally.add(rows)
            if asked == before:
                await asyncio.sleep(0)  # a long resume must not block the loop

    async def tell() -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            meter.tell()

    telling = asyncio.ensure_future(tell())
    try:
        await _gather([work() for _ in range(max(1, concurrency))])
    finally:
        telling.cancel()
    return tally


async def ask_case(
    case: Case, setup: EvaluateSetup, durable: Mapping[str, Row], write: Write
) -> list[Row]:
    """The rows of one case: durable ones are taken, the others asked for and written.

    After a response that met an error nothing more is asked.
    """

    async def have(planned: PlannedRow, ask: Callable[[], Awaitable[Row]]) -> Row:
        row = durable.get(planned.row_id)
        if row is None:
            row = await ask()
            await write(row)
        else:
            _check_same_origin(row, planned, setup)
        return row

    model = Prioritised(setup.model, case.place)
    rows: list[Row] = []
    answers: list[str] = []
    for planned in case.responses:
        asked = case.prompt.build_conversation(answers)
        rows.append(await have(planned, partial(respond, case, planned, asked, model, setup)))
        if rows[-1].error is not None:
            return rows
        answers.append(rows[-1].text or "")
    if setup.choosing is not None and case.candidates:
        asked = case.prompt.build_conversation(())
        rows += await _gather(
            [
                have(planned, partial(respond, case, planned, asked, model, setup))
                for planned in case.candidates
            ]
        )
        by_id = {row.row_id: row for row in rows}
        recipe, choosing = setup.recipe, setup.choosing
        rows += await ask_choice(case, by_id, recipe, choosing, durable, write)
        by_id = {row.row_id: row for row in rows}
        chosen = choose_responses(case, by_id, recipe, choosing.constitution, setup.run_id)
        if not chosen:
            return rows
        answers[-1] = by_id[chosen[0].row_id].text or ""
    if setup.judge is not None:
        said = Said(case.prompt.build_conversation(answers[:-1]), answers[-1])
        judge = Prioritised(setup.judge.model, case.place)
        rows += await _gather(
            [
                have(planned, partial(judge_response, case, planned, said, judge, setup))
                for planned in case.judgements
            ]
        )
    return rows


def _check_same_origin(row: Row, planned: PlannedRow, setup: EvaluateSetup) -> None:
    if planned.about is None:
        what, info = "answers", setup.info
    else:
        assert setup.judge is not None, "only a judge is asked about something"
        what, info = "judgements", setup.judge.info
    if (row.model_id, row.weights_hash) != (info.model_id, info.weights_hash):
        raise RunMismatchError(
            f"run {row.run_id}: its {what} were made by model {row.model_id!r} (weights "
            f"{row.weights_hash}); now {info.model_id!r} (weights {info.weights_hash}) answers. "
            "Bring the old weights back, or start a new run."
        )


def _as_one(row: Row) -> Row:
    """The row as a chain of its own, which is how the meter counts."""
    return replace(row, prompt_id=row.row_id, sample=0)


async def _gather(work: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """All results; when one fails the others are stopped before its error goes on."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
