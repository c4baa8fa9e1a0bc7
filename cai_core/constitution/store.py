"""Constitution files on disk: load one, list a folder, find one by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cai_core.constitution.nodes import MAX_BYTES
from cai_core.constitution.parse import parse_constitution
from cai_core.errors import ConstitutionError
from cai_core.records import Constitution

SHIPPED = Path(__file__).resolve().parents[2] / "constitutions"
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstitutionSummary:
    """One file of a folder of constitutions, readable or not.

    Attributes:
        name: the constitution's name; the file's stem where it cannot be read.
        hash: version hash; None where the file cannot be read.
        principles: how many; 0 where the file cannot be read.
        error: every problem of the file, one a line; None when there is none.
    """

    name: str
    path: Path
    hash: str | None
    principles: int
    error: str | None


def load_constitution(path: Path | str) -> Constitution:
    """Read and check one file.

    Raises:
        ConstitutionError: no such file, not UTF-8, or any problem that `parse_constitution`
            finds.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise ConstitutionError(f"{path}: cannot be read: {reason}. Check the path.") from error
    if len(raw) > MAX_BYTES:
        raise ConstitutionError(
            f"{path}: more than {MAX_BYTES} bytes, the most a constitution may have. Split it."
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConstitutionError(
            f"{path}:{line}: not UTF-8 (byte {raw[error.start]:#04x}). Save the file as UTF-8."
        ) from error
    return parse_constitution(text, str(path))


def list_constitutions(folder: Path = SHIPPED) -> list[ConstitutionSummary]:
    """Every .yaml and .yml file of the folder by file name; a broken one carries its error."""
    return [_summary(path) for path in _files(folder)]


def find_constitution(name_or_path: str | Path, folder: Path = SHIPPED) -> Constitution:
    """A constitution by its name, its file's stem, or a path to a file.

    What contains a separator is a path. A bare file name (`x.yaml`) is looked up in
    `folder` and then in the working directory; anything else is a name, looked up in `folder`.

    Raises:
        ConstitutionError: unknown (the message lists what there is), ambiguous, or broken.
    """
    wanted = str(name_or_path)
    if "/" in wanted or "\\" in wanted:
        return load_constitution(wanted)
    if wanted.lower().endswith(SUFFIXES):
        inside = folder / wanted
        return load_constitution(inside if inside.is_file() else wanted)
    listed = list_constitutions(folder)
    # A name inside a file goes before a file's stem; both may differ after a copy.
    named = [s for s in listed if s.name == wanted] or [s for s in listed if s.path.stem == wanted]
    if not named:
        raise ConstitutionError(_unknown(wanted, folder, listed))
    if len(named) > 1:
        paths = ", ".join(str(s.path) for s in named)
        raise ConstitutionError(
            f"{folder}: the name {wanted!r} is taken by {paths}. Rename one, or give the path."
        )
    return load_constitution(named[0].path)


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def _summary(path: Path) -> ConstitutionSummary:
    try:
        constitution = load_constitution(path)
    except ConstitutionError as error:
        return ConstitutionSummary(
            name=path.stem, path=path, hash=None, principles=0, error=str(error)
        )
    return ConstitutionSummary(
        name=constitution.name,
        path=path,
        hash=constitution.hash,
        principles=len(constitution.principles),
        error=None,
    )


def _unknown(wanted: str, folder: Path, listed: list[ConstitutionSummary]) -> str:
    names = ", ".join(s.name if s.error is None else f"{s.name} (broken)" for s in listed)
    there = f"There is: {names}." if listed else "The folder holds none."
    return f"{folder}: no constitution named {wanted!r}. {there} Or give a path to a .yaml file."
