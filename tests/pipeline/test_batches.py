"""Batches: what never depends on order, what ends a chain and what a run, what is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.errors import (
    RequestRejectedError,
    RunMismatchError,
    ServerUnavailableError,
)
from cai_core.pipeline import critique_revision
from cai_core.pipeline.critique_revision import Chain, run_batch, run_chain
from cai_core.pipeline.progress import Price, Progress
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.prompts import chat
from cai_core.records import Message, StepKind
from cai_core.workspace.rows import Row
from tests.pipeline.chains import PROMPT, batch_of, chain_of, keep_in, untimed
from tests.pipeline.engines import HashEngine
from tests.pipeline.makers import make_prompts, make_setup

# Batches


@given(concurrency=st.integers(1, 12), order=st.permutations(range(5)))
@settings(max_examples=15, deadline=None)
def test_texts_do_not_depend_on_concurrency_or_order(concurrency: int, order: list[int]) -> None:
    prompts = make_prompts(5)
    _, plain = batch_of(HashEngine(), prompts, concurrency=1, samples=2)
    shuffled = [prompts[n] for n in order]
    engine = HashEngine(jitter=0.002)
    _, rows = batch_of(engine, shuffled, concurrency=concurrency, samples=2)
    assert untimed(rows) == untimed(plain)
    assert engine.most_running <= concurrency


def test_a_batch_is_depth_first() -> None:
    _, rows = batch_of(HashEngine(), make_prompts(3), concurrency=1)
    order = [(row.prompt_id, row.index) for row in rows.values()]
    assert order == [(p.prompt_id, index) for p in make_prompts(3) for index in range(5)]


@given(kept=st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_durable_rows_are_never_asked_for_again(kept: int) -> None:
    prompts = make_prompts(4)
    _, whole = batch_of(HashEngine(), prompts)
    durable = dict(list(whole.items())[:kept])
    engine = HashEngine()
    result, fresh = batch_of(engine, prompts, durable=durable)
    assert len(engine.asked) == result.generated == len(whole) - kept
    assert untimed({**durable, **fresh}) == untimed(whole)
    assert not durable.keys() & fresh.keys()
    assert (result.rows, result.chains, result.failed) == (20, 4, 0)


def test_an_oversize_prompt_ends_its_chain_only() -> None:
    big = build_prompt((Message("user", "long " * 200),), number=9)
    prompts = [make_prompts(1)[0], big, *make_prompts(2)[1:]]
    result, rows = batch_of(HashEngine(context=700), prompts)
    (failed,) = [row for row in rows.values() if row.error]
    assert (failed.prompt_id, failed.error_kind) == (big.prompt_id, "ContextLengthError")
    assert (failed.text, failed.prompt["conversation"][0]["content"]) == (None, "long " * 200)
    assert (result.failed, result.chains) == (1, 3)
    assert result.first_error.startswith(big.prompt_id)
    again = HashEngine(context=700)
    batch_of(again, prompts, durable=rows)
    assert again.asked == []  # final for the row


def test_what_a_template_cannot_write_ends_its_chain_only() -> None:
    turns = (Message("system", "s"), Message("user", "u"))
    prompts = [build_prompt(turns, number=1), *make_prompts(1)]
    result, rows = batch_of(HashEngine(), prompts, template="paper")
    assert [row.error_kind for row in rows.values() if row.error] == ["TemplateError"]
    assert (result.failed, result.rows) == (1, 6)


def test_half_a_character_from_a_server_ends_its_chain_only() -> None:
    class Encoding(HashEngine):
        async def generate(self, prompt: Any, *args: Any, **kwargs: Any) -> Any:
            "".join(turn.content for turn in prompt).encode()  # as every HTTP client does
            return await super().generate(prompt, *args, **kwargs)

    engine = Encoding(answer=lambda asked: "\udc80" if "thing 0" in asked else "fine")
    result, rows = batch_of(engine, make_prompts(2))
    assert "\udc80" in [row.text for row in rows.values()]
    assert [row.error_kind for row in rows.values() if row.error] == ["UnicodeEncodeError"]
    assert (result.failed, result.rows) == (1, 7)


def test_a_gone_server_stops_the_batch_and_keeps_what_is_done() -> None:
    prompts = make_prompts(6)
    rows: dict[str, Row] = {}

    async def run() -> None:
        setup = await make_setup(HashEngine(die_after=11, jitter=0.002))
        await run_batch(prompts, setup, concurrency=4, write=keep_in(rows))

    with pytest.raises(ServerUnavailableError):
        asyncio.run(run())
    assert 0 < len(rows) <= 11
    assert not any(row.error for row in rows.values())
    _, fresh = batch_of(HashEngine(), prompts, durable=rows)
    _, whole = batch_of(HashEngine(), prompts)
    assert untimed({**rows, **fresh}) == untimed(whole)


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_refusal_of_every_request_is_no_error_row(status: int) -> None:
    class Refusing(HashEngine):
        async def generate(self, *args: Any, **kwargs: Any) -> Any:
            raise RequestRejectedError("no", status=status)

    with pytest.raises(RequestRejectedError):
        chain_of(Refusing())


def test_rows_of_other_weights_are_not_mixed() -> None:
    _, rows = batch_of(HashEngine(), make_prompts(1))
    with pytest.raises(RunMismatchError, match=r"w1.*w2"):
        batch_of(HashEngine(weights="w2"), make_prompts(1), durable=rows)


def test_rows_of_another_template_version_are_not_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    _, rows = batch_of(HashEngine(), make_prompts(1))
    monkeypatch.setattr(chat, "TEMPLATE_VERSION", "chat/later")
    with pytest.raises(RunMismatchError, match=r"chat/1.*chat/later"):
        batch_of(HashEngine(), make_prompts(1), durable=rows)


def test_cancelling_keeps_what_was_finished() -> None:
    rows: list[Row] = []

    async def run() -> None:
        setup = await make_setup(HashEngine(jitter=0.02))
        batch = run_batch(make_prompts(6), setup, concurrency=2, write=keep_in(rows))
        task = asyncio.ensure_future(batch)
        while len(rows) < 5:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert setup.policy.running == 0
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert 5 <= len(rows) < 30


# Watching


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def step_started(self, kind: StepKind, index: int, round: int, principle: str | None) -> None:
        self.events.append(("started", kind, index, round, principle))

    def text(self, delta: str) -> None:
        self.events.append(("text", delta))

    def step_finished(self, row: Row) -> None:
        self.events.append(("finished", row))


def test_an_observer_sees_each_step_stream_and_durable_ones_only_finish() -> None:
    async def run(durable: dict[str, Row], recorder: Recorder) -> Chain:
        setup = await make_setup(HashEngine(), revisions=1)
        return await run_chain(PROMPT, setup, durable=durable, observer=recorder)

    first = Recorder()
    chain = asyncio.run(run({}, first))
    kinds = [event[0] for event in first.events]
    assert kinds == ["started", *["text"] * 5, "finished"] * 3
    for number, row in enumerate(chain.rows):
        mine = first.events[number * 7 : number * 7 + 7]
        assert mine[0][1:] == (row.kind, row.index, row.round, row.principle_id)
        assert "".join(event[1] for event in mine[1:6]).strip() == row.text
        assert mine[6][1] == row
    second = Recorder()
    asyncio.run(run({row.row_id: row for row in chain.rows[:2]}, second))
    assert [event[0] for event in second.events][:3] == ["finished", "finished", "started"]


def test_progress_counts_durable_rows_and_ends_full() -> None:
    prompts = [*make_prompts(3), build_prompt((Message("user", "long " * 200),), number=9)]
    _, rows = batch_of(HashEngine(context=700), prompts[:1])
    seen: list[Progress] = []

    async def run() -> None:
        setup = await make_setup(HashEngine(context=700))
        await run_batch(prompts, setup, concurrency=2, durable=rows, on_progress=seen.append)

    asyncio.run(run())
    assert [p.rows_done for p in seen] == sorted(p.rows_done for p in seen)
    last = seen[-1]
    assert (last.rows_done, last.rows_total) == (16, 16)  # 3 × 5 and one error row
    assert (last.chains_done, last.chains_total, last.failed) == (4, 4, 1)
    assert last.remaining_seconds == 0
    assert all(p.tokens_per_second is None or p.tokens_per_second >= 0 for p in seen)


def test_progress_tells_cost_where_every_model_has_a_price() -> None:
    price = Price(prompt=1e6, completion=2e6)  # a dollar and two a token; 3 and 5 tokens a row

    def last_of(prices: dict[str, Price | None]) -> Progress:
        seen: list[Progress] = []

        async def run() -> None:
            setup = await make_setup(HashEngine())
            await run_batch(
                make_prompts(2), setup, concurrency=2, on_progress=seen.append, prices=prices
            )

        asyncio.run(run())
        return seen[-1]

    assert last_of({"policy": price, "critic": price}).cost == 10 * (3 + 2 * 5)
    assert last_of({"policy": price, "critic": None}).cost is None
    assert last_of({}).cost is None
    assert last_of({}).tokens == 10 * 5


def test_progress_tells_of_servers_that_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(critique_revision, "_TELL_SECONDS", 0.01)
    seen: list[Progress] = []

    class Waiting(HashEngine):
        async def generate(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0.1)
            return await super().generate(*args, **kwargs)

    async def run() -> None:
        await run_batch(
            make_prompts(1),
            await make_setup(Waiting()),
            concurrency=1,
            on_progress=seen.append,
            trouble=lambda: ("http://nowhere is silent",),
        )

    asyncio.run(run())
    assert seen[0].rows_done == 0 and seen[0].waiting_for == ("http://nowhere is silent",)
