"""What an `evaluate` run asks, known from recipe and inputs alone. Pure.

prompt × samples → a response to each turn → questions and ratings of the judge about the last;
with best of n, n responses to the one turn, comparisons of them, and the judge about the chosen one
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cai_core.constitution.draw import list_enabled
from cai_core.evaluation.suites import Suite, SuitePrompt, choose_prompts
from cai_core.pipeline.evaluate_inputs import EvaluateInputs
from cai_core.pipeline.evaluate_recipe import EvaluateRecipe
from cai_core.pipeline.judge_rubric import Question, Rating
from cai_core.records import Principle
from cai_core.workspace.rows import build_row_id, build_seed

# Files of rows: one step for all of a run's.
STEP = "evaluate"
RESPONSE, CANDIDATE, CHOICE = "response", "candidate", "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRow:
    """One request before it is made.

    Attributes:
        step: `response`, `response-2` (of the second turn), `candidate-2` (of best of n),
            `judge-…`, `rate-…` or `keeps-…`.
        index: of the turn, or of the question among the prompt's, from 0.
        about: what the judge is asked; None for a response.
    """

    row_id: str
    step: str
    index: int
    seed: int
    about: Question | Rating | Principle | None = None

    @property
    def name(self) -> str:
        """The question's id, the rated measure, or the principle's id; empty for a response."""
        if self.about is None:
            return ""
        return self.about.measure if isinstance(self.about, Rating) else self.about.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One prompt's sample and all that is asked for it.

    Attributes:
        place: in the run's order, from 0.
        responses: one for each turn. judgements: about the last of them, or the chosen one.
        candidates: of best of n, the others that are drawn for the one turn.
    """

    place: int
    prompt: SuitePrompt
    sample: int
    responses: tuple[PlannedRow, ...]
    judgements: tuple[PlannedRow, ...]
    candidates: tuple[PlannedRow, ...] = ()

    @property
    def choices(self) -> int:
        """Questions that choosing takes at most: each two answers in both orders."""
        drawn = 1 + len(self.candidates)
        return drawn * (drawn - 1)

    @property
    def rows(self) -> int:
        """Rows that it leaves at most where it meets no error."""
        drawn = len(self.responses) + len(self.candidates)
        return drawn + self.choices + len(self.judgements)


def plan_cases(recipe: EvaluateRecipe, inputs: EvaluateInputs, run_id: str) -> Iterator[Case]:
    """Every case, prompt by prompt."""
    kept = _choose_kept(recipe, inputs)
    place = 0
    for prompt in inputs.suite.prompts:
        for sample in range(recipe.samples):
            plan = _Plan(recipe, run_id, prompt, sample)
            principles = kept if sample == 0 and prompt.id in kept else {}
            yield Case(
                place=place,
                prompt=prompt,
                sample=sample,
                responses=tuple(plan.list_responses()),
                candidates=tuple(plan.list_candidates()),
                judgements=tuple(plan.list_judgements(inputs, principles.get(prompt.id, ()))),
            )
            place += 1


def count_rows(recipe: EvaluateRecipe, inputs: EvaluateInputs) -> dict[str, int]:
    """Rows by what they are: `response`, `question`, `rating`, `principle`, and `choice` where
    the best of several is chosen; of those the most that there can be."""
    counts = dict.fromkeys(("response", "question", "rating", "principle"), 0)
    if recipe.best_of > 1:
        counts[CHOICE] = 0
    for case in plan_cases(recipe, inputs, "count"):
        counts["response"] += len(case.responses) + len(case.candidates)
        if case.choices:
            counts[CHOICE] += case.choices
        for row in case.judgements:
            counts[name_kind(row.about)] += 1
    return counts


def name_kind(about: Question | Rating | Principle | None) -> str:
    """A word of `count_rows`."""
    match about:
        case None:
            return "response"
        case Question():
            return "question"
        case Rating():
            return "rating"
    return "principle"


def choose_suite(suite: Suite, limit: int | None) -> Suite:
    """The suite as it is asked: with a limit, so many prompts, always the same ones."""
    if limit is None or limit >= len(suite.prompts):
        return suite
    return Suite(
        name=suite.name,
        version=suite.version,
        description=suite.description,
        prompts=choose_prompts(suite, limit),
        held_out=suite.held_out,
    )


def _choose_kept(
    recipe: EvaluateRecipe, inputs: EvaluateInputs
) -> dict[str, tuple[Principle, ...]]:
    """Prompt's id → the principles that the judge is asked about."""
    if inputs.constitution is None:
        return {}
    principles = list_enabled(inputs.constitution)
    chosen = choose_prompts(inputs.suite, recipe.adherence_prompts)
    return {prompt.id: principles for prompt in chosen}


class _Plan:
    def __init__(
        self, recipe: EvaluateRecipe, run_id: str, prompt: SuitePrompt, sample: int
    ) -> None:
        self._recipe, self._run_id = recipe, run_id
        self._prompt, self._sample = prompt, sample

    def list_responses(self) -> Iterator[PlannedRow]:
        for turn in range(len(self._prompt.turns)):
            yield self._plan(RESPONSE if turn == 0 else f"{RESPONSE}-{turn + 1}", turn, None)

    def list_candidates(self) -> Iterator[PlannedRow]:
        for number in range(1, self._recipe.best_of):
            yield self._plan(f"{CANDIDATE}-{number + 1}", number, None)

    def list_judgements(
        self, inputs: EvaluateInputs, principles: tuple[Principle, ...]
    ) -> Iterator[PlannedRow]:
        asked: list[tuple[str, Question | Rating | Principle]] = []
        if inputs.rubric is not None:
            kind = self._prompt.kind
            asked += [(f"judge-{one.id}", one) for one in inputs.rubric.list_questions(kind)]
            if self._recipe.ratings:
                rated = inputs.rubric.list_ratings(kind)
                asked += [(f"rate-{one.measure}", one) for one in rated]
        asked += [(f"keeps-{one.id}", one) for one in principles]
        for index, (step, about) in enumerate(asked):
            yield self._plan(step, index, about)

    def _plan(
        self, step: str, index: int, about: Question | Rating | Principle | None
    ) -> PlannedRow:
        name, sample = self._prompt.id, self._sample
        return PlannedRow(
            row_id=build_row_id(run_id=self._run_id, prompt_id=name, sample=sample, step=step),
            step=step,
            index=index,
            seed=build_seed(run_seed=self._recipe.seed, prompt_id=name, sample=sample, step=step),
            about=about,
        )
