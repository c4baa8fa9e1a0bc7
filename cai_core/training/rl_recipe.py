"""Recipes of reinforcement learning: frozen, checked, and strict about unknown keys. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from cai_core.errors import RecipeError
from cai_core.recipe_checks import check_bool, check_choice, check_int, check_keys, check_text
from cai_core.training.alarm_limits import AlarmLimits, parse_alarm_limits
from cai_core.training.training_settings import Method, Precision

Algorithm = Literal["rloo", "grpo"]
Rollouts = Literal["auto", "transformers"]
# A judge that gives less of its probability to the ten numbers was about to say something else:
# ours, the same as for labels.
LEAST_MASS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReward:
    """The score of a reward model (arXiv 2212.08073, section 4.1).

    Attributes:
        model: the folder that a `reward` run made; one output for a text.
        model_hash: SHA-256 of its weights; None where the run that makes it is yet to end.
    """

    model: str
    model_hash: str | None = None
    weight: float = 1.0
    kind: Literal["reward-model"] = "reward-model"

    def __post_init__(self) -> None:
        check_text("rewards: model", self.model)
        if not self.model:
            raise RecipeError("a reward names no model. Give the folder of a reward model.")
        _check_weight(self.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReward:
    """Direct RLAIF: a judge's expected score of 1 to 10, mapped to [-1, 1] (arXiv 2309.00267, 2.2).

    One principle of the recipe's constitution is drawn for each prompt and step, so that what is
    compared within a group is judged alike.

    Attributes:
        model: the judge's endpoint, `demo`, a folder, a hub id or a URL.
        principles: ids to draw from; empty draws from all.
        least_mass: in [0, 1]; the run ends where the judge gives the ten numbers together less
            probability than this.
    """

    model: str
    principles: tuple[str, ...] = ()
    least_mass: float = LEAST_MASS
    weight: float = 1.0
    kind: Literal["judge"] = "judge"

    def __post_init__(self) -> None:
        check_text("rewards: model", self.model)
        if not self.model:
            raise RecipeError("a reward names no judge. Give an endpoint's name.")
        if not isinstance(self.principles, tuple) or not all(
            isinstance(name, str) for name in self.principles
        ):
            raise RecipeError(f"rewards: principles is {self.principles!r}. Give a list of ids.")
        if not 0 <= _number("rewards: least_mass", self.least_mass) <= 1:
            raise RecipeError(f"rewards: least_mass is {self.least_mass!r}. Give one in [0, 1].")
        _check_weight(self.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthReward:
    """The completion's tokens, in units of `per_tokens`; a negative weight is a penalty.

    For planted cases of reward hacking, and against growth. The end token is not counted.
    """

    per_tokens: int = 64
    weight: float = 1.0
    kind: Literal["length"] = "length"

    def __post_init__(self) -> None:
        check_int("rewards: per_tokens", self.per_tokens, 1)
        _check_weight(self.weight)


RewardSource = ModelReward | JudgeReward | LengthReward


@dataclass(frozen=True, slots=True, kw_only=True)
class RlRecipe:
    """How a policy is trained against rewards (RL-CAI).

    Attributes:
        base: the policy at first, and the reference that it is held to: `demo`, a model folder, or
            a hub id.
        base_hash: SHA-256 of its weights; None where they are not here yet.
        rewards: their weighted sum is the reward.
        prompts: what they are called; prompts_hash: of those in the run's inputs.
        constitution, constitution_hash: of judges; None without one.
        algorithm: `rloo` (arXiv 2402.14740), or `grpo` (arXiv 2402.03300) with TRL's token-level
            loss and rewards divided by their group's standard deviation.
        red_team_share: of each step's prompts, in [0, 1]; the others are of other kinds. None
            takes the prompts as they come.
        steps: batches of prompts, each answered by the policy of that moment.
        prompts_per_step, generations: prompts a step, and completions a prompt. 4 of these is the
            larger setting of arXiv 2402.14740.
        iterations: optimizer steps on one batch of completions; 1 keeps them on-policy.
        epsilon: how far a completion's probability ratio may move before it is clipped, 0.2 in
            arXiv 1707.06347. Read where `iterations` is more than 1.
        micro_batch: completions at once in memory in the optimizer's part.
        max_tokens: of a completion. temperature: of sampling; 1 samples the policy itself.
        beta: weight of the KL divergence from the reference, TRL's 0.05 for RLOO and near the
            0.04 of arXiv 2402.03300. 0 drops the reference, and nothing measures the KL then.
        learning_rate: 1e-6 is TRL's and that of arXiv 2402.03300, for billions of parameters; the
            demo model learns at 1e-4.
        warmup: share of the optimizer steps over which the learning rate rises; then it stays.
        rollouts: `auto` generates with vLLM in this process where there are a GPU and vLLM, else
            as `transformers`.
        lora_rank, lora_alpha: of the adapter; read where `method` is `lora`.
        log_steps, save_steps: optimizer steps between two log lines and two checkpoints.
        sample_steps: the same between two samples of fixed prompts; 0 samples before and after
            alone. sample_prompts: how many; 0 samples none.
        probe_steps: optimizer steps between two askings of the probe, which the alarms look at.
        probe_prompts: of each kind of prompt; they are not trained on. 0 leaves the probe out.
        alarms: where each alarm rings.
    """

    base: str
    base_hash: str | None = None
    rewards: tuple[RewardSource, ...]
    prompts: str
    prompts_hash: str
    constitution: str | None = None
    constitution_hash: str | None = None
    algorithm: Algorithm = "rloo"
    red_team_share: float | None = None
    steps: int = 100
    prompts_per_step: int = 16
    generations: int = 4
    iterations: int = 1
    epsilon: float = 0.2
    micro_batch: int = 16
    max_tokens: int = 256
    temperature: float = 1.0
    beta: float = 0.05
    learning_rate: float = 1e-6
    warmup: float = 0.0
    max_grad_norm: float = 1.0
    method: Method = "lora"
    lora_rank: int = 16
    lora_alpha: int = 32
    precision: Precision = "auto"
    gradient_checkpointing: bool = False
    rollouts: Rollouts = "auto"
    seed: int = 0
    log_steps: int = 1
    save_steps: int = 50
    sample_steps: int = 0
    sample_prompts: int = 4
    probe_steps: int = 10
    probe_prompts: int = 24
    alarms: AlarmLimits = field(default_factory=AlarmLimits)

    def __post_init__(self) -> None:
        self._check_whole_numbers()
        self._check_numbers()
        check_text("prompts", self.prompts)
        check_text("base", self.base)
        if not self.base:
            raise RecipeError("base names no model. Give `demo`, a folder or a hub id.")
        check_choice("algorithm", self.algorithm, get_args(Algorithm))
        check_choice("method", self.method, get_args(Method))
        check_choice("precision", self.precision, get_args(Precision))
        check_choice("rollouts", self.rollouts, get_args(Rollouts))
        check_bool("gradient_checkpointing", self.gradient_checkpointing)
        if self.completions_per_step % self.micro_batch:
            raise RecipeError(
                f"prompts_per_step × generations is {self.completions_per_step}, micro_batch "
                f"{self.micro_batch}. Let the first be a multiple of the second."
            )
        self._check_rewards()
        if not isinstance(self.alarms, AlarmLimits):
            raise RecipeError(f"alarms is {self.alarms!r}. Write limits by name: {{kl: 0.5}}.")

    def _check_whole_numbers(self) -> None:
        for name in ("steps", "prompts_per_step", "iterations", "micro_batch", "max_tokens"):
            check_int(name, getattr(self, name), 1)
        for name in ("lora_rank", "lora_alpha", "log_steps", "save_steps", "probe_steps"):
            check_int(name, getattr(self, name), 1)
        for name in ("seed", "sample_steps", "sample_prompts", "probe_prompts"):
            check_int(name, getattr(self, name), 0)
        # Each completion's baseline is what the others of its prompt got.
        check_int("generations", self.generations, 2)

    def _check_numbers(self) -> None:
        for name, least, most in (
            ("learning_rate", 0, 1),
            ("epsilon", 0, 1),
            ("temperature", 0, math.inf),
            ("max_grad_norm", 0, math.inf),
        ):
            if not least < _number(name, getattr(self, name)) < most:
                raise RecipeError(
                    f"{name} is {getattr(self, name)!r}. Give more than {least}, less than {most}."
                )
        if not 0 <= _number("beta", self.beta) < math.inf:
            raise RecipeError(f"beta is {self.beta!r}. Give 0 or more.")
        if not 0 <= _number("warmup", self.warmup) < 1:
            raise RecipeError(f"warmup is {self.warmup!r}. Give one in [0, 1).")
        share = self.red_team_share
        if share is not None and not 0 <= _number("red_team_share", share) <= 1:
            raise RecipeError(f"red_team_share is {share!r}. Give one in [0, 1], or leave it out.")

    def _check_rewards(self) -> None:
        if not self.rewards:
            raise RecipeError("there is no reward. Name a reward model, a judge, or length.")
        if self.judges and not self.constitution:
            raise RecipeError("a judge is a reward, and no constitution is named. Name one.")

    @property
    def completions_per_step(self) -> int:
        """Completions of one step."""
        return self.prompts_per_step * self.generations

    @property
    def optimizer_steps(self) -> int:
        """Optimizer steps in all."""
        return self.steps * self.iterations

    @property
    def judges(self) -> tuple[JudgeReward, ...]:
        """The rewards that ask a model endpoint."""
        return tuple(one for one in self.rewards if isinstance(one, JudgeReward))

    @property
    def reward_names(self) -> tuple[str, ...]:
        """A name for each reward, by which the metrics tell it: its kind, numbered from the 2nd."""
        names: list[str] = []
        for one in self.rewards:
            same = sum(other.kind == one.kind for other in self.rewards[: len(names)])
            names.append(f"{one.kind}-{same + 1}" if same else one.kind)
        return tuple(names)

    def as_dict(self) -> dict[str, Any]:
        """Plain form for recipe.yaml; `parse_rl_recipe` is the inverse."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        rewards = [_plain(one) for one in self.rewards]
        return {**own, "rewards": rewards, "alarms": self.alarms.as_dict()}


