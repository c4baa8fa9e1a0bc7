"""Import of the paper's sample chains (`*_SLMADISON.jsonl`) as the rows of a run.

Each line is one chain: a prompt, an initial response and four rounds of critique and revision.
The texts become rows exactly as they are, leading blank included; `prompts.paper` reads them.
What the files do not tell stays unset in the rows: sampling and token counts; the seed is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cai_core.errors import ImportFormatError
from cai_core.pipeline.import_outputs import ROWS_STEP, read_rejected
from cai_core.pipeline.import_reading import look, open_source
from cai_core.pipeline.import_records import ImportSettings, RejectedLine
from cai_core.pipeline.import_rows import SAMPLES_MODEL
from cai_core.pipeline.import_run import write_import
from cai_core.pipeline.import_sources import SourceFile, hash_file
from cai_core.prompts.paper import TEMPLATE_VERSION

__all__ = ["ROWS_STEP", "ImportReport", "import_anthropic_samples"]

FILE_PATTERN = "*_SLMADISON.jsonl"


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
    files = [SourceFile(path=file, name=file.name) for file in _sample_files(path)]
    recipe = {
        "source": SAMPLES_MODEL,
        "template_version": TEMPLATE_VERSION,
        "files": [{"name": file.name, "sha256": hash_file(file.path)} for file in files],
    }
    source = open_source(files, ImportSettings(format="sl-chains"))
    found = look(source)
    constitution = found.build_constitution(SAMPLES_MODEL)
    report = write_import(Path(out), source, found, recipe, constitution)
    return ImportReport(
        chains=report.records,
        rows=report.counts.get("rows", 0),
        added=report.added,
        rejected=tuple(read_rejected(report.folder)),
    )


def _sample_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ImportFormatError(f"{path}: no such file or folder. Check the path.")
    files = sorted(file for file in path.glob(FILE_PATTERN) if file.is_file())
    if not files:
        raise ImportFormatError(f"{path}: holds no {FILE_PATTERN}. Give the folder of samples.")
    return files
