"""Asking a model at an endpoint what it thinks of principles: of each, and of pairs of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cai_core.constitution.contradictions import MOST_PAIRS, ask_about_pairs
from cai_core.constitution.harm_asked import ask_about_harm
from cai_core.constitution.opinions import Opinion
from cai_core.errors import RequestFailedError, RequestRejectedError, ScoringUnavailableError
from cai_core.inference.pool import EnginePool
from cai_core.inference.probe import probe
from cai_core.inference.scoring import score_options
from cai_core.pipeline.connect import Launched
from cai_core.pipeline.generate import is_about_run
from cai_core.pipeline.label_answers import Scorer, choose_scorer
from cai_core.records import Constitution, Conversation, SamplingParams

_SAMPLING = SamplingParams(temperature=0.0, max_tokens=8)
_ERRORS_OF_QUESTION = (
    RequestRejectedError,
    RequestFailedError,
    ScoringUnavailableError,
    UnicodeEncodeError,
)


async def ask_opinion(
    launched: Launched, constitution: Constitution, *, most_pairs: int = MOST_PAIRS
) -> Opinion:
    """Score "Yes" and "No" for each question; where the server scores nothing, read its one word.

    Args:
        most_pairs: ≥ 0; the most pairs to ask about, each in both orders.

    Raises:
        ServerUnavailableError: no server answers any more.
        RequestRejectedError: the server refuses every request.
    """
    async with launched.open() as pool:
        info = await pool.info()
        scorer = choose_scorer(await probe(pool), "chat", reasoned=False)

        async def ask(question: Conversation, options: Sequence[str]) -> Sequence[float] | None:
            try:
                return await _ask(pool, scorer, question, options)
            except _ERRORS_OF_QUESTION as error:
                if is_about_run(error):
                    raise
                return None

        harm = await ask_about_harm(ask, constitution)
        pairs = await ask_about_pairs(ask, constitution, most_pairs=most_pairs)
        return Opinion(
            constitution=constitution.name,
            model_id=info.model_id,
            weights_hash=info.weights_hash,
            harm=harm,
            pairs=pairs.answers,
            pairs_there_are=pairs.pairs,
        )


async def _ask(
    pool: EnginePool, scorer: Scorer, question: Conversation, options: Sequence[str]
) -> Sequence[float] | None:
    if scorer.way is not None:
        scores = await score_options(pool, question, options, way=scorer.way, cache=scorer.cache)
        return scores.probabilities
    completion = await pool.generate(question, _SAMPLING, seed=0)
    return read_option(completion.text, options)


def read_option(text: str, options: Sequence[str]) -> Sequence[float] | None:
    """The option that a text begins with as 1 and the others as 0, None where it is none."""
    word = re.match(r"\W*(\w+)", text)
    told = [float(word is not None and word[1].lower() == o.lower()) for o in options]
    return told if any(told) else None
