"""Recipes of the critique–revision stage: frozen, checked, and strict about unknown keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from cai_core.constitution.draw import list_enabled
from cai_core.errors import RecipeError
from cai_core.recipe_checks import check_bool, check_int, check_keys, check_text
from cai_core.records import Constitution, Principle, SamplingParams

TemplateName = Literal["chat", "paper"]
PrincipleChoice = Literal["random", "in-order"] | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRecipe:
    """How each chain is made.

    Attributes:
        revisions: ≥ 0; 4 is the paper's (arXiv 2212.08073, section 3.2).
        seed: in [0, 2**63); 0 stands for nothing but repeatability.
        principles: how each round gets its principle. `random` draws one independently at each
            round (section 3.1), each as likely as its weight; `in-order` goes through the
            constitution; a tuple of ids is gone through in its own order. The last two begin
            again at their end. A principle that is off is left out.
        critique: False revises directly, without a critique (section 3.5).
        template: `chat` for instruct models, `paper` for plain continuation.
        policy_sampling: for initial responses and revisions; T = 1 (section 3.2).
        critic_sampling: for critiques.
        samples: chains a prompt, ≥ 1; the paper makes one a red-team prompt.
    """

    revisions: int = 4
    seed: int = 0
    principles: PrincipleChoice = "random"
    critique: bool = True
    template: TemplateName = "chat"
    policy_sampling: SamplingParams = field(default_factory=SamplingParams)
    critic_sampling: SamplingParams = field(default_factory=SamplingParams)
    samples: int = 1

    def __post_init__(self) -> None:
        check_int("revisions", self.revisions, 0)
        check_int("samples", self.samples, 1)
        check_int("seed", self.seed, 0)
        if self.seed >= 2**63:
            raise RecipeError(f"seed is {self.seed}. Give one below 2**63.")
        if self.template not in ("chat", "paper"):
            raise RecipeError(f"template is {self.template!r}. Use 'chat' or 'paper'.")
        check_bool("critique", self.critique)
        _check_principles(self.principles)
        _check_sampling("policy_sampling", self.policy_sampling)
        _check_sampling("critic_sampling", self.critic_sampling)

    @property
    def rows_per_chain(self) -> int:
        """Rows of a chain that meets no error."""
        return 1 + self.revisions * (2 if self.critique else 1)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; `parse_chain_recipe` is the inverse."""
        choice = self.principles
        return {
            **asdict(self),
            "principles": choice if isinstance(choice, str) else list(choice),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviseRecipe:
    """What a `revise` run is made from: the chain recipe and the hashes of its inputs.

    Attributes:
        model: as asked for: `demo`, a folder, or a URL.
        critic_model: None where the policy critiques itself.
        constitution: its name.
        constitution_hash: of the version.
        prompts: the prompt file's name.
        prompts_hash: of the prompts that are used, after `limit`.
        few_shot_hash: None without examples.
        limit: only the first so many prompts, None for all.
    """

    model: str
    critic_model: str | None = None
    constitution: str
    constitution_hash: str
    prompts: str
    prompts_hash: str
    few_shot_hash: str | None = None
    limit: int | None = None
    chain: ChainRecipe

    def __post_init__(self) -> None:
        check_text("model", self.model)
        if self.critic_model is not None:
            check_text("critic_model", self.critic_model)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; `parse_revise_recipe` is the inverse."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**own, "chain": self.chain.as_dict()}


def parse_chain_recipe(document: Mapping[str, Any]) -> ChainRecipe:
    """Read the plain form.

    Raises:
        RecipeError: an unknown key, or a value out of range.
    """
    values = check_keys("chain", document, ChainRecipe)
    for key in ("policy_sampling", "critic_sampling"):
        if isinstance(inner := values.get(key), Mapping):
            values[key] = SamplingParams(**check_keys(key, inner, SamplingParams))
    if isinstance(values.get("principles"), list):
        values["principles"] = tuple(values["principles"])
    return ChainRecipe(**values)


def parse_revise_recipe(document: Mapping[str, Any]) -> ReviseRecipe:
    """Read the recipe of a `revise` run.

    Raises:
        RecipeError: a key is unknown or missing, or a value out of range.
    """
    values = check_keys("recipe", document, ReviseRecipe)
    try:
        return ReviseRecipe(**{**values, "chain": parse_chain_recipe(values["chain"])})
    except (TypeError, KeyError) as error:
        raise RecipeError(f"recipe: keys missing: {error}.") from error


def resolve_principles(recipe: ChainRecipe, constitution: Constitution) -> tuple[Principle, ...]:
    """The principles that rounds draw from or go through.

    Raises:
        RecipeError: an id that the constitution lacks or that is off, or a constitution without
            principles or with every one off.
    """
    if isinstance(recipe.principles, tuple):
        known = {principle.id for principle in constitution.principles}
        if missing := [name for name in recipe.principles if name not in known]:
            raise RecipeError(
                f"constitution {constitution.name!r} has no principle {', '.join(missing)}. "
                f"It has: {', '.join(sorted(known))}."
            )
        check_enabled(recipe.principles, constitution)
        return tuple(constitution.principle(name) for name in recipe.principles)
    return check_any_enabled(constitution)


def check_any_enabled(constitution: Constitution) -> tuple[Principle, ...]:
    """The principles that are on; RecipeError where there is none, or every one is off."""
    if not constitution.principles:
        raise RecipeError(f"constitution {constitution.name!r} has no principles. Add one.")
    if not (enabled := list_enabled(constitution)):
        raise RecipeError(f"every principle of {constitution.name!r} is off. Switch one on.")
    return enabled


def check_enabled(ids: Sequence[str], constitution: Constitution) -> None:
    """Raise RecipeError where one of these principles is off."""
    if off := [name for name in ids if not constitution.principle(name).enabled]:
        raise RecipeError(
            f"principle {', '.join(off)} of {constitution.name!r} is off. "
            "Switch it on, or leave it out of the recipe."
        )


def _check_principles(choice: object) -> None:
    ids = choice if isinstance(choice, tuple) else ()
    right = choice in ("random", "in-order") if isinstance(choice, str) else choice == ids
    if not right or not all(isinstance(name, str) for name in ids):
        raise RecipeError(f"principles is {choice!r}. Use 'random', 'in-order' or a list of ids.")
    if not choice:
        raise RecipeError("principles is an empty list. Name at least one id.")


def _check_sampling(name: str, params: object) -> None:
    if not isinstance(params, SamplingParams):
        raise RecipeError(f"{name} is {params!r}. Write temperature, top_p, max_tokens under it.")
    if not 0 <= params.temperature < float("inf"):
        raise RecipeError(f"{name}: temperature is {params.temperature}. Give 0 or more.")
    if not 0 < params.top_p <= 1:
        raise RecipeError(f"{name}: top_p is {params.top_p}. Give more than 0, at most 1.")
    check_int(f"{name}: max_tokens", params.max_tokens, 1)
