"""Held-out suites against what runs would be trained on: near-duplicates are found before launch.

A suite that is held out tells nothing of a model that has seen its prompts. So a run that trains,
or labels for training, on prompts that are, or nearly are, a held-out suite's is refused; prompts
with the tag `split:held-out` are never trained on and do not count.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cai_core.errors import CaiError
from cai_core.evaluation.near_duplicates import HeldOutCheck, check_held_out
from cai_core.evaluation.suites import Suite
from cai_core.jobs.evaluate_suites import list_held_out
from cai_core.jobs.forecast_counts import Plans
from cai_core.jobs.schedule import TRAINING_KINDS
from cai_core.jobs.spec import RunSpec
from cai_core.pipeline.frozen_prompts import parse_prompt_record
from cai_core.pipeline.inputs import PROMPTS
from cai_core.records import Prompt
from cai_core.training.datasets import HELD_OUT
from cai_core.workspace.runs import open_run

# Runs that train, and those whose output is made to be trained on.
CHECKED_KINDS = TRAINING_KINDS | {"label"}
_TOLD, _REMEMBERED = 5, 512
# (hash of a suite, name of the prompts) → what was found; both are immutable.
_found: OrderedDict[tuple[str, str], HeldOutCheck] = OrderedDict()


def list_faults(spec: RunSpec, plans: Plans) -> tuple[str, ...]:
    """Why a run must not be launched: the held-out suites that it would see, with the pairs.

    Raises:
        CaiError: prompts or a suite cannot be read.
    """
    if spec.kind not in CHECKED_KINDS:
        return ()
    sources = dict(_list_sources(spec, plans))
    told = []
    for suite in list_held_out(plans.workspace):
        for source in sources.values():
            check = check_source(suite, source)
            if check.broken:
                told.append(
                    f"{check.describe(_TOLD)} They are prompts of {source.run_id}; tag them "
                    f"{HELD_OUT} to keep them out."
                )
    return tuple(told)


def check_source(suite: Suite, source: RunSpec) -> HeldOutCheck:
    """A suite against the prompts of one run that may be trained on; remembered.

    Raises:
        PromptFileError: they cannot be read.
    """
    name = str(source.recipe.get("prompts_hash") or "")
    key = (f"{suite.hash} {suite.held_out}", name)
    if name and key in _found:
        _found.move_to_end(key)
        return _found[key]
    check = check_held_out(suite, _read_prompts(source))
    if name:
        _found[key] = check
        while len(_found) > _REMEMBERED:
            _found.popitem(last=False)
    return check


def list_seen(workspace: Path, suite: Suite) -> list[tuple[str, HeldOutCheck]]:
    """Runs of this workspace that trained on prompts like the suite's, and what they saw of it."""
    plans = Plans(workspace, [])
    found = []
    for path in sorted((workspace / "runs").glob("*/recipe.yaml")):
        try:
            run = open_run(path.parent)
            spec = plans.find(run.run_id) if run.kind in TRAINING_KINDS else None
            for source in dict(_list_sources(spec, plans)).values() if spec else ():
                check = check_source(suite, source)
                if check.near:
                    found.append((run.run_id, check))
                    break
        except CaiError:
            continue  # `verify` tells
    return found


def _list_sources(
    spec: RunSpec, plans: Plans, seen: frozenset[str] = frozenset()
) -> Iterator[tuple[str, RunSpec]]:
    """The runs whose prompts it is trained on, by id: its own, or those of its sources' sources."""
    if PROMPTS in spec.inputs:
        yield spec.run_id, spec
        return
    for name in _list_names(spec.recipe.get("sources")):
        source = None if name in seen else plans.find(name)
        if source is not None:
            yield from _list_sources(source, plans, seen | {name})


def _list_names(sources: Any) -> Iterator[str]:
    for source in sources if isinstance(sources, list | tuple) else ():
        if isinstance(source, dict):
            yield from (str(source[key]) for key in ("run", "against") if source.get(key))


def _read_prompts(spec: RunSpec) -> Iterator[Prompt]:
    """Those that may be trained on."""
    for raw in b"".join(spec.inputs[PROMPTS]()).split(b"\n"):
        record = json.loads(raw) if raw else {}
        if "conversation" in record:
            prompt = parse_prompt_record({key: record[key] for key in _FIELDS if key in record})
            if HELD_OUT not in prompt.tags:
                yield prompt


_FIELDS = ("prompt_id", "line", "kind", "tags", "conversation")
