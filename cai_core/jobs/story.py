"""Constitutional AI told on recorded runs: a chain that rewrites itself, and what training changed.

Reads what `make demo` left in a workspace: runs named PLAN-STAGE-HASH whose base is the demo model.
Where no chains were made, the recordings that ship with the workbench stand in. Every figure is the
demo world's oracle's.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cai_core.constitution import load_constitution
from cai_core.demo_world import Oracle, load_oracle
from cai_core.errors import CaiError, WorkspaceError
from cai_core.evaluation.metrics import Rate, compute_clustered_rate
from cai_core.records import Constitution, Finding, Principle, PromptKind, StepKind
from cai_core.workspace.runs import Run, open_run
from cai_core.workspace.status import RunState

BASE = "demo"
CHAINS = "chains"
# Stage of a plan → what the model that it asks is called.
ARMS: Mapping[str, str] = {"base": "Base", "sl": "SL-CAI", "rl": "RL-CAI", "dpo": "DPO"}
# What tells an arm's answers to harmful prompts and to fine ones apart.
HARMFUL, FINE = "redteam", "fine"
# Chains that a story offers, one for each principle as far as they go.
OFFERED = 6
_STAGES = "|".join([CHAINS, *(f"{arm}-{kind}" for arm in ARMS for kind in (HARMFUL, FINE))])
_RUN = re.compile(rf"(?P<plan>.+?)-(?P<stage>{_STAGES})-[0-9a-f]{{8}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryChain:
    """A red-team prompt whose response does harm, and the round that mends it."""

    prompt: str
    response: str
    principle: Principle
    critique: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryChains:
    """Chains of one run to tell the story with, and what is true of all of its red-team chains.

    Attributes:
        recorded: it ships with the workbench; nobody here has made it.
        chains: at least one.
        revisions: rounds of each chain.
        harmful: of the initial responses. found: of the first critiques, those that find a
            problem. still_harmful: of the last revisions.
    """

    run: str
    recorded: bool
    constitution: Constitution
    chains: tuple[StoryChain, ...]
    revisions: int
    harmful: Rate | None
    found: Rate | None
    still_harmful: Rate | None


def load_chains(workspace: Path, recordings: Path) -> StoryChains | None:
    """The newest chains to tell the story with; None where there are none at all.

    Raises:
        CaiError: a run that is there cannot be read.
    """
    made = find_stages(workspace).get(CHAINS)
    if made is not None and (found := _read_chains(made, recorded=False)) is not None:
        return found
    for folder in sorted(recordings.glob("*/recipe.yaml")):
        found = _read_chains(open_run(folder.parent), recorded=True)
        if found is not None:
            return found
    return None


def find_stages(workspace: Path) -> dict[str, Run]:
    """Stage → its run, of the plan that tells most: its models on the demo model, the newest run.

    A run that has not succeeded, or cannot be opened, is passed over.
    """
    plans: dict[str, dict[str, tuple[str, Run]]] = defaultdict(dict)
    for folder in sorted((workspace / "runs").glob("*-*")):
        named = _RUN.fullmatch(folder.name)
        if named is None:
            continue
        try:
            run = _open(folder, (folder / "recipe.yaml").stat().st_mtime_ns)
            status = run.status()
        except (CaiError, OSError):
            continue  # `verify` tells
        if status.state is not RunState.SUCCEEDED or not _tells_of_base(run, named["stage"]):
            continue
        held = plans[named["plan"]]
        if named["stage"] not in held or held[named["stage"]][0] < status.updated_at:
            held[named["stage"]] = (status.updated_at, run)
    best = max(plans.values(), key=_rank, default={})
    return {stage: run for stage, (_, run) in best.items()}


def read_lines(run: Run) -> Iterator[dict[str, Any]]:
    """The lines of a run's chains.jsonl.

    Raises:
        WorkspaceError: there is none, or a line of it is no object.
    """
    path = run.outputs / "chains.jsonl"
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                line = json.loads(text)
                if not isinstance(line, dict):
                    raise WorkspaceError(f"{path}, line {number}: no object. Make the run again.")
                yield line
    except (OSError, ValueError) as error:
        raise WorkspaceError(f"{path}: cannot be read: {error}. Make the run again.") from error


@lru_cache(maxsize=1024)
def _open(folder: Path, _changed: int) -> Run:
    """A page asks for all of them at every key; parsing a recipe takes some 5 ms."""
    return open_run(folder)


def _tells_of_base(run: Run, stage: str) -> bool:
    of_base = stage == CHAINS or stage.startswith("base-")
    return not of_base or run.recipe.get("model") == BASE


def _rank(held: Mapping[str, tuple[str, Run]]) -> tuple[int, str]:
    return len(held), max(at for at, _ in held.values())


def _read_chains(run: Run, *, recorded: bool) -> StoryChains | None:
    constitution = load_constitution(run.outputs / "constitution.yaml")
    principles = {principle.id: principle for principle in constitution.principles}
    oracle = load_oracle()
    told: list[tuple[str, StoryChain]] = []
    marks: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    revisions = 0
    try:
        for line in read_lines(run):
            if line["kind"] != PromptKind.RED_TEAM.value or line["error"] is not None:
                continue
            steps: Sequence[Mapping[str, Any]] = line["steps"]
            revisions = max(revisions, sum(s["kind"] == StepKind.REVISION.value for s in steps))
            chain = _read_chain(oracle, line, principles, marks)
            if chain is not None:
                told.append(chain)
    except (KeyError, TypeError, IndexError) as error:
        raise WorkspaceError(
            f"{run.outputs / 'chains.jsonl'}: is not what a run writes ({error!r}). Make it again."
        ) from error
    if not told:
        return None
    rates = {name: compute_clustered_rate(found) for name, found in marks.items()}
    return StoryChains(
        run=run.run_id,
        recorded=recorded,
        constitution=constitution,
        chains=tuple(_choose(told)),
        revisions=revisions,
        harmful=rates.get("harmful"),
        found=rates.get("found"),
        still_harmful=rates.get("still harmful"),
    )


def _read_chain(
    oracle: Oracle,
    line: Mapping[str, Any],
    principles: Mapping[str, Principle],
    marks: dict[str, list[tuple[str, bool]]],
) -> tuple[str, StoryChain] | None:
    """The chain with what it asks for, where the story can be told with it; its marks are added."""
    prompt = line["conversation"][-1]["content"]
    intent = oracle.read_prompt(prompt)
    if intent is None or len(line["steps"]) < 3:
        return None
    response, critique, revision = line["steps"][:3]
    was = oracle.read_response(response["text"], intent)
    marks["harmful"].append((intent.text, was.harmful))
    marks["found"].append((intent.text, critique["finding"] == Finding.FOUND.value))
    last = oracle.read_response(line["final"], intent)
    marks["still harmful"].append((intent.text, last.harmful))
    became = oracle.read_response(revision["text"], intent)
    principle = principles.get(critique["principle_id"] or "")
    mended = was.harmful and became.declines and became.reason_given and not became.harmful
    if not mended or critique["finding"] != Finding.FOUND.value or principle is None:
        return None
    chain = StoryChain(
        prompt=prompt,
        response=response["text"],
        principle=principle,
        critique=critique["text"],
        revision=revision["text"],
    )
    return intent.text, chain


def _choose(told: Sequence[tuple[str, StoryChain]]) -> Iterator[StoryChain]:
    """Some of them, each of another wish and under another principle, in the run's order."""
    wishes: set[str] = set()
    principles: set[str] = set()
    for wish, chain in told:
        if len(wishes) < OFFERED and wish not in wishes and chain.principle.id not in principles:
            wishes.add(wish)
            principles.add(chain.principle.id)
            yield chain
