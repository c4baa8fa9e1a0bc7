"""Chains: what is asked in which order, what each knob changes, and what never depends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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
from cai_core.pipeline.critique_revision import BatchResult, Chain, Write, run_batch, run_chain
from cai_core.pipeline.progress import Price, Progress
from cai_core.pipeline.prompt_file import build_prompt
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.pipeline.steps import plan_chain
from cai_core.prompts import chat, paper
from cai_core.records import Finding, Message, Prompt, SamplingParams, StepKind
from cai_core.workspace.rows import Row
from tests.pipeline.engines import HashEngine
from tests.pipeline.makers import make_constitution, make_prompts, make_setup

PROMPT = make_prompts(1)[0]


def chain_of(engine: HashEngine, prompt: Prompt = PROMPT, **changes: Any) -> Chain:
    """One chain, run to its end."""
    sample = changes.pop("sample", 0)
    critic = changes.pop("critic", None)

    async def run() -> Chain:
        return await run_chain(prompt, await make_setup(engine, critic, **changes), sample=sample)

    return asyncio.run(run())


def keep_in(kept: list[Row] | dict[str, Row]) -> Write:
    """Keeps rows as a sink would: it lets others run before a row counts."""

    async def keep(row: Row) -> None:
        await asyncio.sleep(0)
        if isinstance(kept, dict):
            assert row.row_id not in kept, "written twice"
            kept[row.row_id] = row
        else:
            kept.append(row)

    return keep


def batch_of(
    engine: HashEngine, prompts: Sequence[Prompt], durable: Any = None, **changes: Any
) -> tuple[BatchResult, dict[str, Row]]:
    """A batch, and its rows by id."""
    rows: dict[str, Row] = {}
    concurrency = changes.pop("concurrency", 3)

    async def run() -> BatchResult:
        setup = await make_setup(engine, **changes)
        return await run_batch(
            prompts,
            setup,
            concurrency=concurrency,
            durable=durable,
            write=keep_in(rows),
        )

    return asyncio.run(run()), rows


def untimed(rows: dict[str, Row]) -> dict[str, str | None]:
    return {row_id: row.text for row_id, row in rows.items()}


# What is asked


def test_a_chain_asks_what_the_method_says() -> None:
    engine = HashEngine()
    chain = chain_of(engine, revisions=2)
    texts = [row.text for row in chain.rows]
    principles = [make_constitution().principle(row.principle_id) for row in chain.rows[1:]]
    turns = PROMPT.conversation
    assert engine.prompts == [
        chat.build_response(turns),
        chat.build_critique(turns, texts[0], principles[0]),
        chat.build_revision(turns, texts[0], principles[0], texts[1]),
        chat.build_critique(turns, texts[2], principles[2]),
        chat.build_revision(turns, texts[2], principles[2], texts[3]),
    ]
    assert [(row.step, row.index, row.round) for row in chain.rows] == [
        ("response", 0, 0),
        ("critique-1", 1, 1),
        ("revision-1", 2, 1),
        ("critique-2", 3, 2),
        ("revision-2", 4, 2),
    ]
    assert principles[0] == principles[1]
    assert principles[2] == principles[3]


def test_direct_revision_asks_for_no_critique_and_draws_the_same_principles() -> None:
    engine = HashEngine()
    chain = chain_of(engine, critique=False)
    assert [(row.kind, row.index) for row in chain.rows] == [
        (StepKind.RESPONSE, 0),
        (StepKind.REVISION, 2),
        (StepKind.REVISION, 4),
    ]
    principle = make_constitution().principle(chain.rows[1].principle_id)
    asked = chat.build_revision(PROMPT.conversation, chain.rows[0].text, principle, None)
    assert engine.prompts[1] == asked
    critiqued = chain_of(HashEngine())
    assert [row.principle_id for row in chain.rows[1:]] == [
        row.principle_id for row in critiqued.rows if row.kind is StepKind.REVISION
    ]


def test_a_conversation_stays_whole() -> None:
    turns = (Message("user", "A: b"), Message("assistant", "C\n\nHuman: d"), Message("user", "E"))
    engine = HashEngine()
    chain_of(engine, build_prompt(turns, number=1))
    assert all(prompt[: len(turns)] == turns for prompt in engine.prompts)


def test_the_paper_template_is_plain_text_with_its_stops_and_parser() -> None:
    engine = HashEngine(answer=lambda asked: f" said {len(asked)}\n\nHuman: more")
    chain = chain_of(engine, template="paper", revisions=1, few_shot="\n\nHuman: ex")
    principle = make_constitution().principle(chain.rows[1].principle_id)
    texts = [paper.parse_completion(row.text) for row in chain.rows]
    turns = PROMPT.conversation
    assert engine.prompts == [
        paper.build_response(turns),
        paper.build_critique(turns, texts[0], principle, "\n\nHuman: ex"),
        paper.build_revision(turns, texts[0], principle, texts[1], "\n\nHuman: ex"),
    ]
    assert chain.rows[0].template_version == paper.TEMPLATE_VERSION
    assert chain.rows[0].text.endswith("Human: more")  # raw is kept


def test_chat_examples_go_before_critiques_and_revisions_only() -> None:
    example = (Message("user", "x"), Message("assistant", "y"))
    engine = HashEngine()
    chain_of(engine, few_shot=(example,))
    assert [prompt[:2] == example for prompt in engine.prompts] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("Not touched. It is fine.", Finding.NOT_TOUCHED),
        ("It is unkind.", Finding.FOUND),
        ("  ", Finding.UNPARSED),
    ],
)
def test_findings_are_read_from_critiques_only(text: str, finding: Finding) -> None:
    chain = chain_of(HashEngine(answer=lambda _: text), revisions=1)
    assert [row.finding for row in chain.rows] == [None, finding, None]


def test_the_critic_writes_critiques_with_its_own_sampling() -> None:
    policy, critic = HashEngine("policy"), HashEngine("critic", weights="w2")
    cold = SamplingParams(temperature=0.0, max_tokens=9)
    chain = chain_of(policy, critic=critic, critic_sampling=cold)
    for row in chain.rows:
        is_critique = row.kind is StepKind.CRITIQUE
        assert (row.role == "critic") == is_critique
        assert (row.model_id, row.weights_hash) == (
            ("critic", "w2") if is_critique else ("policy", "w1")
        )
        assert row.sampling["temperature"] == (0.0 if is_critique else 1.0)
    assert {params for _, params, _ in critic.asked} == {cold}
    assert {params for _, params, _ in policy.asked} == {SamplingParams()}


# Knobs


@pytest.mark.parametrize(
    "change",
    [
        {"revisions": 1},
        {"seed": 8},
        {"principles": "in-order"},
        {"principles": ("p4",)},
        {"critique": False},
        {"template": "paper"},
        {"policy_sampling": SamplingParams(temperature=0.5)},
        {"policy_sampling": SamplingParams(top_p=0.5)},
        {"policy_sampling": SamplingParams(max_tokens=5)},
        {"critic_sampling": SamplingParams(temperature=0.5)},
        {"sample": 1},
        {"few_shot": ((Message("user", "x"), Message("assistant", "y")),)},
    ],
    ids=str,
)
def test_every_knob_changes_the_texts(change: dict) -> None:
    # Four rounds: fewer can draw the constitution's own order by chance.
    usual = {"revisions": 4}
    plain = [row.text for row in chain_of(HashEngine(), **usual).rows]
    assert [row.text for row in chain_of(HashEngine(), **usual | change).rows] != plain


def test_chosen_and_ordered_principles_go_round() -> None:
    def drawn(**changes: Any) -> list[str | None]:
        rows = chain_of(HashEngine(), critique=False, **changes).rows
        return [row.principle_id for row in rows[1:]]

    assert drawn(revisions=3, principles=("p3", "p1")) == ["p3", "p1", "p3"]
    assert drawn(revisions=6, principles="in-order") == ["p0", "p1", "p2", "p3", "p4", "p0"]
    assert drawn(revisions=0) == []


def test_random_principles_are_drawn_independently_and_evenly() -> None:
    constitution, recipe = make_constitution(4), ChainRecipe(revisions=4, seed=3)
    drawn = [
        step.principle.id
        for prompt in make_prompts(500)
        for step in plan_chain(recipe, constitution, prompt, sample=0, run_id="r")
        if step.kind is StepKind.REVISION
    ]
    counts = [drawn.count(principle.id) for principle in constitution.principles]
    # 2,000 draws of probability 1/4: five standard deviations are 97.
    assert all(abs(count - 500) < 97 for count in counts), counts
    repeats = sum(a == b for a, b in zip(drawn[::4], drawn[1::4], strict=True))
    assert abs(repeats - 125) < 49  # the paper's repeats: a quarter of 500, five deviations


def test_seeds_do_not_depend_on_the_run_folder_and_ids_do() -> None:
    recipe, constitution = ChainRecipe(), make_constitution()
    one, two = (
        plan_chain(recipe, constitution, PROMPT, sample=0, run_id=run_id) for run_id in ("a", "b")
    )
    assert [step.seed for step in one] == [step.seed for step in two]
    assert not {step.row_id for step in one} & {step.row_id for step in two}


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
