"""What a feedback model is asked about one comparison, and how its answer is read.

Pure but for `ask`: a label is plain (the verdict's token is scored), or reasoned (a chain of
thought is written, cut before its verdict's word, and that word scored). Where the server tells
no log-probabilities the written verdict counts as a hard label, and its row says so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cai_core.errors import ScoringUnavailableError
from cai_core.inference.capabilities import Asker, Capabilities, ScoringWay
from cai_core.inference.engine import Engine
from cai_core.inference.scoring import OptionScores, score_options
from cai_core.inference.scoring_tokens import OptionTokens
from cai_core.pipeline.label_few_shot import LabelFewShot
from cai_core.pipeline.label_recipe import LabelRecipe
from cai_core.pipeline.labels import OPTIONS, Comparison
from cai_core.pipeline.recipe import TemplateName
from cai_core.prompts import chat, paper_labels
from cai_core.records import Completion, Conversation, Principle, SamplingParams, Verdict

# A way of its own beside the ways of scoring: the verdict was read from generated text.
TEXT = "text"
_WORDS = {Verdict.A: 1.0, Verdict.B: 0.0, Verdict.TIE: 0.5}
# A written verdict needs no more than its word and what a template puts around it.
_WORD_TOKENS = 8
_VERDICT_WORD = re.compile(
    r"^\W*verdict\W*:(?P<gap>\W*)(?P<word>a|b|tie)\b\W*$", re.IGNORECASE | re.MULTILINE
)


class FeedbackModel(Engine, Asker, Protocol):
    """What a label is asked of; `Prioritised` in front of a pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """How this server's options are scored.

    Attributes:
        way: None where they cannot be, and verdicts are read from text.
    """

    way: ScoringWay | None
    cache: OptionTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one question brought.

    Attributes:
        completion: what was written; None where the verdict was scored alone.
        verdict: as written, in the order shown; None where nothing was written.
        scores: None where nothing could be scored.
    """

    completion: Completion | None
    verdict: Verdict | None
    scores: OptionScores | None


def choose_scorer(capabilities: Capabilities, template: TemplateName, *, reasoned: bool) -> Scorer:
    """How this server's verdicts are scored with this template.

    In a chat whole prompts cannot be scored, and a begun answer only where the server goes on
    with one. A text can always be gone on with.
    """
    way = capabilities.scoring_way
    if template == "chat":
        begun = not reasoned or capabilities.has("continue_final_message")
        way = None if way == "prompt-logprobs" or not begun else way
    return Scorer(way=way, cache=OptionTokens.for_server(capabilities))


def build_question(
    comparison: Comparison, principle: Principle, recipe: LabelRecipe, few_shot: LabelFewShot
) -> Conversation | str:
    """The prompt, A being the response shown first.

    Raises:
        TemplateError: it cannot be written in the recipe's template.
    """
    parts = (comparison.conversation, comparison.response_a, comparison.response_b, principle)
    if recipe.template == "paper":
        build = paper_labels.build_thought if recipe.reasoned else paper_labels.build_comparison
        return build(*parts, few_shot.text)
    return (*few_shot.turns, *chat.build_comparison(*parts, reasoned=recipe.reasoned))


async def ask(
    model: FeedbackModel,
    question: Conversation | str,
    recipe: LabelRecipe,
    scorer: Scorer,
    *,
    seed: int,
) -> Answer:
    """Ask one question.

    Raises:
        ModelError: as `Engine.generate` and `Asker`.
        ScoringUnavailableError: the server cannot score these options after all.
    """
    if not recipe.reasoned:
        return await _ask_plain(model, question, scorer, seed)
    stop = paper_labels.STOP if recipe.template == "paper" else ()
    completion = await model.generate(question, recipe.thought_sampling, seed=seed, stop=stop)
    if isinstance(question, str):
        begun = paper_labels.build_conclusion(completion.text)
        # A thought without words is no reason to ask for its conclusion.
        if not completion.text.strip():
            return Answer(completion=completion, verdict=Verdict.UNPARSED, scores=None)
        answer = await _ask_plain(model, question + begun, scorer, seed)
        return Answer(completion=completion, verdict=answer.verdict, scores=answer.scores)
    verdict, cut = chat.parse_verdict(completion.text), cut_before_verdict(completion.text)
    if cut is None or scorer.way is None:
        return Answer(completion=completion, verdict=verdict, scores=None)
    try:
        scores = await score_options(
            model, question, cut.options, way=scorer.way, cache=scorer.cache, begun=cut.begun
        )
    except ScoringUnavailableError:
        # The model's words around its verdict leave no token to score: the verdict itself counts.
        return Answer(completion=completion, verdict=verdict, scores=None)
    return Answer(completion=completion, verdict=verdict, scores=scores)


@dataclass(frozen=True, slots=True)
class CutThought:
    """A reasoned judgement up to its verdict's word, and the words that could stand there."""

    begun: str
    options: tuple[str, ...]


def cut_before_verdict(text: str) -> CutThought | None:
    """Cut before the word of the last verdict line; None where there is none.

    A blank before the word belongs to it, as tokenizers have it; the options are written in the
    word's own case.
    """
    found = list(_VERDICT_WORD.finditer(text))
    if not found:
        return None
    word, gap, at = found[-1]["word"], found[-1]["gap"], found[-1].start("word")
    blank = " " if gap.endswith(" ") else ""
    write: Callable[[str], str] = str.lower if word.islower() else str
    if len(word) > 1 and word.isupper():
        write = str.upper
    return CutThought(text[: at - len(blank)], tuple(blank + write(option) for option in OPTIONS))


def build_scoring(answer: Answer) -> dict[str, Any]:
    """What a row keeps: raw log-probabilities, mass, and the way; plain JSON values.

    `logprobs` holds None for an impossible option; with way `text` there are no numbers.
    """
    scores = answer.scores
    if scores is None:
        return {"way": TEXT}
    return {
        "way": scores.way,
        "options": list(scores.options),
        "logprobs": [None if value == -math.inf else value for value in scores.logprobs],
        "probabilities": list(scores.probabilities),
        "mass": scores.mass,
        "exact": scores.exact,
        "requests": scores.requests,
    }


def read_prob_first(
    scoring: Mapping[str, Any], verdict: Verdict | None, *, least_mass: float
) -> float | None:
    """Probability that the response shown first is preferred; a tie counts half for each.

    None where it is unreadable: too little mass, or no verdict in the text.
    """
    if scoring["way"] == TEXT:
        return _WORDS.get(verdict) if verdict is not None else None
    if scoring["mass"] is not None and scoring["mass"] < least_mass:
        return None
    probabilities: Sequence[float] = scoring["probabilities"]
    return min(1.0, probabilities[0] + math.fsum(probabilities[2:]) / 2)


async def _ask_plain(
    model: FeedbackModel, question: Conversation | str, scorer: Scorer, seed: int
) -> Answer:
    options = paper_labels.OPTIONS if isinstance(question, str) else OPTIONS
    if scorer.way is not None:
        scores = await score_options(model, question, options, way=scorer.way, cache=scorer.cache)
        return Answer(completion=None, verdict=None, scores=scores)
    params = SamplingParams(temperature=0.0, max_tokens=_WORD_TOKENS)
    completion = await model.generate(question, params, seed=seed)
    parse = paper_labels.parse_option if isinstance(question, str) else chat.parse_plain_verdict
    return Answer(completion=completion, verdict=parse(completion.text), scores=None)
