"""Files that somebody is about to add as a prompt set: kept until they decide, at most a day.

`prompts/.uploads/<id>/<name>`: the id is a hash of content and name, so the same file is one
upload. A set's name cannot begin with a dot: the folder is in no set's way.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from pathlib import Path

from cai_core.errors import PromptFileError, WorkspaceError
from cai_core.workspace.files import replace_file

MAX_UPLOAD_BYTES = 50 * 1024 * 1024
KEPT_SECONDS = 24 * 3600
_ID = re.compile(r"[0-9a-f]{16}")
# Neither a folder's sign, nor what DuckDB takes for a pattern, nor what a terminal obeys.
_NO_NAME = re.compile(r"[^\w .()+,=@#-]")
_MOST_NAME = 100


def write_upload(workspace: Path, name: str, content: bytes) -> str:
    """Keep a file and forget those that are too old. Only `cai_core.actions` calls this.

    Args:
        name: as the person's computer calls it; what no file may be called is replaced.

    Returns:
        Its id.

    Raises:
        PromptFileError: it is too large.
        WorkspaceError: the disk is full or refuses.
    """
    if len(content) > MAX_UPLOAD_BYTES:
        raise PromptFileError(
            f"{name:.80}: has {len(content):,} bytes; {MAX_UPLOAD_BYTES:,} can be uploaded. Add "
            "it on the command line: `python -m cai_core prompts add NAME FILE`."
        )
    folder = workspace / "prompts" / ".uploads"
    safe = clean_file_name(name)
    upload_id = hashlib.sha256(safe.encode() + b"\0" + content).hexdigest()[:16]
    _forget_old(folder)
    try:
        (folder / upload_id).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{folder}: cannot be made: {error.strerror}.") from error
    replace_file(folder / upload_id / safe, [content])
    return upload_id


def find_upload(workspace: Path, upload_id: str) -> Path | None:
    """Where an upload lies; None where there is none of that id, or no more."""
    if not _ID.fullmatch(upload_id):
        return None
    folder = workspace / "prompts" / ".uploads" / upload_id
    return next((path for path in sorted(folder.glob("*")) if path.name[0] != "."), None)


def delete_upload(workspace: Path, upload_id: str) -> None:
    """Forget an upload; that there is none is fine. Only `cai_core.actions` calls this."""
    path = find_upload(workspace, upload_id)
    if path is not None:
        shutil.rmtree(path.parent, ignore_errors=True)


def clean_file_name(name: str) -> str:
    """A name that can be a file's here, its ending kept in small letters."""
    shown = name.encode("utf-8", "replace").decode("utf-8")
    last = re.split(r"[/\\]", shown)[-1]
    stem, dot, ending = last.rpartition(".")
    clean = _NO_NAME.sub("_", stem if dot else last).strip(" .")[:_MOST_NAME] or "prompts"
    return f"{clean}.{_NO_NAME.sub('_', ending.lower())[:20]}" if dot else clean


def _forget_old(folder: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for path in folder.glob("*"):
        try:
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # another process was faster
