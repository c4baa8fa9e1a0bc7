"""The prompts that a principle becomes, as the model sees them: for people who write principles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cai_core.errors import TemplateError
from cai_core.pipeline.recipe import TemplateName
from cai_core.prompts import chat, paper
from cai_core.records import Conversation, Message, Principle

# Stand-ins for what the model will have written.
RESPONSE, CRITIQUE = "‹the model's response›", "‹the critique›"
OTHER_RESPONSE = "‹another response›"
PromptStep = Literal["critique", "revision", "comparison"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptPreview:
    """One step's prompt.

    Attributes:
        turns: what is sent; one turn of the role `user` for a plain text.
        request: the principle's own words in it.
        problem: why it cannot be written, None where it can.
    """

    step: PromptStep
    turns: Conversation
    request: str
    problem: str | None = None


def build_prompt_previews(
    principle: Principle, prompt: str, template: TemplateName = "chat"
) -> tuple[PromptPreview, ...]:
    """The critique's, the revision's and the comparison's prompt, for one user's question.

    A comparison without a request is left out.
    """
    conversation = (Message("user", prompt),)
    previews = [
        _build(step, principle, conversation, template)
        for step in ("critique", "revision", "comparison")
    ]
    return tuple(preview for preview in previews if preview is not None)


def _build(
    step: PromptStep, principle: Principle, conversation: Conversation, template: TemplateName
) -> PromptPreview | None:
    request = str(getattr(principle, f"{step}_request"))
    if step == "comparison" and not request.strip():
        return None
    try:
        turns = _render(step, principle, conversation, template)
    except TemplateError as error:
        return PromptPreview(step=step, turns=(), request=request, problem=str(error))
    return PromptPreview(step=step, turns=turns, request=request)


def _render(
    step: PromptStep, principle: Principle, conversation: Conversation, template: TemplateName
) -> Conversation:
    if step == "comparison":
        return chat.build_comparison(
            conversation, RESPONSE, OTHER_RESPONSE, principle, reasoned=False
        )
    if template == "chat":
        if step == "critique":
            return chat.build_critique(conversation, RESPONSE, principle)
        return chat.build_revision(conversation, RESPONSE, principle, CRITIQUE)
    if step == "critique":
        text = paper.build_critique(conversation, RESPONSE, principle, "")
    else:
        text = paper.build_revision(conversation, RESPONSE, principle, CRITIQUE, "")
    return (Message("user", text),)
