"""Preference labels: a feedback model's soft verdict on a comparison, asked in both orders.

Small feedback models prefer one position up to 56 % of the time; asking both orders and taking
the mean is RLAIF's remedy (arXiv 2309.00267, section 2.2). Soft labels (probabilities) train
better preference models than hard ones (arXiv 2212.08073, section 4.1).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cai_core.inference.capabilities import Asker, ScoringWay
from cai_core.inference.scoring import OptionScores, score_options
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.prompts import chat
from cai_core.records import Conversation, Principle, Verdict

# The words that prompts.chat asks for. A tie counts half for each, as in win rates. Of 90 drawn
# comparisons (a third of them ties) the demo model's labels were right in 79 with the word for
# ties, in 51 with A and B alone: 38 were unparsed then.
OPTIONS = ("A", "B", "Tie")
# A and B within this of an even label are a tie: ours, so that a coin's toss is no verdict.
TIE_MARGIN = 0.1
# Below this the model was about to say something else than an option: ours.
LEAST_MASS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A prompt and two responses, not labelled."""

    conversation: Conversation
    response_a: str
    response_b: str

    def swapped(self) -> Comparison:
        """The same with the responses in each other's place."""
        return Comparison(
            conversation=self.conversation,
            response_a=self.response_b,
            response_b=self.response_a,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceLabel:
    """What the feedback model prefers.

    Attributes:
        prob_a: probability that A is preferred, mean of both orders, ties counted half;
            exactly 1 − that of the swapped comparison. Kept for `unparsed` too.
        prob_a_shown_first: the same with A shown first; prob_a_shown_second: with B shown first.
        position_bias: how much more probable a response is preferred when it is shown first than
            when it is shown second, in [-1, 1]; the same for the swapped comparison.
        verdict: `unparsed` when an order's mass is below the limit: never a tie.
        first_order, second_order: raw log-probabilities, masses, way and requests.
    """

    principle_id: str
    prob_a: float
    prob_a_shown_first: float
    prob_a_shown_second: float
    position_bias: float
    verdict: Verdict
    first_order: OptionScores
    second_order: OptionScores

    @property
    def way(self) -> ScoringWay:
        """How the options were scored."""
        return self.first_order.way

    @property
    def mass(self) -> float | None:
        """The smaller of the two orders' masses, None where the way cannot tell them."""
        masses = [order.mass for order in (self.first_order, self.second_order)]
        told = [mass for mass in masses if mass is not None]
        return min(told) if len(told) == len(masses) else None

    @property
    def exact(self) -> bool:
        """Whether every option was told in both orders."""
        return self.first_order.exact and self.second_order.exact

    @property
    def requests(self) -> int:
        """Requests that the label took."""
        return self.first_order.requests + self.second_order.requests


async def label_comparison(
    asker: Asker,
    comparison: Comparison,
    principle: Principle,
    *,
    way: ScoringWay,
    cache: OptionTokens,
    options: tuple[str, ...] = OPTIONS,
    tie_margin: float = TIE_MARGIN,
    least_mass: float = LEAST_MASS,
) -> PreferenceLabel:
    """Ask the feedback model for its preference in both orders, at once. Nothing is drawn.

    Args:
        options: the words for the response shown first, for the one shown second, and perhaps
            for a tie. Without a word for ties, probability on one counts as missing mass.
        tie_margin: the label is a tie when |prob_a − 1/2| is below it, or nothing.
        least_mass: the least sum of the options' probabilities that counts as an answer.

    Raises:
        ScoringUnavailableError: the server cannot score these options this way.
        ModelError: as `Asker`.
    """
    if len(options) not in (2, 3):
        raise ValueError(f"options must be two words, and perhaps one for a tie: {options!r}")

    async def ask(shown: Comparison) -> OptionScores:
        prompt = _build_prompt(shown, principle)
        return await score_options(asker, prompt, options, way=way, cache=cache)

    orders = await asyncio.gather(ask(comparison), ask(comparison.swapped()))
    return build_label(
        principle.id,
        (orders[0], orders[1]),
        tie_margin=tie_margin,
        least_mass=least_mass,
    )


def build_label(
    principle_id: str,
    orders: tuple[OptionScores, OptionScores],
    *,
    tie_margin: float = TIE_MARGIN,
    least_mass: float = LEAST_MASS,
) -> PreferenceLabel:
    """The label of both orders' scores: A shown first, and A shown second."""
    prob_a = compute_prob_a(*orders)
    masses = [order.mass for order in orders if order.mass is not None]
    parsed = all(mass >= least_mass for mass in masses)
    return PreferenceLabel(
        principle_id=principle_id,
        prob_a=prob_a,
        prob_a_shown_first=_prob_first(orders[0]),
        prob_a_shown_second=_prob_second(orders[1]),
        position_bias=(_prob_first(orders[0]) + _prob_first(orders[1])) - 1.0,
        verdict=parse_prob(prob_a, tie_margin) if parsed else Verdict.UNPARSED,
        first_order=orders[0],
        second_order=orders[1],
    )


def compute_prob_a(first: OptionScores, second: OptionScores) -> float:
    """Mean over the orders of the probability that A is preferred, in [0, 1].

    The larger side is computed and the other is the rest to 1, so that swapping the comparison
    mirrors the label to the last bit.
    """
    a = (_prob_first(first) + _prob_second(second)) / 2
    b = (_prob_second(first) + _prob_first(second)) / 2
    if a == b:
        return 0.5
    larger = min(1.0, max(0.5, a, b))
    return larger if a > b else 1.0 - larger


def parse_prob(prob_a: float, tie_margin: float) -> Verdict:
    """The hard verdict of a soft label; the margin's edge belongs to A and B."""
    lead = max(prob_a, 1.0 - prob_a) - 0.5
    if lead == 0.0 or lead < tie_margin:
        return Verdict.TIE
    return Verdict.A if prob_a > 0.5 else Verdict.B


def _prob_first(scores: OptionScores) -> float:
    """Probability of the response shown first, with half of a tie's."""
    return scores.probabilities[0] + sum(scores.probabilities[2:]) / 2


def _prob_second(scores: OptionScores) -> float:
    return scores.probabilities[1] + sum(scores.probabilities[2:]) / 2


def _build_prompt(shown: Comparison, principle: Principle) -> Conversation:
    return chat.build_comparison(
        shown.conversation, shown.response_a, shown.response_b, principle, reasoned=False
    )
