"""What the recipes of stages that train on preference labels share: sources, and how one trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from typing import Any, Literal, TypeVar, get_args

from cai_core.errors import RecipeError
from cai_core.recipe_checks import check_bool, check_choice, check_keys
from cai_core.records import PromptKind
from cai_core.training.training_settings import (
    Method,
    Precision,
    check_shares,
    check_source,
    check_training,
    list_parents,
)

LabelUse = Literal["all", "feedback-model", "human", "revision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceSource:
    """Labels of a `label` run to train on.

    Attributes:
        run: its id.
        kinds: of prompts whose comparisons are taken, e.g. `red-team`; empty takes every kind.
        use: whose labels: `all`, or those of one label source alone.
        share: of all pairs, in (0, 1); drawn without replacement. None takes every one. So
            helpfulness comparisons are mixed in at a ratio: without them a policy learns to refuse.
    """

    run: str
    kinds: tuple[str, ...] = ()
    use: LabelUse = "all"
    share: float | None = None

    def __post_init__(self) -> None:
        check_source(self, "label", "comparison")
        for kind in self.kinds:
            check_choice("kinds", kind, tuple(PromptKind))
        check_choice("use", self.use, get_args(LabelUse))

    def overlaps(self, other: PreferenceSource) -> bool:
        """Whether both could take the same label."""
        kinds = not self.kinds or not other.kinds or bool({*self.kinds} & {*other.kinds})
        uses = self.use == other.use or "all" in (self.use, other.use)
        return self.run == other.run and kinds and uses


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRecipe:
    """How a model is trained on pairs of responses; each stage adds its own settings.

    Attributes:
        base: `demo`, a model folder, or a hub id; an SL-CAI model as a rule.
        base_hash: SHA-256 of its weights; None for a hub id, which is fetched at the start.
        sources: where the labels come from; at least one without a `share`.
        soft: train on the labels' probabilities (arXiv 2309.00267); else on who won alone, and
            ties are left out.
        shuffled: a control: each label keeps its strength, and a coin says whose side it takes.
        eval_share: of the prompts, in [0, 1): their pairs are held out to evaluate on.
        method: `full`, or `lora` (arXiv 2106.09685).
        batch_size: pairs an optimizer step; `micro_batch` of them at once in memory.
        epochs: passes over the pairs; more than one overfits a reward model (arXiv 2203.02155,
            appendix C.2).
        warmup: share of the steps over which the learning rate rises.
        max_length: tokens of a prompt with one response; longer pairs are left out and counted.
        lora_rank, lora_alpha: of the adapter; read where `method` is `lora`.
        log_steps, save_steps: steps between two log lines and two checkpoints.
        human_hash: of what people say of the comparisons; None without. The three keys are hashed
            only with it, so that older runs keep their ids.
        use_human: where more than half of them say the same, that is the label.
        drop_disputed: leave out what no verdict has more than half of, and what they see otherwise
            than the label does (which `use_human` settles).
    """

    base: str
    base_hash: str | None = None
    sources: tuple[PreferenceSource, ...]
    soft: bool = True
    shuffled: bool = False
    eval_share: float = 0.1
    method: Method = "lora"
    learning_rate: float
    batch_size: int = 32
    micro_batch: int = 8
    epochs: int = 1
    warmup: float = 0.05
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    max_length: int = 2048
    precision: Precision = "auto"
    gradient_checkpointing: bool = False
    lora_rank: int = 16
    lora_alpha: int = 32
    seed: int = 0
    log_steps: int = 1
    save_steps: int = 100
    human_hash: str | None = None
    use_human: bool = False
    drop_disputed: bool = False

    def __post_init__(self) -> None:
        check_training(self)
        for name in ("soft", "shuffled", "use_human", "drop_disputed"):
            check_bool(name, getattr(self, name))
        if (self.human_hash is not None) is not (self.use_human or self.drop_disputed):
            raise RecipeError(
                "`human` names what people say, `use_human` and `drop_disputed` what to do with "
                "it. Give `human` and at least one of the two, or none of them."
            )
        if not 0 <= self.eval_share < 1:
            raise RecipeError(f"eval_share is {self.eval_share!r}. Give one in [0, 1).")
        check_shares(self.sources)
        if any(one.overlaps(other) for one, other in combinations(self.sources, 2)):
            raise RecipeError(
                "two sources would take the same labels of a run. Give them different kinds or "
                "uses, or name the run once."
            )

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the runs it is made from, each once."""
        return list_parents(self.sources)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; the stage's `parse_…_recipe` is the inverse."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        if self.human_hash is None:
            for name in ("human_hash", "use_human", "drop_disputed"):
                del own[name]
        sources = [{**asdict(one), "kinds": list(one.kinds)} for one in self.sources]
        return {**own, "sources": sources}


R = TypeVar("R", bound=PairRecipe)


def parse_pair_recipe(document: Mapping[str, Any], kind: type[R]) -> R:
    """Read the plain form of a stage's recipe.

    Raises:
        RecipeError: a key is unknown or missing, or a value out of range.
    """
    values = check_keys("recipe", document, kind)
    try:
        sources = tuple(_parse_source(source) for source in values["sources"])
        return kind(**{**values, "sources": sources})
    except (TypeError, KeyError) as error:
        raise RecipeError(f"recipe: keys missing or of another kind: {error}.") from error


def _parse_source(document: Mapping[str, Any]) -> PreferenceSource:
    values = check_keys("sources", document, PreferenceSource)
    kinds = values.get("kinds") or ()
    if isinstance(kinds, str):
        raise RecipeError(f"sources: kinds is {kinds!r}. Give a list, as in [{kinds}].")
    return PreferenceSource(**{**values, "kinds": tuple(kinds)})
