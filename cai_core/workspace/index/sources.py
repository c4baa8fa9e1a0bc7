"""Which run folders there are, and what in them changed since the last look. No SQL."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cai_core.constitution import load_constitution
from cai_core.errors import CaiError, WorkspaceError
from cai_core.workspace.journal import read_journal
from cai_core.workspace.runs import RowFile, Run, open_run
from cai_core.workspace.status import RunState, RunStatus

log = logging.getLogger(__name__)

# Kinds of run whose rows are chains, and the step that these rows are written under.
CHAIN_KINDS = frozenset({"revise", "interactive", "import"})
CHAIN_STEP = "chain"
# Kinds of run that hold comparisons, and the step that answers about them are written under.
COMPARISON_KINDS = frozenset({"label", "import"})
ANSWER_STEP = "label"
LABELS, COMPARISONS, COUNTS = "labels.jsonl", "comparisons.jsonl", "comparisons.json"
# Beyond so many, ended runs are looked at in turn, so that a look stays cheap.
_ENDED_AT_ONCE = 500
_ENDED = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.DELETED}

# `unlabelled`: comparisons of which only those count that no label speaks of.
Lines = Literal["chain", "answers", "labels", "comparisons", "unlabelled"]
_Stat = tuple[int, int, int] | None


@dataclass(slots=True)
class SeenFile:
    """How far a row file or journal was read.

    Attributes:
        inode: of the file that was read.
        done: bytes.
        damaged, doubled, late: as in `views.IndexReport`.
        lines: of a file of comparisons: the next one's place.
    """

    inode: int = 0
    done: int = 0
    damaged: int = 0
    doubled: int = 0
    late: int = 0
    lines: int = 0


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that is read line by line, and what its lines are."""

    file: RowFile
    lines: Lines


