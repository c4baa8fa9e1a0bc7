"""What lies in the folder of a model that a run made, or lay there. Reads files, never weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cai_core.errors import CaiError
from cai_core.jobs.looking import read_metrics
from cai_core.jobs.tombstone import FILE as TOMBSTONE
from cai_core.training.checkpoints import MANIFEST

# Below a run's folder.
MODEL, ADAPTER = Path("outputs") / "model", Path("outputs") / "adapter"
CARD = "README.md"
_WEIGHTS = ".safetensors"


def read_weights_hash(folder: Path) -> str | None:
    """The hash that `compute_weights_hash` gives, from the manifest: no weights are read.

    Args:
        folder: a sealed model's; None is returned for another.
    """
    return combine_digests(_read_manifest(folder) or {})


def find_problem(run_folder: Path, *, deleted: bool) -> str:
    """What is wrong with the model of a run that made one, in a sentence; empty for nothing.

    Args:
        deleted: whether a tombstone tells of its files.
    """
    folder = run_folder / MODEL
    if not folder.is_dir():
        if deleted:
            return "Its files were deleted; recipe and hashes are kept."
        return "Its model folder is gone, though the run succeeded. Bring it back from a backup."
    told = _read_manifest(folder)
    if told is None:
        return "Its folder was not written to its end: manifest.json is missing or broken."
    if missing := sorted(name for name in told if not (folder / name).is_file()):
        return f"{', '.join(missing)} is missing from its folder. Bring it back from a backup."
    return ""


def find_adapter(run_folder: Path) -> Path | None:
    """The LoRA adapter beside the model; None where there is none."""
    folder = (run_folder / ADAPTER).absolute()
    return folder if (folder / "adapter_config.json").is_file() else None


def _read_manifest(folder: Path) -> dict[str, str] | None:
    """File name → SHA-256 (hex); None where the folder is not sealed."""
    try:
        files = json.loads((folder / MANIFEST).read_text("utf-8"))["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read_deleted_files(run_folder: Path) -> dict[str, str]:
    """What a tombstone says of the model's files: name → SHA-256 (hex)."""
    try:
        files = json.loads((run_folder / TOMBSTONE).read_text("utf-8"))["files"]
        told = {Path(file["path"]): str(file["sha256"]) for file in files}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {path.name: digest for path, digest in told.items() if path.parent == MODEL}


def combine_digests(files: Mapping[str, str]) -> str | None:
    """What `inference.model_folder.compute_weights_hash` gives, of digests by file name."""
    digests = sorted((name, digest) for name, digest in files.items() if name.endswith(_WEIGHTS))
    if len(digests) < 2:
        return digests[0][1] if digests else None
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests)
    return hashlib.sha256(lines.encode()).hexdigest()


def read_last_metrics(run_folder: Path) -> dict[str, float]:
    """The numbers of the last log line, and `loss_first`; empty where nothing was logged."""
    try:
        lines = read_metrics(run_folder)
    except CaiError:
        return {}
    if not lines:
        return {}
    last = {key: float(value) for key, value in lines[-1].items() if _is_number(value)}
    return {**last, "loss_first": float(lines[0]["loss"])}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def count_examples(run_folder: Path) -> int | None:
    """How many conversations were trained on; None where that was not written."""
    try:
        kept = json.loads((run_folder / "outputs" / "too_long.json").read_text("utf-8"))["kept"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if type(kept) is int else None


def read_created(folder: Path) -> str:
    """When the folder was sealed, or else last changed (UTC, ISO 8601); empty where it is gone."""
    for path in (folder / MANIFEST, folder):
        try:
            moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except OSError:
            continue
        return moment.isoformat(timespec="milliseconds")
    return ""


def read_card(folder: Path) -> str:
    """The model's card (Markdown); empty where there is none."""
    try:
        return (folder / CARD).read_text("utf-8", "replace")
    except OSError:
        return ""
