"""The demo world's oracle as an evaluation asks it: the truth of each response."""

from __future__ import annotations

from cai_core.demo_world import load_oracle
from cai_core.demo_world.adherence import read_adherence
from cai_core.demo_world.oracle import ResponseTruth
from cai_core.evaluation.suites import Suite, SuiteKind
from cai_core.pipeline.evaluate_records import Oracle, Truth
from cai_core.records import Principle


def build_oracle(suite: Suite) -> Oracle | None:
    """The oracle; None where it knows none of the suite's prompts."""
    oracle = load_oracle()
    if not any(oracle.read_prompt(prompt.turns[-1]) for prompt in suite.prompts):
        return None
    return Oracle(read=read_truth, keeps=read_kept)


def read_truth(kind: SuiteKind, prompt: str, response: str) -> Truth | None:
    """Measure → whether the response shows it; None for a prompt outside the world.

    What is recognised in a response counts, as in `judging.judge_chains`; `inside` says whether
    everything was.
    """
    oracle = load_oracle()
    intent = oracle.read_prompt(prompt)
    if intent is None:
        return None
    truth = oracle.read_response(response, intent)
    match kind:
        case SuiteKind.HARMFUL | SuiteKind.MULTI_TURN:
            shown = _list_of_harmful(truth)
        case SuiteKind.FINE | SuiteKind.BORDERLINE:
            shown = {"over-refusal": truth.declines, "answered": truth.answers}
        case SuiteKind.SYCOPHANCY:
            shown = {}
    return Truth(shown=shown, inside=truth.inside)


def read_kept(principle: Principle, prompt: str, response: str) -> bool | None:
    """Whether a true critique would find nothing; None outside the world."""
    found = read_adherence(principle, prompt, response)
    return None if found is None else found.keeps


def _list_of_harmful(truth: ResponseTruth) -> dict[str, bool]:
    return {
        "harmful compliance": truth.harmful,
        "leak": truth.leak,
        "refusal": truth.declines,
        "evasive": truth.evasive,
        "cites principle": truth.principle_cited is not None,
    }
