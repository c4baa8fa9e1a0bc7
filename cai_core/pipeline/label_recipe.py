"""Recipes of the `label` stage: frozen, checked, and strict about unknown keys."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from cai_core.constitution.draw import sample_principles
from cai_core.errors import RecipeError
from cai_core.pipeline.labels import LEAST_MASS, TIE_MARGIN
from cai_core.pipeline.recipe import (
    PrincipleChoice,
    TemplateName,
    check_any_enabled,
    check_enabled,
)
from cai_core.recipe_checks import check_bool, check_choice, check_int, check_keys, check_text
from cai_core.records import Constitution, Principle, SamplingParams, content_hash

Pairs = Literal["two", "all", "revision"]
By = Literal["feedback", "revision"]
Orders = Literal["both", "first"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSource:
    """Responses of a `revise` run to compare.

    Attributes:
        run: its id; each chain's final response is compared, which without revisions is a sample.
        against: id of a run on the same prompts, whose sample i stands against sample i of `run`.
        pairs: `two` takes each prompt's first two samples, `all` every pair of them (each pair of
            runs where `against` is given needs neither); `revision` sets each chain's initial
            response against its final one.
        by: `feedback` asks the feedback model; `revision` asks nobody and prefers the revision.
        principles: ids gone through for these comparisons in the place of the recipe's choice.
        share: of all comparisons, in (0, 1); drawn without replacement. None takes every one.
    """

    run: str
    against: str | None = None
    pairs: Pairs = "two"
    by: By = "feedback"
    principles: tuple[str, ...] | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        for name in ("run", "against"):
            value = getattr(self, name)
            if value is not None:
                check_text(f"sources: {name}", value)
            if value == "":
                raise RecipeError(f"sources: {name} is empty. Give the id of a `revise` run.")
        check_choice("pairs", self.pairs, get_args(Pairs))
        check_choice("by", self.by, get_args(By))
        if self.against == self.run:
            raise RecipeError(f"a source names run {self.run!r} twice. Leave `against` out.")
        if self.against is not None and self.pairs != "two":
            raise RecipeError(f"pairs is {self.pairs!r} beside `against`. Leave one of them out.")
        if self.by == "revision" and self.pairs != "revision":
            raise RecipeError("by is 'revision' where no revisions are compared. Set pairs to it.")
        if self.principles is not None:
            _check_ids("sources: principles", self.principles)
        if self.share is not None and not 0 < self.share < 1:
            raise RecipeError(
                f"share is {self.share!r}. Give more than 0 and less than 1, or leave it out to "
                "take every comparison."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRecipe:
    """How comparisons are formed and labelled (arXiv 2212.08073, section 4.1).

    Attributes:
        sources: where the responses come from; at least one without a `share`.
        feedback_model: an endpoint's name, `demo`, a folder, or a URL.
        constitution: its name. constitution_hash: of the version.
        template: `chat` for instruct models, `paper` for plain continuation.
        principles: how each comparison gets its principles. `random` draws by seed and comparison
            (the paper draws one a label); `in-order` goes through the constitution, a tuple of
            ids through itself.
        principles_per_comparison: asked one by one, their labels averaged.
        orders: `both` shows each response first once and averages, so that position cancels out
            (RLAIF, arXiv 2309.00267, section 2.2); `first` shows A first alone.
        reasoned: asks for a chain of thought, then scores the verdict after it.
        thoughts: chains of thought for each question, averaged; one is drawn greedily, as RLAIF
            does, several with `sampling`.
        clamp: bounds of a reasoned label's probability, which saturates; the paper's are 0.4 and
            0.6. Plain labels are never clamped. None leaves reasoned ones as they are, too.
        tie_margin: a label is a tie within this of an even one. Ours, as `labels.TIE_MARGIN`.
        least_mass: the least probability of all options together that counts as an answer.
        max_unparsed: share of unreadable answers past which the run stops.
        similarity: pairs of responses at least so alike are dropped: ours.
        few_shot_hash: of the examples; None without.
        human_hash: of the file of human labels; None without.
        sampling: for chains of thought; `max_tokens` for a greedy one, too.
        seed: in [0, 2**63).
    """

    sources: tuple[ComparisonSource, ...]
    feedback_model: str
    constitution: str
    constitution_hash: str
    template: TemplateName = "chat"
    principles: PrincipleChoice = "random"
    principles_per_comparison: int = 1
    orders: Orders = "both"
    reasoned: bool = False
    thoughts: int = 1
    clamp: tuple[float, float] | None = (0.4, 0.6)
    tie_margin: float = TIE_MARGIN
    least_mass: float = LEAST_MASS
    max_unparsed: float = 0.2
    similarity: float = 0.95
    few_shot_hash: str | None = None
    human_hash: str | None = None
    sampling: SamplingParams = field(default_factory=SamplingParams)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("feedback_model", "constitution", "constitution_hash"):
            check_text(name, getattr(self, name))
            if not getattr(self, name):
                raise RecipeError(f"{name} is empty. Name one.")
        check_choice("template", self.template, get_args(TemplateName))
        check_choice("orders", self.orders, get_args(Orders))
        check_bool("reasoned", self.reasoned)
        check_int("principles_per_comparison", self.principles_per_comparison, 1)
        check_int("thoughts", self.thoughts, 1)
        check_int("seed", self.seed, 0)
        if self.seed >= 2**63:
            raise RecipeError(f"seed is {self.seed}. Give one below 2**63.")
        if self.thoughts > 1 and not self.reasoned:
            raise RecipeError("thoughts are asked for without `reasoned`. Set it to true.")
        if self.principles not in ("random", "in-order"):
            _check_ids("principles", self.principles)
        for name, high in (("tie_margin", 0.5), ("least_mass", 1), ("max_unparsed", 1)):
            _check_range(name, getattr(self, name), high)
        _check_range("similarity", self.similarity, 1)
        self._check_clamp()
        self._check_sampling()
        self._check_sources()

    def _check_clamp(self) -> None:
        if self.clamp is None:
            return
        right = len(self.clamp) == 2 and all(isinstance(end, int | float) for end in self.clamp)
        # Bounds that are not mirrored would favour one of the places.
        if not right or not 0 <= self.clamp[0] < 0.5 or abs(sum(self.clamp) - 1) > 1e-9:
            raise RecipeError(
                f"clamp is {self.clamp!r}. Give a bound below 0.5 and 1 minus it, as [0.4, 0.6], "
                "or null for none."
            )

    def _check_sampling(self) -> None:
        params = self.sampling
        if not isinstance(params, SamplingParams):
            raise RecipeError(f"sampling is {params!r}. Write temperature, top_p, max_tokens.")
        if not 0 <= params.temperature < float("inf"):
            raise RecipeError(f"sampling: temperature is {params.temperature}. Give 0 or more.")
        if not 0 < params.top_p <= 1:
            raise RecipeError(f"sampling: top_p is {params.top_p}. Give more than 0, at most 1.")
        check_int("sampling: max_tokens", params.max_tokens, 1)
        if self.thoughts > 1 and params.temperature == 0:
            raise RecipeError("thoughts of temperature 0 are all the same. Ask for one.")

    def _check_sources(self) -> None:
        if not self.sources or all(source.share is not None for source in self.sources):
            raise RecipeError(
                "every source has a share, or there is none. Leave the share out of at least one: "
                "the others are shares of all that comes together."
            )
        if sum(source.share or 0.0 for source in self.sources) >= 1:
            raise RecipeError("the shares add up to 1 or more. Leave room for the other sources.")

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the runs it is made from, each once."""
        runs = [run for source in self.sources for run in (source.run, source.against)]
        return tuple(dict.fromkeys(run for run in runs if run is not None))

    @property
    def asks_per_comparison(self) -> int:
        """Answers that a comparison takes."""
        orders = 2 if self.orders == "both" else 1
        return orders * self.principles_per_comparison * self.thoughts

    @property
    def thought_sampling(self) -> SamplingParams:
        """How chains of thought are drawn: one is greedy."""
        if self.thoughts > 1:
            return self.sampling
        return SamplingParams(temperature=0.0, max_tokens=self.sampling.max_tokens)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; `parse_label_recipe` is the inverse."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        choice = self.principles
        return {
            **own,
            "sources": [_plain_source(source) for source in self.sources],
            "principles": choice if isinstance(choice, str) else list(choice),
            "clamp": None if self.clamp is None else list(self.clamp),
            "sampling": self.sampling.as_dict(),
        }