@dataclass(slots=True)
class SeenRun:
    """One run folder and what the index knows of it.

    Attributes:
        mark: of its recipe file; another one means another run.
        names: of its row files.
        look: stats of its files before everything in them was read.
        status: None until it could be read.
    """

    number: int
    folder: Path
    run: Run
    mark: str
    recorded: bool
    constitution: str = ""
    started_at: str = ""
    status: RunStatus | None = None
    files: dict[str, SeenFile] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    look: tuple[object, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(name := self.run.recipe.get("constitution"), str):
            self.constitution = name

    @property
    def holds_chains(self) -> bool:
        """Whether its rows are chains'."""
        return self.run.kind in CHAIN_KINDS

    @property
    def holds_comparisons(self) -> bool:
        """Whether it may have comparisons."""
        return self.run.kind in COMPARISON_KINDS

    @property
    def constitution_hash(self) -> str:
        """The version that its recipe names; empty where it names none."""
        return str(self.run.recipe.get("constitution_hash") or "")

    @property
    def direct(self) -> bool:
        """Whether its chains are revised without critiques."""
        chain = self.run.recipe.get("chain")
        return isinstance(chain, dict) and chain.get("critique") is False

    @property
    def model(self) -> str:
        """The model that its recipe asks for."""
        recipe = self.run.recipe
        names = ("model", "feedback_model", "source")
        return next((str(recipe[name]) for name in names if recipe.get(name)), "")

    def take_look(self) -> tuple[object, ...]:
        """Stats of what changes when a run goes on."""
        look = self._stat_files()
        if look == self.look or not (self.holds_chains or self.holds_comparisons):
            return look
        rows = self.run.path / "rows"
        self.names = tuple(
            sorted(path.name for step in self._steps for path in rows.glob(f"{step}.*.jsonl"))
        )
        return self._stat_files()

    def _stat_files(self) -> tuple[object, ...]:
        path = str(self.run.path)  # many runs, many looks: pathlib would take most of the time
        return (
            _stat(f"{path}/status.json"),
            _stat(f"{path}/epochs.jsonl"),
            _stat(f"{path}/rows"),
            *[_stat(f"{path}/rows/{name}") for name in self.names],
            None if self.constitution else _stat(f"{path}/outputs/constitution.yaml"),
            *[
                _stat(f"{path}/outputs/{name}")
                for name in (LABELS, COMPARISONS)
                if self.holds_comparisons
            ],
        )

    def refresh(self) -> bool:
        """Read status, first epoch and constitution again; whether one of them changed.

        Raises:
            WorkspaceError: its epochs cannot be read.
        """
        before = (self.status, self.started_at, self.constitution)
        try:
            self.status = self.run.status()
        except WorkspaceError as error:
            # Renamed into place, so a broken one is somebody's hand; the rows still count.
            log.warning("%s", error)
        epochs = read_journal(self.run.path / "epochs.jsonl").records
        self.started_at = next((str(e["at"]) for e in epochs if "at" in e), "")
        if not self.constitution:
            self.constitution = _find_constitution(self.run)
        return before != (self.status, self.started_at, self.constitution)

    def list_files(self) -> list[SourceFile]:
        """What of it is read: row files with their seals, oldest epoch first, then comparisons."""
        files = [
            SourceFile(file, "chain" if step == CHAIN_STEP else "answers")
            for step in self._steps
            for file in self.run.row_files(step)
        ]
        if not self.holds_comparisons:
            return files
        labels, formed = (_find_output(self.run, name) for name in (LABELS, COMPARISONS))
        if labels is None:
            return files if formed is None else [*files, SourceFile(formed, "comparisons")]
        files.append(SourceFile(labels, "labels"))
        # A label says everything that its comparison does.
        if formed is not None and self._may_lack_labels:
            files.append(SourceFile(formed, "unlabelled"))
        return files

    @property
    def _may_lack_labels(self) -> bool:
        """Whether it may have comparisons without a label beside its labels: imports alone do."""
        if self.run.kind != "import":
            return False
        try:
            told = json.loads((self.run.outputs / COUNTS).read_bytes())
            return bool(told["formed"] != told["labelled"])
        except (OSError, ValueError, TypeError, KeyError):
            return True

    @property
    def _steps(self) -> list[str]:
        chains = [CHAIN_STEP] if self.holds_chains else []
        return chains + ([ANSWER_STEP] if self.holds_comparisons else [])


class RunFolders:
    """The run folders of a workspace and of the recordings, each recipe read once."""

    def __init__(self, workspace: Path, recordings: Path | None):
        self._places = [(workspace / "runs", False)]
        if recordings is not None:
            self._places.append((recordings, True))
        self._paths: dict[str, Path] = {}
        self._runs: dict[Path, tuple[str, Run | None]] = {}
        self._turn = self._recipe_turn = 0

    def find(self) -> dict[Path, tuple[Run, str, bool]]:
        """Every readable run folder: the run, the mark of its recipe, whether it is recorded.

        Where folders hold the same run (a copy, a recording brought in), the first counts:
        the workspace's before recordings, the one that bears the run's name before others.
        """
        best: dict[str, tuple[tuple[bool, bool, str], Path]] = {}
        found: dict[Path, tuple[Run, str, bool]] = {}
        folders = list(self._list())
        turn = self._take_turn(len(folders))
        for number, (folder, recorded) in enumerate(folders):
            # A known recipe is looked at in its turn: nobody edits one.
            if folder not in self._runs or self._runs[folder][1] is None or number in turn:
                self._open(folder)
            mark, run = self._runs.get(folder, ("", None))
            if run is None:
                continue
            found[folder] = (run, mark, recorded)
            rank = (recorded, folder.name != run.run_id, folder.name)
            if run.run_id not in best or rank < best[run.run_id][0]:
                best[run.run_id] = (rank, folder)
        for gone in self._runs.keys() - {folder for folder, _ in folders}:
            del self._runs[gone]
        chosen = {folder for _, folder in best.values()}
        return {folder: found[folder] for folder in found if folder in chosen}

    def choose(self, runs: list[SeenRun]) -> list[SeenRun]:
        """The runs to look at now: all that go on, and some or all that have ended."""
        ended = [run for run in runs if run.look and run.status and run.status.state in _ENDED]
        if len(ended) <= _ENDED_AT_ONCE:
            return runs
        start = self._turn % len(ended)
        self._turn = start + _ENDED_AT_ONCE
        turn = {id(run) for run in (ended + ended)[start : start + _ENDED_AT_ONCE]}
        skipped = {id(run) for run in ended} - turn
        return [run for run in runs if id(run) not in skipped]

    def _take_turn(self, folders: int) -> range:
        if folders <= _ENDED_AT_ONCE:
            return range(folders)
        start = self._recipe_turn if self._recipe_turn < folders else 0
        self._recipe_turn = start + _ENDED_AT_ONCE
        return range(start, self._recipe_turn)

    def _list(self) -> Iterator[tuple[Path, bool]]:
        for place, recorded in self._places:
            try:
                names = sorted(os.listdir(place))  # noqa: PTH208 - see `_stat_files`
            except (FileNotFoundError, NotADirectoryError):
                continue
            for name in names:
                path = f"{place}/{name}"
                if path not in self._paths:
                    self._paths[path] = Path(path)
                yield self._paths[path], recorded

    def _open(self, folder: Path) -> None:
        stat = _stat(f"{folder}/recipe.yaml")
        if stat is None:  # no run, or one that is being made
            self._runs.pop(folder, None)
            return
        mark = "-".join(map(str, stat))
        if folder in self._runs and self._runs[folder][0] == mark:
            return
        try:
            self._runs[folder] = (mark, open_run(folder))
        except (CaiError, OSError, TypeError) as error:
            log.warning("%s: is left out of the index: %s", folder, error)
            self._runs[folder] = (mark, None)


def _find_output(run: Run, name: str) -> RowFile | None:
    path = run.outputs / name
    return RowFile(path=path, epoch=0, limit=None, late_bytes=0) if path.exists() else None


def _find_constitution(run: Run) -> str:
    path = run.outputs / "constitution.yaml"
    try:
        return load_constitution(path).name if path.exists() else ""
    except CaiError as error:
        log.warning("%s", error)
        return ""


def _stat(path: str) -> _Stat:
    try:
        found = os.stat(path)  # noqa: PTH116 - see `_stat_files`
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
