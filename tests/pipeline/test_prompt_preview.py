"""A preview is what adding gives; export and import are inverse; changes between versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.actions.prompt_sets import add_prompt_set, drop_upload, keep_upload
from cai_core.errors import NotAllowedError, PromptFileError
from cai_core.pipeline.prompt_preview import (
    Import,
    SetChange,
    compare_versions,
    export_prompts,
    preview_prompts,
)
from cai_core.pipeline.prompt_sets import SHIPPED, find_version, resolve_prompts
from cai_core.pipeline.prompt_tables import find_source
from cai_core.records import LOCAL_ACTOR, AccessRole, Actor, PromptKind
from cai_core.workspace import prompt_uploads
from cai_core.workspace.prompt_uploads import clean_file_name, find_upload
from tests.hostile import HOSTILE

LINES = '{"prompt": "a", "tags": ["x"]}\nbroken\n{"prompt": "b"}\n'


def write(folder: Path, text: str = LINES) -> Path:
    path = folder / "p.jsonl"
    path.write_text(text, "utf-8")
    return path


def test_a_preview_is_what_adding_gives(tmp_path: Path) -> None:
    path = write(tmp_path)
    how = Import(kind=PromptKind.HELPFUL, tags=("x", "y"), held_out=0.5, seed=3)
    tally = preview_prompts(find_source(str(path)), how)
    added = add_prompt_set(
        LOCAL_ACTOR,
        tmp_path / "w",
        "own",
        str(path),
        kind=how.kind,
        tags=how.tags,
        held_out=0.5,
        seed=3,
    )
    assert list(resolve_prompts(tmp_path / "w", "own").prompts) == tally.first
    assert list(added.rejected) == tally.rejected
    assert (added.version.tags, added.version.splits) == (tally.tags, tally.splits)
    assert tally.first[0].tags[:2] == ("x", "y")
    assert added.version.tags == {"x": 2, "y": 2}


def test_a_source_without_a_prompt_tells_its_lines(tmp_path: Path) -> None:
    tally = preview_prompts(find_source(str(write(tmp_path, "broken\n"))), Import())
    assert (tally.prompts, [line.line for line in tally.rejected]) == (0, [1])
    with pytest.raises(PromptFileError, match="holds no prompt"):
        preview_prompts(find_source(str(write(tmp_path, "\n"))), Import())


@pytest.mark.parametrize("tag", ["", " ", "a\nb", "x" * 101, "\x1b[31m"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    with pytest.raises(PromptFileError, match="is no tag"):
        Import(tags=(tag,))


def test_export_then_import_changes_nothing(tmp_path: Path) -> None:
    shipped = resolve_prompts(tmp_path, "redteam").prompts
    path = tmp_path / "e.jsonl"
    path.write_bytes(b"".join(export_prompts(shipped)))
    added = add_prompt_set(LOCAL_ACTOR, tmp_path / "w", "redteam", str(path))
    assert added.version.hash == find_version(tmp_path, "redteam").hash
    assert list(resolve_prompts(tmp_path / "w", "redteam").prompts) == list(shipped)
    turns = '{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]}\n'
    first = add_prompt_set(LOCAL_ACTOR, tmp_path / "w", "t", str(write(tmp_path, turns))).version
    path.write_bytes(b"".join(export_prompts(resolve_prompts(tmp_path / "w", "t").prompts)))
    again = add_prompt_set(LOCAL_ACTOR, tmp_path / "w", "t", str(path))
    assert (again.version.hash, again.fresh) == (first.hash, False)


def test_changes_are_counted_and_undone_by_swapping(tmp_path: Path) -> None:
    old = preview_prompts(find_source(str(write(tmp_path))), Import()).first
    text = '{"prompt": "a"}\n{"prompt": "a"}\n{"prompt": "c"}\n'
    new = preview_prompts(find_source(str(write(tmp_path, text))), Import()).first
    assert compare_versions(old, new) == SetChange(added=2, removed=1, relabelled=1, kept=0)
    assert compare_versions(new, old) == SetChange(added=1, removed=2, relabelled=1, kept=0)
    assert compare_versions(old, old) == SetChange(added=0, removed=0, relabelled=0, kept=2)


def test_uploads_are_kept_by_content_until_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = keep_upload(LOCAL_ACTOR, tmp_path, "a/p.JSONL", b"x")
    assert keep_upload(LOCAL_ACTOR, tmp_path, "p.jsonl", b"x") == first
    path = find_upload(tmp_path, first)
    assert path is not None and (path.name, path.read_bytes()) == ("p.jsonl", b"x")
    other = keep_upload(LOCAL_ACTOR, tmp_path, "p.jsonl", b"y")
    drop_upload(LOCAL_ACTOR, tmp_path, other)
    drop_upload(LOCAL_ACTOR, tmp_path, "../..")
    assert find_upload(tmp_path, other) is None
    monkeypatch.setattr(prompt_uploads, "KEPT_SECONDS", -1)
    keep_upload(LOCAL_ACTOR, tmp_path, "p.jsonl", b"z")
    assert find_upload(tmp_path, first) is None


def test_what_may_not_be_uploaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Actor(name="v", role=AccessRole.VIEWER)
    with pytest.raises(NotAllowedError):
        keep_upload(viewer, tmp_path, "p.jsonl", b"")
    with pytest.raises(NotAllowedError):
        drop_upload(viewer, tmp_path, "0" * 16)
    with pytest.raises(PromptFileError, match="must end in"):
        keep_upload(LOCAL_ACTOR, tmp_path, "p.exe", b"")
    monkeypatch.setattr(prompt_uploads, "MAX_UPLOAD_BYTES", 3)
    with pytest.raises(PromptFileError, match="has 4 bytes; 3 can be uploaded"):
        keep_upload(LOCAL_ACTOR, tmp_path, "p.jsonl", b"1234")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*HOSTILE, "..", "a" * 300, "\udc80", "*?[x]"])
def test_a_hostile_name_becomes_a_files_name(tmp_path: Path, name: str) -> None:
    kept = keep_upload(LOCAL_ACTOR, tmp_path, f"{name}.jsonl", b"x")
    path = find_upload(tmp_path, kept)
    assert path is not None and path.read_bytes() == b"x"
    assert path.suffix == ".jsonl"
    assert not set(clean_file_name(name)) & set("*?[]<>\"'\n\x1b\x00/\\")


def test_the_shipped_sets_have_their_tags_counted(tmp_path: Path) -> None:
    tally = preview_prompts(find_source(str(SHIPPED / "redteam.jsonl")), Import())
    assert find_version(tmp_path, "redteam").tags == tally.tags
