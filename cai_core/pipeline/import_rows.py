"""From an imported chain to the rows of a run. Pure."""

from __future__ import annotations

from cai_core.pipeline.import_records import ImportedChain, ImportedStep
from cai_core.prompts.paper import TEMPLATE_VERSION
from cai_core.records import ModelInfo, Prompt, StepKind
from cai_core.workspace.rows import Row, build_model_fields, build_prompt_field, build_row_id

# Where a file does not say who wrote its texts: official samples, and others.
SAMPLES_MODEL, NOBODY = "anthropic-samples", "unknown"
_AFTER = {StepKind.RESPONSE: 0, StepKind.CRITIQUE: -1, StepKind.REVISION: 0}


def build_chain_rows(chain: ImportedChain, run_id: str, constitution_hash: str) -> list[Row]:
    """The rows of an imported record, in its order.

    Args:
        constitution_hash: of the principles that the run quotes, for records that name none.

    What files do not tell stays unset in the rows: sampling and token counts; the seed is 0.
    """
    own = chain.constitution_hash
    used = constitution_hash if own is None else own
    return [_build_row(chain, step, run_id, used) for step in chain.steps]


def _build_row(
    chain: ImportedChain, step: ImportedStep, run_id: str, constitution_hash: str
) -> Row:
    prompt: Prompt = chain.prompt
    first = step.kind is StepKind.RESPONSE
    name = step.kind.value if first else f"{step.kind.value}-{step.round}"
    row_id = build_row_id(run_id=run_id, prompt_id=prompt.prompt_id, sample=step.sample, step=name)
    official = chain.template == TEMPLATE_VERSION and not step.model
    model = step.model or (SAMPLES_MODEL if official else NOBODY)
    info = ModelInfo(model_id=model, engine="imported", engine_version="1")
    return Row(
        run_id=run_id,
        row_id=row_id,
        prompt_id=prompt.prompt_id,
        prompt_hash=prompt.hash,
        constitution_hash=constitution_hash,
        template_version=chain.template,
        kind=step.kind,
        step=name,
        index=2 * step.round + _AFTER[step.kind],
        round=step.round,
        sample=step.sample,
        role="critic" if step.kind is StepKind.CRITIQUE else "policy",
        principle_id=step.principle_id,
        sampling={},
        seed=0,
        prompt=build_prompt_field(prompt) if first else None,
        text=step.text,
        finding=step.finding,
        scoring=None if step.measured is None else dict(step.measured),
        **build_model_fields(info),
    )
