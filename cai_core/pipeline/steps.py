"""What a chain's steps are and how each is asked: pure, without a model and without files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from cai_core.constitution.draw import pick_principle
from cai_core.pipeline.recipe import ChainRecipe, TemplateName, resolve_principles
from cai_core.prompts import chat, paper
from cai_core.records import Constitution, Conversation, Finding, Principle, Prompt, StepKind
from cai_core.workspace.rows import build_row_id, build_seed

# Examples for the critic and the reviser: conversations for `chat`, a transcript for `paper`.
FewShot = tuple[Conversation, ...] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step of a chain before any text exists; known from the recipe alone.

    Attributes:
        step: label within the chain: `response`, `critique-1`, `revision-1`, …
        index, round: as in `records.Step`.
        role: which model is asked.
    """

    row_id: str
    kind: StepKind
    step: str
    index: int
    round: int
    principle: Principle | None
    seed: int
    role: Literal["policy", "critic"]


def plan_chain(
    recipe: ChainRecipe, constitution: Constitution, prompt: Prompt, *, sample: int, run_id: str
) -> list[PlannedStep]:
    """Every step of one chain, in order: the same whatever else runs, and in whatever order.

    Raises:
        RecipeError: the recipe names a principle that the constitution lacks.
    """
    principles = _draw_principles(recipe, constitution, prompt.prompt_id, sample)
    plan: list[tuple[StepKind, int, int]] = [(StepKind.RESPONSE, 0, 0)]
    for number in range(1, recipe.revisions + 1):
        if recipe.critique:
            plan.append((StepKind.CRITIQUE, 2 * number - 1, number))
        plan.append((StepKind.REVISION, 2 * number, number))
    steps = []
    for kind, index, number in plan:
        step = f"{kind}-{number}" if number else str(kind)
        steps.append(
            PlannedStep(
                row_id=build_row_id(
                    run_id=run_id, prompt_id=prompt.prompt_id, sample=sample, step=step
                ),
                kind=kind,
                step=step,
                index=index,
                round=number,
                principle=principles[number - 1] if number else None,
                seed=build_seed(
                    run_seed=recipe.seed, prompt_id=prompt.prompt_id, sample=sample, step=step
                ),
                role="critic" if kind is StepKind.CRITIQUE else "policy",
            )
        )
    return steps


def build_step_prompt(
    step: PlannedStep,
    *,
    template: TemplateName,
    conversation: Conversation,
    response: str,
    critique: str | None,
    few_shot: FewShot,
) -> Conversation | str:
    """The prompt for one step.

    Examples go to critiques and revisions only: the initial response is the model's own,
    drawn before any critique is asked for (see `prompts.paper`).

    Raises:
        TemplateError: the conversation or principle cannot be written in this template.
    """
    if template == "chat":
        return _chat_prompt(step, conversation, response, critique, _examples(few_shot))
    return _paper_prompt(step, conversation, response, critique, str(few_shot or ""))


def parse_step_text(raw: str, *, template: TemplateName) -> str:
    """What of a model's raw text the chain goes on with."""
    return raw.strip() if template == "chat" else paper.parse_completion(raw)


def parse_finding(kind: StepKind, text: str) -> Finding | None:
    """What a critique says; None for other steps."""
    return chat.parse_critique(text) if kind is StepKind.CRITIQUE else None


def get_stop(template: TemplateName) -> tuple[str, ...]:
    """Texts that end a step; chat turns end by themselves."""
    return () if template == "chat" else paper.STOP


def get_template_version(template: TemplateName) -> str:
    """The version that rows carry."""
    return chat.TEMPLATE_VERSION if template == "chat" else paper.TEMPLATE_VERSION


def _draw_principles(
    recipe: ChainRecipe, constitution: Constitution, prompt_id: str, sample: int
) -> list[Principle]:
    if recipe.revisions == 0:
        return []
    known = resolve_principles(recipe, constitution)
    if recipe.principles != "random":
        return [known[number % len(known)] for number in range(recipe.revisions)]
    # A label of its own: with and without critiques the same rounds get the same principles.
    draws = [
        build_seed(run_seed=recipe.seed, prompt_id=prompt_id, sample=sample, step=f"draw-{number}")
        for number in range(1, recipe.revisions + 1)
    ]
    return [pick_principle(known, draw) for draw in draws]


def _chat_prompt(
    step: PlannedStep,
    conversation: Conversation,
    response: str,
    critique: str | None,
    few_shot: Sequence[Conversation],
) -> Conversation:
    if step.principle is None:
        return chat.build_response(conversation)
    if step.kind is StepKind.CRITIQUE:
        return chat.build_critique(conversation, response, step.principle, few_shot)
    return chat.build_revision(conversation, response, step.principle, critique, few_shot)


def _paper_prompt(
    step: PlannedStep,
    conversation: Conversation,
    response: str,
    critique: str | None,
    few_shot: str,
) -> str:
    if step.principle is None:
        return paper.build_response(conversation)
    if step.kind is StepKind.CRITIQUE:
        return paper.build_critique(conversation, response, step.principle, few_shot)
    return paper.build_revision(conversation, response, step.principle, critique, few_shot)


def _examples(few_shot: FewShot) -> tuple[Conversation, ...]:
    return few_shot if isinstance(few_shot, tuple) else ()
