"""The chains that a run made, as others read them: one line of chains.jsonl each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cai_core.errors import WorkspaceError
from cai_core.pipeline.revise import CHAINS
from cai_core.workspace.journal import read_lines


def read_chain_records(run_folder: Path) -> Iterator[dict[str, Any]]:
    """The chains that a `revise` run made, in its order.

    Raises:
        WorkspaceError: it made none, or a line is damaged.
    """
    path = run_folder / "outputs" / CHAINS
    if not path.exists():
        raise WorkspaceError(
            f"{path}: is not there. Resume {run_folder.name}, or choose a run that has succeeded."
        )
    for line in read_lines(path):
        if line.record is None:
            raise WorkspaceError(
                f"{path}:{line.number}: {line.damage}. Delete the file and repeat the run's "
                "command; it is made anew from the rows."
            )
        yield line.record
