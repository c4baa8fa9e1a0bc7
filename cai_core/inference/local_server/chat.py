"""A conversation as prompt tokens, through the model's own chat template."""

from __future__ import annotations

import re
import secrets
from typing import Any

from cai_core.inference.local_server.schema import Conversation


def encode_conversation(conversation: Conversation, tokenizer: Any) -> list[int]:
    """The prompt tokens of a conversation.

    A control token that a message spells out (`<|end|>`) stays plain text, so no message can
    end its turn or speak for another role. vLLM reads it as the token.

    Raises:
        jinja2.TemplateError, ValueError: the template refuses the messages.
    """
    marked, spelled, marker = mark_control_tokens(list(conversation.messages), tokenizer)
    text = tokenizer.apply_chat_template(
        marked,
        tokenize=False,
        add_generation_prompt=conversation.add_generation_prompt,
        continue_final_message=conversation.continue_final_message,
    )
    special = conversation.add_special_tokens
    if not spelled:
        return list(tokenizer(text, add_special_tokens=special)["input_ids"])
    ids: list[int] = list(tokenizer("")["input_ids"]) if special else []
    for place, piece in enumerate(re.split(f"{marker}([0-9]+);", text)):
        plain = place % 2 == 1
        part = spelled[int(piece)] if plain else piece
        ids += tokenizer(part, add_special_tokens=False, split_special_tokens=plain)["input_ids"]
    return ids


def mark_control_tokens(
    messages: list[dict[str, str]], tokenizer: Any
) -> tuple[list[dict[str, str]], list[str], str]:
    """Put `<marker><number>;` in the place of each control token that a message spells out.

    Returns:
        The messages, the texts that were replaced, and the marker, which nobody can foresee.
    """
    added = tokenizer.added_tokens_decoder.values()
    controls = sorted({t.content for t in added if t.special and t.content}, key=len, reverse=True)
    marker = f"control-{secrets.token_hex(16)}-"
    spelled: list[str] = []

    def mark(found: re.Match[str]) -> str:
        spelled.append(found[0])
        return f"{marker}{len(spelled) - 1};"

    if not controls:
        return messages, spelled, marker
    pattern = re.compile("|".join(map(re.escape, controls)))
    marked = [{**turn, "content": pattern.sub(mark, turn["content"])} for turn in messages]
    return marked, spelled, marker
