"""What a prompt's rows come to in each way: the answer, what it cost, and how it was chosen. Pure.

A row's id is known from the recipe alone, as everywhere. Sample i of every way is drawn with the
seed that sample i of the plain way has, so that nothing but the way differs; and the plain answer
is the first sample of best-of-n, asked for once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cai_core.pipeline.best_of_n import (
    BestOfN,
    Judged,
    Match,
    choose_best,
    form_matches,
    list_candidates,
    read_label,
)
from cai_core.pipeline.label_building import build_model_label, plan_asks
from cai_core.pipeline.label_recipe import LabelRecipe
from cai_core.pipeline.label_records import LabelRecord
from cai_core.pipeline.steps import parse_step_text
from cai_core.pipeline.ways_recipe import Way, WaysRecipe
from cai_core.records import Constitution, Prompt
from cai_core.workspace.rows import Row, build_row_id, build_seed

# Labels of rows: part of their ids. Seeds are those of `response`, whatever the way.
STEPS: Mapping[Way, str] = {
    Way.PLAIN: "response",
    Way.BEST_OF_N: "response",
    Way.SYSTEM_PROMPT: "response-system",
    Way.OTHER_MODEL: "response-other",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMatch:
    """A match, its label, and the answers that the label was read from.

    Attributes:
        rows: of both orders; fewer while they are being asked for.
        label: None until every question was answered.
    """

    match: Match
    rows: tuple[Row, ...]
    label: LabelRecord | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One prompt in one way, as far as it has come.

    Attributes:
        samples: the rows of its responses, by sample; one but for best-of-n.
        matches: of best-of-n, in order.
        best: the outcome of best-of-n; None in other ways, and until every match is judged.
    """

    way: Way
    samples: Mapping[int, Row]
    matches: tuple[JudgedMatch, ...] = ()
    best: BestOfN | None = None

    @property
    def chosen(self) -> Row | None:
        """The row of the answer; None while there is none, and where nothing was chosen."""
        if self.way is not Way.BEST_OF_N:
            row = self.samples.get(0)
        else:
            winner = self.best.winner if self.best else None
            row = None if winner is None else self.samples[winner]
        return row if row is not None and row.error is None else None

    @property
    def text(self) -> str | None:
        """The answer itself."""
        return None if self.chosen is None else read_text(self.chosen)

    @property
    def error(self) -> str | None:
        """Why there is no answer, where every sample met an error."""
        errors = [row.error for row in self.samples.values()]
        return errors[0] if errors and all(errors) else None

    @property
    def rows(self) -> list[Row]:
        """Every row that this way took."""
        return [*self.samples.values(), *(row for match in self.matches for row in match.rows)]

    @property
    def prompt_tokens(self) -> int:
        """Read for its samples; what scored questions read is told by no server."""
        return sum(row.prompt_tokens or 0 for row in self.samples.values())

    @property
    def completion_tokens(self) -> int:
        """Written in all its samples."""
        return sum(row.completion_tokens or 0 for row in self.samples.values())

    @property
    def questions(self) -> int:
        """Questions that the feedback model was asked."""
        return sum(len(match.rows) for match in self.matches)

    @property
    def seconds(self) -> float:
        """Of its requests added up; some of them ran at once."""
        return sum(row.seconds or 0.0 for row in self.rows)


def build_response_id(run_id: str, prompt: Prompt, way: Way, sample: int) -> str:
    """The row id of a way's sample."""
    return build_row_id(run_id=run_id, prompt_id=prompt.prompt_id, sample=sample, step=STEPS[way])


def build_response_seed(recipe: WaysRecipe, prompt: Prompt, sample: int) -> int:
    """The seed of sample i, the same in every way."""
    return build_seed(
        run_seed=recipe.seed, prompt_id=prompt.prompt_id, sample=sample, step=STEPS[Way.PLAIN]
    )


def read_text(row: Row) -> str:
    """A response's text."""
    return parse_step_text(row.text or "", template="chat")


def list_samples(way: Way, recipe: WaysRecipe) -> range:
    """The samples that a way draws."""
    return range(recipe.n if way is Way.BEST_OF_N else 1)


def read_answer(
    way: Way,
    prompt: Prompt,
    rows: Mapping[str, Row],
    recipe: WaysRecipe,
    constitution: Constitution,
    run_id: str,
) -> Answer:
    """One prompt's answer in one way, from its rows.

    Args:
        rows: by id; those of other ways and prompts do not matter.
    """
    ids = {s: build_response_id(run_id, prompt, way, s) for s in list_samples(way, recipe)}
    samples = {sample: rows[row_id] for sample, row_id in ids.items() if row_id in rows}
    if way is not Way.BEST_OF_N or len(samples) < recipe.n:
        return Answer(way=way, samples=samples)
    asked = recipe.build_label_recipe(run_id)
    matches = [
        _read_match(match, rows, asked, constitution, run_id)
        for match in list_matches(samples, prompt, recipe, run_id)
    ]
    best = None
    labels = [match.label for match in matches]
    if all(label is not None for label in labels):
        judged: list[Judged] = [
            read_label(match.match, match.label) for match in matches if match.label is not None
        ]
        best = choose_best(list_candidates(read_texts(samples)), judged)
    return Answer(way=way, samples=samples, matches=tuple(matches), best=best)


def read_texts(samples: Mapping[int, Row]) -> dict[int, str]:
    """The texts of the samples that met no error."""
    return {sample: read_text(row) for sample, row in samples.items() if row.error is None}


def list_matches(
    samples: Mapping[int, Row], prompt: Prompt, recipe: WaysRecipe, run_id: str
) -> Sequence[Match]:
    """The round robin of a prompt's samples; a sample that met an error takes no part."""
    return form_matches(prompt, read_texts(samples), recipe.n, run_id)


def _read_match(
    match: Match,
    rows: Mapping[str, Row],
    asked: LabelRecipe,
    constitution: Constitution,
    run_id: str,
) -> JudgedMatch:
    plan = plan_asks(asked, constitution, match.comparison, place=match.place, run_id=run_id)
    found = tuple(rows[ask.row_id] for ask in plan if ask.row_id in rows)
    whole = len(found) == len(plan)
    label = build_model_label(match.comparison, found, asked) if whole else None
    return JudgedMatch(match=match, rows=found, label=label)
