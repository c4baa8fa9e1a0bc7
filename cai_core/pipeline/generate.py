"""One step of a chain: who watches, what chains share, and the row that one request leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cai_core.errors import RequestFailedError, RequestRejectedError, TemplateError
from cai_core.inference.engine import Engine
from cai_core.pipeline.recipe import ChainRecipe, TemplateName
from cai_core.pipeline.steps import (
    FewShot,
    PlannedStep,
    build_step_prompt,
    get_stop,
    get_template_version,
    parse_finding,
    parse_step_text,
)
from cai_core.records import Completion, Constitution, ModelInfo, Prompt, StepKind
from cai_core.workspace.rows import Row, build_model_fields, build_prompt_field

# Not about one row's text but about the key, the model's name or the load: the run stops.
_STATUS_OF_RUN = frozenset({401, 402, 403, 404, 405, 407, 408, 429})
# UnicodeEncodeError: the server wrote half a character, which cannot be sent back.
_ERRORS_OF_ROW = (RequestRejectedError, RequestFailedError, TemplateError, UnicodeEncodeError)


class Observer(Protocol):
    """Who watches a chain. A step that was durable already is only reported as finished."""

    def step_started(
        self, kind: StepKind, index: int, round: int, principle_id: str | None
    ) -> None:
        """A model is asked; its text follows."""

    def text(self, delta: str) -> None:
        """A piece of the step that began last."""

    def step_finished(self, row: Row) -> None:
        """The row is written. Its text is raw; it may be an error row."""


class SilentObserver:
    """Watches nothing."""

    def step_started(
        self, kind: StepKind, index: int, round: int, principle_id: str | None
    ) -> None:
        """Nothing."""

    def text(self, delta: str) -> None:
        """Nothing."""

    def step_finished(self, row: Row) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSetup:
    """Everything chains share; made by `prepare`."""

    run_id: str
    recipe: ChainRecipe
    constitution: Constitution
    policy: Engine
    critic: Engine
    policy_info: ModelInfo
    critic_info: ModelInfo
    few_shot: FewShot = ()


async def prepare(
    recipe: ChainRecipe,
    constitution: Constitution,
    policy: Engine,
    critic: Engine | None = None,
    *,
    few_shot: FewShot = (),
    run_id: str = "live",
) -> ChainSetup:
    """Ask the engines who they are and put the parts together.

    Args:
        critic: writes the critiques; the policy itself when None.

    Raises:
        ServerUnavailableError, UnknownModelError: from the engines.
    """
    critic = critic or policy
    policy_info = await policy.info()
    return ChainSetup(
        run_id=run_id,
        recipe=recipe,
        constitution=constitution,
        policy=policy,
        critic=critic,
        policy_info=policy_info,
        critic_info=policy_info if critic is policy else await critic.info(),
        few_shot=few_shot,
    )


async def generate_row(
    step: PlannedStep,
    setup: ChainSetup,
    prompt: Prompt,
    sample: int,
    rows: Sequence[Row],
    observer: Observer,
    priority: int = 0,
) -> Row:
    """Ask for one step after `rows`, the chain so far.

    A refusal or a failure of this row alone becomes an error row.

    Raises:
        ServerUnavailableError: the server is gone.
        RequestRejectedError: it refuses every request (key, model name, rate).
    """
    principle_id = step.principle.id if step.principle else None
    observer.step_started(step.kind, step.index, step.round, principle_id)
    blank = _build_blank_row(step, setup, prompt, sample)
    try:
        completion = await _ask(step, setup, prompt, rows, observer, priority)
    except _ERRORS_OF_ROW as error:
        if is_about_run(error):
            raise
        return replace(blank, error=str(error), error_kind=type(error).__name__)
    text = parse_step_text(completion.text, template=setup.recipe.template)
    return replace(
        blank,
        text=completion.text,
        finding=parse_finding(step.kind, text),
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        finish_reason=completion.finish_reason,
        seconds=round(completion.seconds, 4),
        reasoning=completion.reasoning,
    )


def is_about_run(error: Exception) -> bool:
    """Whether a refusal is about every request: the key, the model's name, a redirect."""
    status = getattr(error, "status", None)
    return status is not None and (status in _STATUS_OF_RUN or status < 400)


async def _ask(
    step: PlannedStep,
    setup: ChainSetup,
    prompt: Prompt,
    rows: Sequence[Row],
    observer: Observer,
    priority: int,
) -> Completion:
    template = setup.recipe.template
    asked = build_step_prompt(
        step,
        template=template,
        conversation=prompt.conversation,
        response=_last_text(rows, template, StepKind.RESPONSE, StepKind.REVISION) or "",
        critique=_last_text(rows, template, StepKind.CRITIQUE) if setup.recipe.critique else None,
        few_shot=setup.few_shot,
    )
    is_critic = step.role == "critic"
    engine = setup.critic if is_critic else setup.policy
    params = setup.recipe.critic_sampling if is_critic else setup.recipe.policy_sampling
    # Unwatched, the answer comes whole: a request that broke off can then be sent again.
    on_text = None if isinstance(observer, SilentObserver) else observer.text
    return await engine.generate(
        asked,
        params,
        seed=step.seed,
        stop=get_stop(template),
        on_text=on_text,
        priority=priority,
    )


def _build_blank_row(step: PlannedStep, setup: ChainSetup, prompt: Prompt, sample: int) -> Row:
    recipe = setup.recipe
    params = recipe.critic_sampling if step.role == "critic" else recipe.policy_sampling
    return Row(
        run_id=setup.run_id,
        row_id=step.row_id,
        prompt_id=prompt.prompt_id,
        prompt_hash=prompt.hash,
        constitution_hash=setup.constitution.hash,
        template_version=get_template_version(recipe.template),
        kind=step.kind,
        step=step.step,
        index=step.index,
        round=step.round,
        sample=sample,
        role=step.role,
        principle_id=step.principle.id if step.principle else None,
        sampling=params.as_dict(),
        seed=step.seed,
        prompt=build_prompt_field(prompt) if step.kind is StepKind.RESPONSE else None,
        **build_model_fields(get_info(setup, step)),
    )


def _last_text(rows: Sequence[Row], template: TemplateName, *kinds: StepKind) -> str | None:
    texts: Iterator[str] = (row.text or "" for row in reversed(rows) if row.kind in kinds)
    raw = next(texts, None)
    return None if raw is None else parse_step_text(raw, template=template)


def get_info(setup: ChainSetup, step: PlannedStep) -> ModelInfo:
    """Who answers this step."""
    return setup.critic_info if step.role == "critic" else setup.policy_info
