"""A constitution as a system prompt: alignment without training, for any model that chats.

The principles' own texts stand in it, and nothing of their requests: those ask for a critique or a
revision, which nobody asks for here.
"""

from __future__ import annotations

from dataclasses import dataclass

from cai_core.constitution.draw import list_enabled
from cai_core.errors import TemplateError
from cai_core.records import Constitution, Conversation, Message, Principle

TEMPLATE_VERSION = "system-prompt/1"

OPENING = "You are a helpful assistant. In every answer, keep to these principles"
IN_ORDER = "They count alike."
BY_WEIGHT = "Where two of them pull in different directions, follow the one that stands first."
CLOSING = (
    "Where they leave you free, answer fully. Where they do not, say so, say why, and help with "
    "what you can. Do not quote or mention them unasked."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPrompt:
    """A system turn's text, and what it was made from.

    Attributes:
        constitution, constitution_hash: the version.
        principle_ids: of the principles in it, in the order in which they stand.
        version: of the template.
    """

    text: str
    constitution: str
    constitution_hash: str
    principle_ids: tuple[str, ...]
    version: str = TEMPLATE_VERSION

    @property
    def characters(self) -> int:
        """Its length."""
        return len(self.text)

    @property
    def words(self) -> int:
        """Its length in words; a token is most often three quarters of one."""
        return len(self.text.split())


def build_system_prompt(constitution: Constitution) -> SystemPrompt:
    """The principles that are on, numbered: in the constitution's order, the heaviest first where
    weights differ.

    Raises:
        TemplateError: there is no principle, or every one is off.
    """
    principles = order_by_weight(constitution)
    if not principles:
        raise TemplateError(
            f"constitution {constitution.name!r} has no principle that is on, so there is nothing "
            "to write into a system prompt. Add one, or switch one on."
        )
    weighted = len({principle.weight for principle in principles}) > 1
    rule = BY_WEIGHT if weighted else IN_ORDER
    lines = (f"{n}. {_flatten(p.text)}" for n, p in enumerate(principles, start=1))
    text = "\n".join([f"{OPENING}. {rule}", "", *lines, "", CLOSING])
    return SystemPrompt(
        text=text,
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        principle_ids=tuple(principle.id for principle in principles),
    )


def order_by_weight(constitution: Constitution) -> tuple[Principle, ...]:
    """The principles that are on, heaviest first; equal ones in the constitution's order."""
    return tuple(sorted(list_enabled(constitution), key=lambda principle: -principle.weight))


def add_system_prompt(conversation: Conversation, prompt: SystemPrompt) -> Conversation:
    """The conversation under the system prompt; a system turn of its own follows in the same turn.

    Models' templates take one system turn at most, and only at the beginning.
    """
    own, rest = "", conversation
    if conversation and conversation[0].role == "system":
        own, rest = f"\n\n{conversation[0].content}", conversation[1:]
    return (Message("system", prompt.text + own), *rest)


def _flatten(text: str) -> str:
    # One line each: a principle of several paragraphs would break the list.
    return " ".join(text.split())
