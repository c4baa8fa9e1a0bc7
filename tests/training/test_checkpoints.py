from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.errors import WorkspaceError
from cai_core.training.checkpoints import (
    MANIFEST,
    clear_broken,
    find_last_good,
    list_checkpoints,
    seal_checkpoint,
)


def make_checkpoint(folder: Path, step: int, *, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights" * step)
    (path / "optimizer.pt").write_bytes(b"moments" * step)
    if sealed:
        seal_checkpoint(path)
    return path


def test_the_newest_whole_one_is_gone_on_from(tmp_path: Path) -> None:
    for step in (5, 10, 100):
        make_checkpoint(tmp_path, step)
    found = find_last_good(tmp_path)
    assert found is not None
    assert found.step == 100
    assert [one.step for one in list_checkpoints(tmp_path)] == [100, 10, 5]
    assert find_last_good(tmp_path / "none") is None


@pytest.mark.parametrize("damage", ["unsealed", "cut", "changed", "missing", "half a manifest"])
def test_a_broken_one_is_passed_over_for_the_one_before(tmp_path: Path, damage: str) -> None:
    make_checkpoint(tmp_path, 5)
    path = make_checkpoint(tmp_path, 10, sealed=damage != "unsealed")
    weights = path / "model.safetensors"
    match damage:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-1])
        case "changed":
            weights.write_bytes(b"W" + weights.read_bytes()[1:])
        case "missing":
            (path / "optimizer.pt").unlink()
        case "half a manifest":
            text = (path / MANIFEST).read_text()
            (path / MANIFEST).write_text(text[: len(text) // 2])
    found = find_last_good(tmp_path)
    assert found is not None
    assert found.step == 5
    (broken,) = clear_broken(tmp_path)
    assert broken.step == 10
    assert broken.damage
    assert not path.exists()


def test_a_disk_that_does_not_read_is_no_reason_to_delete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_checkpoint(tmp_path, 5)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", fail)
        with pytest.raises(WorkspaceError, match="Input/output error"):
            clear_broken(tmp_path)
    assert (path / "model.safetensors").exists()
    assert find_last_good(tmp_path) is not None
