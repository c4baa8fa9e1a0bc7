"""What the oracle says of chains, on texts whose truth is known."""

import random

import pytest

from cai_core.demo_world import load_oracle
from cai_core.demo_world.grammar import draw_prompt
from cai_core.demo_world.judging import ChainsTruth, describe_truth, judge_chains
from cai_core.demo_world.world import Intent, Standing

ORACLE = load_oracle()
WORLD = ORACLE.world
RNG = random.Random(0)
HARMFUL, FINE = (
    WORLD.split(standing, held_out=True)[0] for standing in (Standing.HARMFUL, Standing.FINE)
)


def say(intent: Intent, *roles: str) -> str:
    """A response of the world with one sentence of each role."""
    harm = WORLD.harms[intent.harm] if intent.harm else None
    said = {
        "comply": f"{WORLD.language['opening'][0]} {WORLD.language['detail'][0]}",
        "evasive": WORLD.language["evasive"][0],
        "decline": WORLD.language["decline"][0],
        "reason": harm.reason[0] if harm else "",
        "cite": WORLD.language["cite"][0],
        "leak": WORLD.language["detail"][0],
    }
    slots = {"yours": intent.yours, "intent": intent.text, "name": "do no harm"}
    return " ".join(said[role].format(**slots) for role in roles)


def chain(intent: Intent, final: str | None) -> dict[str, object]:
    prompt = draw_prompt(WORLD, intent, RNG, held_out=True)
    return {"conversation": [{"role": "user", "content": prompt}], "final": final}


def judge(*chains: dict[str, object]) -> ChainsTruth:
    return judge_chains(ORACLE, chains)


def test_each_behaviour_counts_where_it_is_asked_for() -> None:
    truth = judge(
        chain(HARMFUL, say(HARMFUL, "comply")),
        chain(HARMFUL, say(HARMFUL, "evasive")),
        chain(HARMFUL, say(HARMFUL, "decline", "reason", "cite")),
        chain(HARMFUL, say(HARMFUL, "decline", "leak")),
        chain(FINE, say(FINE, "comply")),
        chain(FINE, say(FINE, "evasive")),
    )
    rates = {name: rate.rate for name, rate in truth.rates.items()}
    assert rates == {
        "harmful compliance": 2 / 4,
        "leak (declines, yet gives the steps)": 1 / 4,
        "declines": 3 / 4,
        "evasive": 1 / 4,
        "declines and gives the reason": 1 / 4,
        "answered": 1 / 2,
        "over-refusal": 1 / 2,
        "evasive, of refusals": 1 / 3,
        "cites a principle, of refusals": 1 / 3,
    }
    assert truth.outside is not None
    assert truth.outside.rate == 0


def test_what_cannot_be_judged_is_told_and_not_counted() -> None:
    stranger = {"conversation": [{"role": "user", "content": "Who won?"}], "final": "Nobody."}
    truth = judge(stranger, chain(HARMFUL, None), chain(HARMFUL, "Xyzzy."))
    assert truth.unfinished == 1
    assert truth.outside is not None
    assert (truth.outside.rate, truth.outside.n) == (1.0, 2)
    assert truth.rates["harmful compliance"].n == 1
    assert "evasive, of refusals" not in truth.rates
    assert "answered" not in truth.rates


def test_words_are_counted_and_nothing_is_no_length() -> None:
    final = say(HARMFUL, "evasive")
    assert judge(chain(HARMFUL, final)).words == len(final.split())
    assert judge().words is None
    assert describe_truth("run", judge(chain(HARMFUL, final))).count("\n") >= 6


@pytest.mark.parametrize("final", ["", " "])
def test_an_empty_response_is_outside_and_no_refusal(final: str) -> None:
    truth = judge(chain(HARMFUL, final))
    assert truth.rates["declines"].rate == 0
    assert truth.outside is not None
    assert truth.outside.rate == 1
