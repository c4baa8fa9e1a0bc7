"""Files: load, list, find."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.constitution import find_constitution, list_constitutions, load_constitution
from cai_core.constitution.nodes import MAX_BYTES
from cai_core.errors import ConstitutionError

TEXT = (
    "format: 1\nname: %s\nprinciples:\n  - {id: a, text: t, critique_request: c, "
    "revision_request: r}\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "harm.yaml").write_text(TEXT % "harmlessness", encoding="utf-8")
    (tmp_path / "honest.yml").write_text(TEXT % "honesty", encoding="utf-8")
    (tmp_path / "torn.yaml").write_text("format: 1\nname: [", encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no constitution", encoding="utf-8")
    return tmp_path


def test_a_broken_file_is_listed_with_its_error(folder: Path) -> None:
    listed = {s.name: s for s in list_constitutions(folder)}
    assert list(listed) == ["harmlessness", "honesty", "torn"]
    assert listed["torn"].hash is None
    assert "torn.yaml:2: broken YAML" in (listed["torn"].error or "")
    assert listed["honesty"].error is None
    assert listed["honesty"].principles == 1
    assert listed["honesty"].hash == load_constitution(folder / "honest.yml").hash


def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert list_constitutions(tmp_path / "nowhere") == []


@pytest.mark.parametrize("wanted", ["harmlessness", "harm", "harm.yaml"])
def test_find_by_name_stem_or_file_name(folder: Path, wanted: str) -> None:
    assert find_constitution(wanted, folder).name == "harmlessness"


def test_find_by_path(folder: Path, tmp_path: Path) -> None:
    assert find_constitution(str(folder / "honest.yml"), tmp_path / "other").name == "honesty"
    assert find_constitution(folder / "honest.yml").name == "honesty"


def test_an_unknown_name_lists_what_there_is(folder: Path) -> None:
    with pytest.raises(ConstitutionError) as raised:
        find_constitution("harmlesness", folder)
    assert "There is: harmlessness, honesty, torn (broken)." in str(raised.value)
    with pytest.raises(ConstitutionError, match="The folder holds none"):
        find_constitution("any", folder / "nowhere")


def test_a_broken_file_found_by_its_stem_tells_its_error(folder: Path) -> None:
    with pytest.raises(ConstitutionError, match="broken YAML"):
        find_constitution("torn", folder)


def test_two_files_of_one_name_are_ambiguous(folder: Path) -> None:
    (folder / "copy.yaml").write_text(TEXT % "honesty", encoding="utf-8")
    with pytest.raises(ConstitutionError, match=r"taken by .*copy\.yaml, .*honest\.yml"):
        find_constitution("honesty", folder)


def test_bytes_that_are_not_utf8_name_their_line(folder: Path) -> None:
    (folder / "latin.yaml").write_bytes(b"format: 1\nname: caf\xe9\n")
    with pytest.raises(ConstitutionError, match=r"latin\.yaml:2: not UTF-8 \(byte 0xe9\)"):
        load_constitution(folder / "latin.yaml")


def test_what_cannot_be_opened_is_a_constitution_error(folder: Path) -> None:
    for wanted in (folder / "absent.yaml", folder, "nul\0.yaml"):
        with pytest.raises(ConstitutionError, match="cannot be read"):
            load_constitution(wanted)


def test_a_huge_file_is_not_read_whole(folder: Path) -> None:
    (folder / "huge.yaml").write_bytes(b"x" * (MAX_BYTES + 1))
    with pytest.raises(ConstitutionError, match="the most a constitution may have"):
        load_constitution(folder / "huge.yaml")
