"""Chains: what is asked in which order, what each knob changes, and what never depends."""

from __future__ import annotations

from typing import Any

import pytest

from cai_core.pipeline.prompt_file import build_prompt
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.pipeline.steps import plan_chain
from cai_core.prompts import chat, paper
from cai_core.records import Finding, Message, SamplingParams, StepKind
from tests.pipeline.chains import PROMPT, chain_of
from tests.pipeline.engines import HashEngine
from tests.pipeline.makers import make_constitution, make_prompts

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
