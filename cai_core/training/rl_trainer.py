"""TRL's RLOO and GRPO with our rewards: what they are given, and what is seen of each batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_config import RLOOConfig
from trl.trainer.rloo_trainer import RLOOTrainer

from cai_core.records import Conversation, Message
from cai_core.training.base_model import build_common_arguments, use_one_device
from cai_core.training.rewards import Reward, Rollout, check_rewards, combine
from cai_core.training.rl_recipe import RlRecipe
from cai_core.training.trainer_mixin import FiniteMixin

if TYPE_CHECKING:
    from transformers import Trainer as _Trainer
else:
    _Trainer = object

# step (from 1), conversations, completions and their combined rewards, in one order
OnCompletions = Callable[[int, Sequence[Conversation], Sequence[str], Sequence[float]], None]

_SHOWN = (
    *("loss", "grad_norm", "learning_rate", "num_tokens", "step_time"),
    *("reward", "reward_std", "frac_reward_zero_std", "kl", "entropy"),
    *(f"completions/{name}" for name in ("mean_length", "min_length", "max_length")),
    "completions/clipped_ratio",
    "clip_ratio/region_mean",
)


class RewardedMixin(FiniteMixin, _Trainer):
    """Stands before one of TRL's trainers that sample; tells observers each batch.

    Attributes:
        observers: called with each batch once its rewards are known, before the optimizer moves;
            what one raises ends the training.
    """

    observers: tuple[OnCompletions, ...] = ()
    # Of TRL's trainers: micro-batches done, by which they know when to sample anew.
    _step: int

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One micro-batch; see `FiniteMixin`."""
        if not self._step:
            # TRL begins at 0 at each start, the state is that of the checkpoint.
            self._step = self.state.global_step * self.args.gradient_accumulation_steps
        return super().training_step(*args, **kwargs)

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> torch.Tensor:
        trl: Any = super()
        each: torch.Tensor = trl._calculate_rewards(
            inputs, prompts, completions, completion_ids_list
        )
        weights: Any = self
        told = combine(each.T.tolist(), weights.reward_weights.tolist())
        conversations = [parse_turns(turns) for turns in prompts]
        texts = [completion[0]["content"] for completion in completions]
        for observe in self.observers:
            observe(self.state.global_step + 1, conversations, texts, told)
        return each


class RewardedRloo(RewardedMixin, RLOOTrainer):
    """REINFORCE with the mean of the other completions as baseline (arXiv 2402.14740)."""


class RewardedGrpo(RewardedMixin, GRPOTrainer):
    """Group relative policy optimization (arXiv 2402.03300)."""


def build_config(recipe: RlRecipe, folder: Path, *, bf16: bool) -> RLOOConfig | GRPOConfig:
    """TRL's settings for a recipe; checkpoints go into `folder`.

    The prompts come in the order in which the dataset holds them, so that a run that goes on takes
    up where it was, however often the prompts have been gone through.
    """
    config = RLOOConfig if recipe.algorithm == "rloo" else GRPOConfig
    return use_one_device(
        config(
            **build_common_arguments(folder, bf16=bf16, seed=recipe.seed),
            per_device_train_batch_size=recipe.micro_batch,
            gradient_accumulation_steps=recipe.completions_per_step // recipe.micro_batch,
            max_steps=recipe.optimizer_steps,
            num_generations=recipe.generations,
            num_iterations=recipe.iterations,
            epsilon=recipe.epsilon,
            max_completion_length=recipe.max_tokens,
            temperature=recipe.temperature,
            top_p=1.0,
            top_k=0,
            beta=recipe.beta,
            reward_weights=[float(one.weight) for one in recipe.rewards],
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=recipe.warmup,
            max_grad_norm=recipe.max_grad_norm,
            gradient_checkpointing=recipe.gradient_checkpointing,
            # The ratio to the policy that sampled is 1 only where both compute alike.
            disable_dropout=True,
            shuffle_dataset=False,
            remove_unused_columns=False,
            logging_steps=recipe.log_steps,
            save_steps=recipe.save_steps,
            use_vllm=uses_vllm(recipe),
            vllm_mode="colocate",
        )
    )


def uses_vllm(recipe: RlRecipe) -> bool:
    """Whether completions are generated by vLLM, in this process and on its GPU."""
    here = torch.cuda.is_available() and find_spec("vllm") is not None
    return recipe.rollouts == "auto" and here


def list_shown(recipe: RlRecipe) -> tuple[str, ...]:
    """The names of TRL's log that go into metrics.jsonl; each reward has its own mean and std."""
    own = [f"rewards/{name}/{what}" for name in recipe.reward_names for what in ("mean", "std")]
    return (*_SHOWN, *own)


def set_special_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Make generation end and pad as the tokenizer says; the tokens that end a completion.

    Without them a completion never ends, or padding counts as text. Ends that the model's own
    generation_config names beside the tokenizer's stay.
    """
    config: Any = model.generation_config
    held = config.eos_token_id
    ends: list[int] = [held] if isinstance(held, int) else list(held or [])
    end = int(tokenizer.eos_token_id)
    ends = ends if end in ends else [end, *ends]
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    config.eos_token_id = ends if len(ends) > 1 else end
    config.pad_token_id = model.config.pad_token_id = tokenizer.pad_token_id
    return ends


def build_reward_function(
    name: str, reward: Reward, ends: Sequence[int]
) -> Callable[..., list[float]]:
    """A reward in the form that TRL calls; TRL logs it by `name`.

    Args:
        ends: tokens that end a completion.
    """

    def compute(
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        prompt_id: Sequence[str],
        trainer_state: Any,
        **_: Any,
    ) -> list[float]:
        rollouts = []
        for place, tokens in enumerate(completion_ids):
            ended = tokens[-1] in ends
            rollouts.append(
                Rollout(
                    prompt_id=prompt_id[place],
                    conversation=parse_turns(prompts[place]),
                    text=completions[place][0]["content"],
                    tokens=len(tokens) - ended,
                    ended=ended,
                    step=trainer_state.global_step + 1,
                )
            )
        values = reward.compute(rollouts)
        check_rewards(name, values, len(rollouts))
        return values

    compute.__name__ = name
    return compute


def parse_turns(turns: Sequence[Any]) -> Conversation:
    """A conversation from TRL's form."""
    return tuple(Message(turn["role"], turn["content"]) for turn in turns)
