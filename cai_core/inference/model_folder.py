"""From a model's name to its folder: `demo`, a transformers folder, or a hub id.

Safetensors only: a .bin or .pt file is a pickle, and reading one runs what is in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from cai_core.errors import UnknownModelError

DEMO = "demo"
DEMO_FOLDER = Path(__file__).resolve().parents[2] / "data" / "models" / "demo"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Weights in safetensors, and the texts that tell how to use them; never code or pickles.
HUB_FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
# The same weights again in other forms, as several publishers add them (`original/`,
# `consolidated.safetensors`): never read here, and twice the download.
HUB_LEFT_OUT = ("*/*", "consolidated*.safetensors")


def resolve_model(model: str) -> Path | None:
    """The local folder of a model, or None for a hub id that has yet to be fetched.

    Raises:
        UnknownModelError: neither; or the folder holds no model that can be read safely.
    """
    if model == DEMO:
        if not DEMO_FOLDER.is_dir():
            raise UnknownModelError(
                f"The demo model is not in {DEMO_FOLDER}. Restore it with `git checkout`, or train "
                "it with `python -m cai_core demo train`; or name a local model folder or a "
                "Hugging Face id."
            )
        return check_folder(DEMO_FOLDER)
    try:
        folder = Path(model).expanduser()
        found = folder.is_dir()
    except (OSError, RuntimeError):  # a name too long, or ~ of a user that is not there
        found = False
    if found:
        return check_folder(folder.resolve())
    if _HUB_ID.fullmatch(model):
        return None
    raise UnknownModelError(
        f"No model {model!r}. Possible are: `demo` (bundled), a folder with config.json and "
        "*.safetensors, a Hugging Face id such as `owner/name`, or a server's URL "
        "(http://host:port#model-id)."
    )


def check_folder(folder: Path) -> Path:
    """The folder itself when it holds a model that can be read safely."""
    if not (folder / "config.json").is_file():
        hint = "It is a LoRA adapter: merge it into its base model first."
        adapter = (folder / "adapter_config.json").is_file()
        raise UnknownModelError(
            f"{folder}: no config.json. {hint if adapter else 'Name a transformers folder.'}"
        )
    if not list_weights(folder):
        raise UnknownModelError(
            f"{folder}: no *.safetensors. Weights in .bin or .pt are pickles, which can run "
            "code when read, and are refused. Save with `save_pretrained` to convert them."
        )
    return folder


def is_classifier(folder: Path) -> bool:
    """Whether it holds a sequence classifier, e.g. a reward model, by its config.json."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    names = config.get("architectures") or []
    return any(str(name).endswith("ForSequenceClassification") for name in names)


def fetch_model(model: str) -> Path:
    """The local folder of a model; a hub id is downloaded when it is not cached.

    Raises:
        UnknownModelError: no such model, here or on the hub.
    """
    folder = resolve_model(model)
    if folder is not None:
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        fetched = snapshot_download(
            model, allow_patterns=list(HUB_FILES), ignore_patterns=list(HUB_LEFT_OUT)
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UnknownModelError(
            f"{model!r} is no local folder, and the Hugging Face hub did not give it: {error}"
        ) from error
    return check_folder(Path(fetched))


def list_weights(folder: Path) -> list[Path]:
    """The folder's safetensors, sorted by name."""
    return sorted(folder.glob("*.safetensors"))


def compute_weights_hash(folder: Path) -> str:
    """SHA-256 (hex) of the weights.

    Of one file it is the file's own SHA-256, as `sha256sum` prints it; of several, the SHA-256
    of their `<sha256>  <name>` lines in the order of their names.
    """
    digests = [(_file_hash(path), path.name) for path in list_weights(folder)]
    if len(digests) == 1:
        return digests[0][0]
    lines = "".join(f"{digest}  {name}\n" for digest, name in digests)
    return hashlib.sha256(lines.encode()).hexdigest()


def compute_fingerprint(folder: Path) -> str:
    """Changes when a file that is served was written anew (weights, tokenizer, chat template,
    config); cheap, for telling whether a server is stale.
    """
    served = sorted({path for pattern in HUB_FILES for path in folder.glob(pattern)})
    stats = [(path.name, path.stat()) for path in served]
    told = [f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats]
    return hashlib.sha256("\n".join([str(folder), *told]).encode()).hexdigest()[:16]


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
