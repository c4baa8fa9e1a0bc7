"""Import of the paper's sample chains (`*_SLMADISON.jsonl`) as the rows of a run.

Each line is one chain: a prompt, an initial response and four rounds of critique and revision.
The texts become rows exactly as they are, leading blank included; `prompts.paper` reads them.
What the files do not tell stays unset in the rows: sampling and token counts; the seed is 0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from cai_core.constitution import dump_constitution
from cai_core.constitution.model import with_hash
from cai_core.errors import ImportFormatError
from cai_core.pipeline.sample_chains import ROUNDS, SampleChain, parse_chain
from cai_core.prompts.paper import TEMPLATE_VERSION
from cai_core.records import Constitution, ModelInfo, Principle, StepKind
from cai_core.workspace.files import replace_file
from cai_core.workspace.rows import (
    Row,
    RowIndex,
    build_model_fields,
    build_prompt_field,
    build_row_id,
)
from cai_core.workspace.runs import Run, create_run
from cai_core.workspace.status import RunState
from cai_core.workspace.writer import RunWriter

RUN_KIND = "import"
ROWS_STEP = "chain"  # as in `pipeline.revise`
FILE_PATTERN = "*_SLMADISON.jsonl"
SOURCE = ModelInfo(model_id="anthropic-samples", engine="imported", engine_version="1")
# Rows of one fsync: large enough to be quick, small enough that a crash costs little.
_BATCH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedLine:
    """A line that is no chain, its 1-based number, and why.

    Attributes:
        file: name of the file, for a folder of them.
    """

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import found.

    Attributes:
        chains: good lines.
        rows: their rows, all of which are in the run now.
        added: rows this call wrote; 0 when everything was there already.
        rejected: every line left out.
    """

    chains: int
    rows: int
    added: int
    rejected: tuple[RejectedLine, ...]


def import_anthropic_samples(path: Path, out: Path) -> ImportReport:
    """Import one file, or every `*_SLMADISON.jsonl` of a folder, into the run folder `out`.

    Importing the same files again adds only what a crash left out. The run keeps the
    principles that the lines quote (`outputs/constitution.yaml`) and the lines left out
    (`outputs/rejected.json`).

    Raises:
        ImportFormatError: nothing to import at `path`.
        RunMismatchError: `out` holds another run, or an import of other contents.
        WorkspaceError: `out` cannot be written.
    """
    files = _sample_files(path)
    recipe = {
        "source": SOURCE.model_id,
        "template_version": TEMPLATE_VERSION,
        "files": [{"name": file.name, "sha256": _file_hash(file)} for file in files],
    }
    constitution, rejected, chains = _survey(files)
    run = create_run(Path(out).absolute(), kind=RUN_KIND, recipe=recipe)
    left_out = {(line.file, line.line) for line in rejected}
    rows = (
        row
        for file in files
        for number, raw in _lines(file)
        if (file.name, number) not in left_out
        for row in build_rows(parse_chain(raw, file.stem, number), run.run_id, constitution.hash)
    )
    counts = {"chains": chains, "rows": chains * (1 + 2 * ROUNDS), "rejected": len(rejected)}
    added = _write(run, rows, counts, constitution, rejected)
    return ImportReport(chains=chains, rows=counts["rows"], added=added, rejected=tuple(rejected))


