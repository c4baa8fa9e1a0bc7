"""One chain of the playground from end to end: find the model, run the chain, keep its rows.

Each chain is a run of its own, `runs/interactive-<chain id>`: recipe, rows and constitution lie
there before the next step begins, so a chain outlives the tab, a stop and the app itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cai_core.constitution import dump_constitution, load_constitution
from cai_core.errors import CaiError
from cai_core.inference.launcher import ensure_server
from cai_core.inference.model_folder import DEMO
from cai_core.pipeline.connect import launch
from cai_core.pipeline.critique_revision import Chain, prepare, run_chain
from cai_core.pipeline.live import (
    ChainBuffer,
    LiveChain,
    LiveRequest,
    LiveStep,
    Snapshot,
)
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.prompt_file import parse_conversation
from cai_core.pipeline.recipe import ReviseRecipe, TemplateName, parse_revise_recipe
from cai_core.pipeline.row_sink import RowSink
from cai_core.pipeline.steps import parse_step_text
from cai_core.records import Prompt, PromptKind, SamplingParams, StepKind
from cai_core.workspace.files import get_workspace, replace_file
from cai_core.workspace.rows import Row, RowIndex, build_row_id
from cai_core.workspace.runs import Run, create_run, open_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

log = logging.getLogger(__name__)

KIND = "interactive"
STEP = "chain"
DEMO_MODEL = DEMO
LIVE_PATIENCE = 5.0
# T = 1 as in the paper (arXiv 2212.08073, section 3.2); 128 tokens hold every text of the demo
# world and leave its context room for the prompt.
PAGE_SAMPLING = SamplingParams(max_tokens=128)
_STATES = {
    RunState.SUCCEEDED: ChainState.FINISHED,
    RunState.FAILED: ChainState.FAILED,
}


def warm_up_demo(workspace: Path) -> None:
    """Start the demo model's server, so that the first chain finds it up. Says so if it cannot."""
    try:
        ensure_server(DEMO_MODEL, workspace)
    except (CaiError, OSError) as error:
        # The chain that needs it will try again and show the person what is wrong.
        log.warning("the demo model is not up yet: %s", error)


async def run_live(chain_id: str, request: LiveRequest, buffer: ChainBuffer) -> None:
    """Run the chain into the buffer and into its run folder.

    Raises:
        CaiError: the model or the workspace is not there, or the model refused a step.
    """
    workspace = get_workspace()
    model = await asyncio.to_thread(launch, request.model, workspace)
    # A person waits: who does not answer soon is told of.
    async with model.open(patience=LIVE_PATIENCE) as engine:
        setup = await prepare(
            request.recipe, request.constitution, engine, run_id=build_run_id(chain_id)
        )
        run = _create_run(workspace, chain_id, request)
        observer = _BufferObserver(buffer, request.recipe.template)
        with RunWriter(run) as writer:
            try:
                async with RowSink(partial(writer.append_rows, STEP)) as sink:
                    chain = await run_chain(
                        request.prompt, setup, write=sink.put, observer=observer
                    )
            except asyncio.CancelledError:
                writer.set_status(RunState.CANCELLED, reason="stopped by the person")
                raise
            except CaiError as error:
                writer.set_status(RunState.FAILED, reason=str(error))
                raise
            _close_run(writer, chain)
    if chain.error is not None:
        raise CaiError(chain.error)


def load_live(chain_id: str) -> LiveChain | None:
    """An ended chain from its run folder; None when there is none, or nothing readable in it."""
    path = get_workspace() / "runs" / build_run_id(chain_id)
    if not (path / "recipe.yaml").is_file():
        return None
    try:
        run = open_run(path, kind=KIND)
        rows = list(RowIndex(run, STEP).values())
        if not rows:
            return None
        recipe = parse_revise_recipe(run.recipe)
        request = LiveRequest(
            prompt=_restore_prompt(rows[0]),
            constitution=load_constitution(run.outputs / "constitution.yaml"),
            model=recipe.model,
            recipe=recipe.chain,
        )
        snapshot = _restore_snapshot(run, rows, recipe.chain.template)
    except (CaiError, OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s: cannot be shown: %s", path, error)
        return None
    return LiveChain.of_ended(chain_id, request, snapshot)


def build_run_id(chain_id: str) -> str:
    """The run that keeps a page's chain."""
    return f"{KIND}-{chain_id}"


def build_chain_row_id(chain_id: str, prompt: Prompt) -> str:
    """The row id of a page's chain's initial response, by which the indexes know the chain."""
    return build_row_id(
        run_id=build_run_id(chain_id),
        prompt_id=prompt.prompt_id,
        sample=0,
        step=StepKind.RESPONSE.value,
    )


class _BufferObserver:
    """Writes what `run_chain` reports into the page's buffer."""

    def __init__(self, buffer: ChainBuffer, template: TemplateName) -> None:
        self._buffer = buffer
        self._template = template
        self.text: Callable[[str], None] = buffer.text
        self.step_started = buffer.step_started

    def step_finished(self, row: Row) -> None:
        """The step is durable; an error row leaves its step unfinished."""
        if row.error is None:
            self._buffer.step_finished(_build_step(row, self._template))


def _build_step(row: Row, template: TemplateName) -> LiveStep:
    return LiveStep(
        kind=row.kind,
        index=row.index,
        round=row.round,
        principle_id=row.principle_id,
        text=parse_step_text(row.text or "", template=template),
        done=True,
        finding=row.finding,
        cut_short=row.finish_reason == "length",
        reasoning=row.reasoning,
    )


def _create_run(workspace: Path, chain_id: str, request: LiveRequest) -> Run:
    recipe = ReviseRecipe(
        model=request.model,
        constitution=request.constitution.name,
        constitution_hash=request.constitution.hash,
        prompts=request.prompt.prompt_id,
        prompts_hash=request.prompt.hash,
        chain=request.recipe,
    )
    path = workspace / "runs" / build_run_id(chain_id)
    run = create_run(path, kind=KIND, recipe=recipe.as_dict())
    text = dump_constitution(request.constitution)
    replace_file(run.outputs / "constitution.yaml", [text.encode("utf-8")])
    return run


def _close_run(writer: RunWriter, chain: Chain) -> None:
    state = RunState.SUCCEEDED if chain.error is None else RunState.FAILED
    writer.set_status(state, reason=chain.error, counts={"rows_done": len(chain.rows)})


def _restore_prompt(first: Row) -> Prompt:
    if first.prompt is None or first.kind is not StepKind.RESPONSE:
        raise ValueError("the first row is no initial response with its prompt")
    return Prompt(
        prompt_id=first.prompt_id,
        conversation=parse_conversation(first.prompt["conversation"]),
        kind=PromptKind(first.prompt["kind"]),
        tags=tuple(first.prompt["tags"]),
    )


def _restore_snapshot(run: Run, rows: list[Row], template: TemplateName) -> Snapshot:
    status = run.status()
    state = _STATES.get(status.state, ChainState.STOPPED)
    return Snapshot(
        state=state,
        steps=tuple(_build_step(row, template) for row in rows if row.error is None),
        error=status.reason if state is ChainState.FAILED else None,
        seconds=sum(row.seconds or 0.0 for row in rows),
    )
