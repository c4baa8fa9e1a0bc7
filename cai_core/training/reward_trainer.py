"""TRL's trainer of reward models, with soft labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from trl.trainer.reward_trainer import DataCollatorForPreference, RewardTrainer

from cai_core.training.soft_labels import PROB, add_probs, compute_soft_loss
from cai_core.training.trainer_mixin import FiniteMixin


@dataclass
class SoftRewardCollator(DataCollatorForPreference):
    """TRL's batch, and each pair's probability."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """One batch."""
        return add_probs(super().torch_call(examples), examples)


class SoftRewardTrainer(FiniteMixin, RewardTrainer):
    """TRL's trainer with the cross-entropy of soft labels in place of Bradley and Terry's loss."""

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[no-untyped-call]
        columns: Any = self._signature_columns
        if PROB not in columns:
            columns.append(PROB)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Mean loss of a batch in nats a pair; TRL's own metrics are kept."""
        probs = inputs.pop(PROB)
        del num_items_in_batch
        _, outputs = super().compute_loss(model, inputs, return_outputs=True)  # type: ignore[no-untyped-call]
        chosen, rejected = torch.chunk(outputs.logits.squeeze(-1), chunks=2)
        loss = compute_soft_loss(chosen - rejected, probs)
        args: Any = self.args
        if args.center_rewards_coefficient is not None:
            loss = loss + args.center_rewards_coefficient * ((chosen + rejected) ** 2).mean()
        return (loss, outputs) if return_outputs else loss


def choose_pad_token(tokenizer: PreTrainedTokenizerBase, last: int) -> str:
    """A token to pad with that does not end a text.

    A reward is read at the last token that is no padding: were the end token also the padding, it
    would be read before it in a batch, and at it by engines that do not pad.

    Args:
        last: the token that ends a text.
    """
    named = [tokenizer.pad_token, tokenizer.unk_token, tokenizer.bos_token]
    others = sorted(tokenizer.added_tokens_decoder.items())
    named += [token.content for _, token in others if token.special]
    for token in named:
        if token is not None and tokenizer.convert_tokens_to_ids(token) != last:
            return str(token)
    # Any token will do that does not end a text: what is before the last one is never looked for.
    return str(tokenizer.convert_ids_to_tokens(0 if last else 1))


@torch.inference_mode()
def compute_rewards(
    model: Any, texts: Sequence[Sequence[int]], pad: int, batch: int = 32
) -> list[float]:
    """The reward of each text's tokens; the model is left in the mode it was in.

    Args:
        pad: id of the padding token, which ends no text.
        batch: texts at once in memory.
    """
    was_training = model.training
    model.eval()
    rewards = [0.0] * len(texts)
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        width = max(len(texts[n]) for n in places)
        ids = torch.tensor([[*texts[n], *[pad] * (width - len(texts[n]))] for n in places])
        lengths = torch.tensor([len(texts[n]) for n in places])
        mask = (torch.arange(width) < lengths[:, None]).long()
        logits = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device)).logits
        for place, reward in zip(places, logits[:, 0].float().tolist(), strict=True):
            rewards[place] = reward
    model.train(was_training)
    return rewards
