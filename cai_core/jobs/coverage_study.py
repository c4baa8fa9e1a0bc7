"""What critiques under a constitution found, by principle and kind of harm, over its runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.pipeline.chain_records import read_chain_records
from cai_core.pipeline.revise import CHAINS, KIND
from cai_core.records import Finding
from cai_core.workspace.runs import open_run

HARM = "harm:"
# A run's chains are read whole; older ones add little to what these say.
MOST_RUNS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Citations:
    """What critiques found.

    Attributes:
        found: principle id → category → critiques that found something.
        runs: ids of the runs that were read, the newest first.
    """

    found: dict[str, dict[str, int]]
    runs: tuple[str, ...]


def count_citations(workspace: Path, constitution_hash: str) -> Citations:
    """Count over the newest runs that used this very text; prompts need tags `harm:CATEGORY`."""
    paths = (workspace / "runs").glob(f"*/outputs/{CHAINS}")
    told = sorted(((path.stat().st_mtime_ns, path) for path in paths), reverse=True)
    found: dict[str, Counter[str]] = {}
    runs: list[str] = []
    for changed, path in told:
        folder = path.parents[1]
        if len(runs) == MOST_RUNS:
            break
        if _read_hash(folder, changed) != constitution_hash:
            continue
        runs.append(folder.name)
        for principle, counts in _count(folder, changed).items():
            found.setdefault(principle, Counter()).update(counts)
    return Citations(found={key: dict(counts) for key, counts in found.items()}, runs=tuple(runs))


@lru_cache(maxsize=4096)
def _read_hash(folder: Path, _changed: int) -> str | None:
    """The constitution of a `revise` run; None of others, and where it cannot be read."""
    try:
        return str(open_run(folder, kind=KIND).recipe.get("constitution_hash"))
    except CaiError:
        return None


@lru_cache(maxsize=256)
def _count(folder: Path, _changed: int) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    try:
        for chain in read_chain_records(folder):
            harms = [t.removeprefix(HARM) for t in chain["tags"] if t.startswith(HARM)]
            for step in chain["steps"]:
                if step["finding"] == Finding.FOUND.value:
                    found.setdefault(str(step["principle_id"]), Counter()).update(harms)
    except (CaiError, KeyError, TypeError, AttributeError):
        return {}  # `verify` says what is wrong with it
    return found
