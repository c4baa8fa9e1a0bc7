"""Plan files: what is read, and that every fault of a file is told at once."""

from __future__ import annotations

from typing import Any

import pytest

from cai_core.errors import RecipeError
from cai_core.jobs.plan import Faults, Plan, RevisePlan, SftPlan, parse_plan
from cai_core.records import SamplingParams
from cai_core.training.recipe import ChainSource
from tests.jobs.plans import CHAINS, SL, dump


def parse(document: object) -> Plan:
    text = document if isinstance(document, str) else dump(document)
    faults = Faults("p.yaml")
    plan = parse_plan(text, "p.yaml", faults)
    faults.raise_any()
    return plan


def find_faults(*runs: Any, **changes: Any) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        parse({"format": 1, "name": "plan", "runs": list(runs), **changes})
    return str(caught.value).split("\n")


def test_runs_are_read_in_order() -> None:
    plan = parse({"format": 1, "name": "plan", "runs": [CHAINS, SL]})
    chains, sl = plan.runs
    assert isinstance(chains, RevisePlan)
    assert (plan.names, chains.prompts, chains.model) == (("chains", "sl"), "redteam", "demo")
    assert (chains.where.tags, chains.where.kinds, chains.where.limit) == (("split:train",), (), 3)
    assert str(chains.where) == " where tags split:train"
    assert chains.chain.policy_sampling == SamplingParams(max_tokens=16)
    assert chains.chain.critic_sampling == SamplingParams()
    assert isinstance(sl, SftPlan)
    assert (sl.recipe.sources, sl.recipe.epochs) == ((ChainSource(run="chains", use="final"),), 2)


def test_an_exponent_without_a_point_is_a_number() -> None:
    text = dump({"format": 1, "name": "p", "runs": [SL]})
    for number in ("3e-4", "3.0e-4", "3E-4", "0.0003"):
        plan = parse(text.replace("epochs: 2", f"learning_rate: {number}"))
        (run,) = plan.runs
        assert isinstance(run, SftPlan)
        assert run.recipe.learning_rate == 3e-4


def test_all_faults_are_told_at_once() -> None:
    faults = find_faults(
        {**CHAINS, "colour": "red", "model": 3, "where": {"limit": 0, "kinds": ["nice"], "x": 1}},
        {**SL, "epochs": "two", "learning_rate": "fast", "packing": 1, "steps": 5},
        {**CHAINS, "chain": {"revisions": -1}, "prompts": ""},
        {**SL, "name": "b", "kind": "ppo"},
        name="a b",
        extra=1,
    )
    expected = [
        "p.yaml: unknown keys extra. Known are: format, name, runs.",
        "p.yaml: name: is 'a b'. It must",
        "p.yaml: run 'chains': unknown keys colour. Known are: name, kind, prompts,",
        "p.yaml: run 'chains': model: is 3, not a name or path.",
        "p.yaml: run 'chains': where: unknown keys x. Known are: tags, kinds, limit.",
        "p.yaml: run 'chains': where: kinds: names nice. Known are red-team,",
        "p.yaml: run 'chains': where: limit: is 0. Give a whole number from 1.",
        "p.yaml: run 'sl': unknown keys steps. Known are: name, kind, base,",
        "p.yaml: run 'sl': learning_rate: is 'fast'. Give a number.",
        "p.yaml: run 'sl': epochs: is 'two'. Give a whole number.",
        "p.yaml: run 'sl': packing: is 1. Give true or false.",
        "p.yaml: run 'chains': name: is another run's too.",
        "p.yaml: run 'chains': prompts: is '', not a name or path.",
        "p.yaml: run 'chains': chain: revisions is -1. Give a whole number from 0.",
        "p.yaml: run 'b': kind: is 'ppo'. Use one of revise, sft, label, reward, dpo, rl, evalua",
    ]
    assert len(faults) == len(expected)
    for fault, beginning in zip(faults, expected, strict=True):
        assert fault.startswith(beginning)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ("x", "run 'number 1': is no mapping"),
        ({"kind": "revise"}, "run 'number 1': name: is None"),
        ({"name": True, "kind": "revise"}, "name: is True"),
        ({"name": "a"}, "run 'a': kind: is None"),
        ({"name": "a", "kind": "revise"}, "run 'a': prompts: is missing"),
        ({"name": "a", "kind": "sft"}, "run 'a': base: is missing"),
        ({**CHAINS, "where": ["x"]}, "where: is ['x']"),
        ({**CHAINS, "where": {"tags": "x"}}, "where: tags: is 'x'. Give a list of texts"),
        ({**CHAINS, "chain": 3}, "chain: is 3, not a mapping"),
        (
            {**CHAINS, "chain": {"rounds": 3}},
            "chain: unknown keys rounds. Known are: critic",
        ),
        ({**CHAINS, "chain": {"policy_sampling": {"top_k": 3}}}, "unknown keys top_k"),
        ({**CHAINS, "chain": {"policy_sampling": 3}}, "policy_sampling is 3"),
        ({**CHAINS, "chain": {"critic_sampling": {"temperature": "x"}}}, "of another kind"),
        ({**CHAINS, "prompts": "a\0b"}, "not a name or path"),
        ({**SL, "sources": []}, "every source has a share"),
        ({**SL, "sources": ["chains"]}, "sources: is ['chains']. Give a list of sources"),
        ({**SL, "sources": [{"run": "a", "used": "all"}]}, "sources: unknown keys used"),
        ({**SL, "sources": [{"run": "a", "share": "x"}]}, "of another kind"),
        ({**SL, "epochs": True}, "epochs: is True. Give a whole number"),
        ({**SL, "epochs": 0}, "run 'sl': epochs is 0. Give a whole number from 1"),
        ({**SL, "method": "half"}, "method is 'half'. Use one of full, lora"),
    ],
)
def test_a_fault_names_run_and_key(run: object, told: str) -> None:
    assert any(told in fault for fault in find_faults(run))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a", "holds no mapping"),
        ("", "holds no mapping"),
        ("a: [", "broken"),
        ("format: 1\nformat: 1", "format comes twice in the mapping of line 1"),
        ("a: &x 1\nb: *x", "aliases"),
        ("format: 2\nname: a\nruns: [{}]", "format: is 2; this version reads format 1"),
        ("format: 1\nname: a\nruns: []", "runs: is no list of runs"),
        ("format: 1\nname: a\nruns: {a: 1}", "runs: is no list of runs"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(text: str, told: str) -> None:
    with pytest.raises(RecipeError, match=r"p\.yaml: ") as caught:
        parse(text)
    assert told in str(caught.value)