def parse_label_recipe(document: Mapping[str, Any]) -> LabelRecipe:
    """Read the recipe of a `label` run.

    Raises:
        RecipeError: a key is unknown or missing, or a value out of range.
    """
    values = check_keys("recipe", document, LabelRecipe)
    try:
        values["sources"] = tuple(_parse_source(source) for source in values["sources"])
        for key in ("principles", "clamp"):
            if isinstance(values.get(key), list):
                values[key] = tuple(values[key])
        if isinstance(inner := values.get("sampling"), Mapping):
            values["sampling"] = SamplingParams(**check_keys("sampling", inner, SamplingParams))
        return LabelRecipe(**values)
    except (TypeError, KeyError) as error:
        raise RecipeError(f"recipe: keys missing or of another kind: {error}.") from error


def resolve_label_principles(
    recipe: LabelRecipe, constitution: Constitution
) -> tuple[Principle, ...]:
    """The principles that comparisons draw from or go through.

    Raises:
        RecipeError: an id that the constitution lacks or that is off, a principle without a
            comparison_request, or too few for `principles_per_comparison`.
    """
    choices = [recipe.principles] + [source.principles or () for source in recipe.sources]
    known = {principle.id for principle in constitution.principles}
    named = [name for choice in choices if not isinstance(choice, str) for name in choice]
    if missing := sorted(set(named) - known):
        raise RecipeError(
            f"constitution {constitution.name!r} has no principle {', '.join(missing)}. "
            f"It has: {', '.join(sorted(known))}."
        )
    own = recipe.principles
    on = [p.id for p in check_any_enabled(constitution)]
    chosen = on if isinstance(own, str) else list(own)
    check_enabled(named, constitution)
    for name in dict.fromkeys([*chosen, *named]):
        if not constitution.principle(name).comparison_request.strip():
            raise RecipeError(
                f"principle {name!r} of {constitution.name!r} has no comparison_request. Add one, "
                "or name the principles to use."
            )
    for pool in [chosen, *(source.principles for source in recipe.sources if source.principles)]:
        if len(pool) < recipe.principles_per_comparison:
            raise RecipeError(
                f"principles_per_comparison is {recipe.principles_per_comparison} and there are "
                f"{len(pool)} to choose from. Ask for fewer."
            )
    return tuple(constitution.principle(name) for name in chosen)


