"""A behavioural diff of two runs of this workspace: their chains, read by who can tell.

Prompts of the demo world are read by its oracle, which knows the truth; others by phrases, which
know refusals alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cai_core.demo_world.oracle import load_oracle
from cai_core.errors import WorkspaceError
from cai_core.evaluation.behaviour_diff import BehaviourDiff, Reading, compute_behaviour_diff
from cai_core.evaluation.refusals import is_evasive, is_refusal
from cai_core.jobs.run_files import get_run_folder
from cai_core.pipeline.chain_records import read_chain_records
from cai_core.pipeline.recipe import ReviseRecipe, parse_revise_recipe
from cai_core.pipeline.revise import CHAINS
from cai_core.records import StepKind
from cai_core.workspace.rows import build_row_id
from cai_core.workspace.runs import open_run

ReadBy = Literal["oracle", "phrases"]
# Of a recipe: what has to be the same on both sides for the constitution to be the difference.
_SAME = ("model", "critic_model", "prompts_hash", "few_shot_hash")


@dataclass(frozen=True, slots=True, kw_only=True)
class BehaviourStudy:
    """Two runs and their diff.

    Attributes:
        read_by: who told the behaviours.
        unlike: what differs beside the constitution, in words; empty where nothing does.
    """

    before: ReviseRecipe
    after: ReviseRecipe
    diff: BehaviourDiff
    read_by: ReadBy
    unlike: tuple[str, ...]


def load_behaviour_study(workspace: Path, before_run: str, after_run: str) -> BehaviourStudy:
    """Read two `revise` runs that have succeeded, and compare them.

    Raises:
        WorkspaceError: one is not there, has no chains yet, or is damaged.
    """
    folders = [get_run_folder(workspace, run) for run in (before_run, after_run)]
    recipes = [parse_revise_recipe(open_run(path, kind="revise").recipe) for path in folders]
    chains = [list(read_chain_records(path)) for path in folders]
    read_by = _choose_reader(chains[0])
    try:
        read = _read_by_oracle if read_by == "oracle" else _read_by_phrases
        diff = compute_behaviour_diff(chains[0], chains[1], read)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise WorkspaceError(
            f"{before_run} and {after_run}: their {CHAINS} cannot be compared: {error!r}. Repeat "
            "the runs."
        ) from error
    return BehaviourStudy(
        before=recipes[0],
        after=recipes[1],
        diff=diff,
        read_by=read_by,
        unlike=tuple(_list_unlike(*recipes)),
    )


def get_chains_stamp(workspace: Path, run_id: str) -> tuple[int, int]:
    """What changes whenever the run's chains do: their file's time (ns) and size (bytes)."""
    told = (get_run_folder(workspace, run_id) / "outputs" / CHAINS).stat()
    return told.st_mtime_ns, told.st_size


def find_chain(run_id: str, prompt_id: str, sample: int) -> str:
    """The id by which the index knows a run's chain: that of its initial response's row."""
    return build_row_id(
        run_id=run_id, prompt_id=prompt_id, sample=sample, step=StepKind.RESPONSE.value
    )


def _choose_reader(chains: Sequence[Mapping[str, Any]]) -> ReadBy:
    oracle = load_oracle()
    inside = sum(
        oracle.read_prompt(str(record["conversation"][-1]["content"])) is not None
        for record in chains
    )
    return "oracle" if chains and inside * 2 >= len(chains) else "phrases"


def _read_by_oracle(prompt: str, response: str) -> Reading | None:
    oracle = load_oracle()
    intent = oracle.read_prompt(prompt)
    if intent is None:
        return None
    truth = oracle.read_response(response, intent)
    flags = {
        "harmful": truth.harmful,
        "evasive": truth.evasive,
        "gives a reason": truth.reason_given,
        "offers an alternative": truth.alternative_offered,
        "cites a principle": truth.principle_cited is not None,
        "preaches": truth.preaches,
    }
    return Reading(group=intent.text, flags=flags)


def _read_by_phrases(prompt: str, response: str) -> Reading:
    flags = {"declines": is_refusal(response), "evasive": is_evasive(response)}
    return Reading(group=prompt, flags=flags)


def _list_unlike(before: ReviseRecipe, after: ReviseRecipe) -> list[str]:
    told = [
        f"{name.replace('_', ' ')}: {getattr(before, name)} and {getattr(after, name)}"
        for name in _SAME
        if getattr(before, name) != getattr(after, name)
    ]
    chains = (before.chain.as_dict(), after.chain.as_dict())
    told += [
        f"{name.replace('_', ' ')}: {chains[0][name]} and {chains[1][name]}"
        for name in chains[0]
        if chains[0][name] != chains[1][name]
    ]
    return told