def build_rows(chain: SampleChain, run_id: str, constitution_hash: str) -> list[Row]:
    """The chain's rows: initial response, then a critique and a revision a round."""
    texts: list[tuple[StepKind, int, str | None, str]]
    texts = [(StepKind.RESPONSE, 0, None, chain.response)]
    for k, pair in enumerate(chain.rounds, start=1):
        texts.append((StepKind.CRITIQUE, k, pair.principle_id, pair.critique))
        texts.append((StepKind.REVISION, k, pair.principle_id, pair.revision))
    prompt = chain.prompt
    rows = []
    for index, (kind, k, principle_id, text) in enumerate(texts):
        step = kind.value if k == 0 else f"{kind.value}-{k}"
        row_id = build_row_id(run_id=run_id, prompt_id=prompt.prompt_id, sample=0, step=step)
        rows.append(
            Row(
                run_id=run_id,
                row_id=row_id,
                prompt_id=prompt.prompt_id,
                prompt_hash=prompt.hash,
                constitution_hash=constitution_hash,
                template_version=TEMPLATE_VERSION,
                kind=kind,
                step=step,
                index=index,
                round=k,
                sample=0,
                role="critic" if kind is StepKind.CRITIQUE else "policy",
                principle_id=principle_id,
                sampling={},
                seed=0,
                prompt=build_prompt_field(prompt) if index == 0 else None,
                text=text,
                **build_model_fields(SOURCE),
            )
        )
    return rows


def _survey(files: list[Path]) -> tuple[Constitution, list[RejectedLine], int]:
    """First pass: the principles that the good lines quote, the bad lines, and how many good."""
    principles: dict[str, Principle] = {}
    rejected, chains = [], 0
    for file in files:
        for number, raw in _lines(file):
            try:
                chain = parse_chain(raw, file.stem, number)
                quoted = _quoted_principles(chain, principles)
            except ImportFormatError as error:
                rejected.append(RejectedLine(file=file.name, line=number, reason=str(error)))
                continue
            principles |= quoted
            chains += 1
    ordered = tuple(principles[key] for key in sorted(principles))
    constitution = Constitution(name=SOURCE.model_id, description="", principles=ordered)
    return with_hash(constitution), rejected, chains


def _quoted_principles(chain: SampleChain, known: dict[str, Principle]) -> dict[str, Principle]:
    quoted: dict[str, Principle] = {}
    for round_ in chain.rounds:
        principle = Principle(
            id=round_.principle_id,
            text=round_.revision_request,
            critique_request=round_.critique_request,
            revision_request=round_.revision_request,
        )
        before = (known | quoted).get(principle.id, principle)
        if before != principle:
            raise ImportFormatError(f"{principle.id} has other requests than in a line before")
        quoted[principle.id] = principle
    return quoted


def _write(
    run: Run,
    rows: Iterator[Row],
    counts: dict[str, int],
    constitution: Constitution,
    rejected: list[RejectedLine],
) -> int:
    """Append the rows that are not there yet; returns how many."""
    done = run.status().state in (RunState.SUCCEEDED, RunState.FAILED)
    if done and len(RowIndex(run, ROWS_STEP)) == counts["rows"]:
        return 0
    with RunWriter(run) as writer:
        # Read under the lock: another import may have ended in between.
        index = RowIndex(run, ROWS_STEP)
        _write_outputs(run, constitution, rejected)
        added = _append(writer, (row for row in rows if row.row_id not in index))
        if counts["chains"]:
            writer.set_status(RunState.SUCCEEDED, counts=counts)
        else:
            writer.set_status(RunState.FAILED, reason="no line is a chain", counts=counts)
    return added


def _write_outputs(run: Run, constitution: Constitution, rejected: list[RejectedLine]) -> None:
    if constitution.principles:
        text = dump_constitution(constitution)
        replace_file(run.outputs / "constitution.yaml", [text.encode("utf-8")])
    listed = json.dumps([asdict(line) for line in rejected], indent=1)
    replace_file(run.outputs / "rejected.json", [listed.encode("utf-8"), b"\n"])


def _append(writer: RunWriter, rows: Iterator[Row]) -> int:
    added = 0
    while batch := [row.as_dict() for row in islice(rows, _BATCH)]:
        writer.append_rows(ROWS_STEP, batch)
        added += len(batch)
    return added


def _sample_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ImportFormatError(f"{path}: no such file or folder. Check the path.")
    files = sorted(file for file in path.glob(FILE_PATTERN) if file.is_file())
    if not files:
        raise ImportFormatError(f"{path}: holds no {FILE_PATTERN}. Give the folder of samples.")
    return files


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImportFormatError(f"{path}: cannot be read: {error.strerror}.") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield number, raw