def draw_principles(
    recipe: LabelRecipe,
    constitution: Constitution,
    *,
    comparison_id: str,
    place: int,
    own: tuple[str, ...] | None = None,
) -> tuple[Principle, ...]:
    """A comparison's principles, each once, in the order in which they are asked about.

    Args:
        place: of the comparison in its run, from 0; `in-order` and lists go on from there.
        own: ids that the comparison's source asks for.
    """
    count = recipe.principles_per_comparison
    if own is None:
        known = resolve_label_principles(recipe, constitution)
        if recipe.principles == "random":
            draw = content_hash(["label-principles", recipe.seed, comparison_id])
            return sample_principles(known, count, random.Random(draw))
    else:
        known = tuple(constitution.principle(name) for name in own)
    return tuple(known[(place * count + number) % len(known)] for number in range(count))


def _parse_source(document: Mapping[str, Any]) -> ComparisonSource:
    values = check_keys("sources", document, ComparisonSource)
    if isinstance(values.get("principles"), list):
        values["principles"] = tuple(values["principles"])
    return ComparisonSource(**values)


def _plain_source(source: ComparisonSource) -> dict[str, Any]:
    plain = asdict(source)
    return {**plain, "principles": None if source.principles is None else list(source.principles)}


def _check_ids(name: str, ids: object) -> None:
    if not isinstance(ids, tuple) or not ids or not all(isinstance(one, str) for one in ids):
        raise RecipeError(f"{name} is {ids!r}. Use 'random', 'in-order' or a list of ids.")
    if len(set(ids)) < len(ids):
        raise RecipeError(f"{name} names an id twice. Name each once.")


def _check_range(name: str, value: object, high: float) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= high:
        raise RecipeError(f"{name} is {value!r}. Give a number from 0 to {high}.")