def parse_rl_recipe(document: Mapping[str, Any]) -> RlRecipe:
    """Read the plain form.

    Raises:
        RecipeError: a key is unknown or missing, or a value out of range.
    """
    values = check_keys("recipe", document, RlRecipe)
    try:
        rewards = tuple(parse_reward(one) for one in values["rewards"])
        if isinstance(values.get("alarms"), Mapping):
            values["alarms"] = parse_alarm_limits(values["alarms"])
        return RlRecipe(**{**values, "rewards": rewards})
    except (TypeError, KeyError, AttributeError) as error:
        raise RecipeError(f"recipe: keys missing or of another kind: {error}.") from error


def parse_reward(document: Mapping[str, Any]) -> RewardSource:
    """Read one reward by its `kind`.

    Raises:
        RecipeError: no such kind, a key is unknown, or a value out of range.
        TypeError: a key is missing.
    """
    if not isinstance(document, Mapping):
        raise RecipeError(f"rewards: {document!r} is no reward. Give its kind and its settings.")
    values = dict(document)
    if isinstance(values.get("principles"), list):
        values["principles"] = tuple(values["principles"])
    match values.get("kind"):
        case "reward-model":
            return ModelReward(**check_keys("rewards", values, ModelReward))
        case "judge":
            return JudgeReward(**check_keys("rewards", values, JudgeReward))
        case "length":
            return LengthReward(**check_keys("rewards", values, LengthReward))
    raise RecipeError(
        f"rewards: kind is {values.get('kind')!r}. Use one of reward-model, judge, length."
    )


def _plain(reward: RewardSource) -> dict[str, Any]:
    told = asdict(reward)
    if isinstance(reward, JudgeReward):
        told["principles"] = list(reward.principles)
    return told


def _check_weight(weight: object) -> None:
    number = _number("rewards: weight", weight)
    if not math.isfinite(number) or not number:
        raise RecipeError(f"rewards: weight is {weight!r}. Give a number that is not 0.")


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(f"{name} is {value!r}. Give a number.")
    return float(value)
