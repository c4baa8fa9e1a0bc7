"""The demo world's suites: held out, known to the oracle, and in the form of every other suite."""

from cai_core.demo_world.oracle import Oracle
from cai_core.demo_world.suites import build_demo_suites
from cai_core.demo_world.world import HELD_OUT, Standing, load_world
from cai_core.evaluation.near_duplicates import check_held_out
from cai_core.evaluation.suite_file import dump_suite, parse_suite
from cai_core.pipeline.prompt_file import load_prompts
from cai_core.pipeline.prompt_sets import SHIPPED

WORLD = load_world()
SUITES = build_demo_suites(WORLD)
PROMPTS = [p for path in sorted(SHIPPED.glob("*.jsonl")) for p in load_prompts(path).prompts]


def test_there_is_one_for_each_standing_with_all_that_is_held_out():
    assert {suite.name: len(suite.prompts) for suite in SUITES} == {
        f"demo-{standing}": count for standing, count in HELD_OUT.items()
    }
    assert all(suite.held_out for suite in SUITES)


def test_the_oracle_knows_each_prompt_and_its_truth():
    oracle = Oracle(WORLD)
    for suite in SUITES:
        for prompt in suite.prompts:
            intent = oracle.read_prompt(prompt.text)
            assert intent in WORLD.held_out and prompt.intent == intent.text
            assert prompt.kind.value == intent.standing.value
            assert prompt.category == (
                intent.harm if intent.standing is Standing.HARMFUL else intent.kind
            )


def test_they_are_the_held_out_prompts_of_the_shipped_sets():
    told = {(p.prompt_id.partition("#")[0], p.text) for p in PROMPTS if "split:held-out" in p.tags}
    assert {(prompt.id, prompt.text) for suite in SUITES for prompt in suite.prompts} == told


def test_no_training_prompt_is_nearly_one_of_them():
    training = [prompt for prompt in PROMPTS if "split:train" in prompt.tags]
    for suite in SUITES:
        check = check_held_out(suite, training)
        assert not check.broken and check.training == len(training) > 1500
    assert check_held_out(SUITES[0], PROMPTS).broken


def test_they_are_written_and_read_like_every_suite():
    for suite in SUITES:
        assert parse_suite(dump_suite(suite), "x") == suite
    assert [suite.hash for suite in build_demo_suites(WORLD)] == [suite.hash for suite in SUITES]
