"""The importers: own files of the official format here, the official files where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cai_core.constitution import dump_constitution, parse_constitution
from cai_core.constitution.importers import load_official_constitution, load_official_few_shot
from cai_core.errors import ImportFormatError
from cai_core.prompts import paper
from cai_core.records import Message
from tests.official import official_file

ASKED = (Message("user", "How: do I?"), Message("assistant", "So."), Message("user", "And now?"))
TURNS = "\n\nHuman: How: do I?\n\nAssistant: So.\n\nHuman: And now?\n\nAssistant: An answer."


def entry(critique: str = "Look.", revision: str = "Mend.") -> dict[str, object]:
    return {
        "prompt": [f"\n\nCritiqueRequest: {critique}\n\nCritique:"],
        "edit_request": f"\n\nRevisionRequest: {revision}\n\nRevision:",
    }


def write(folder: Path, document: object, name: str = "instructions.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_principles_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    document = {f"harmful{n}": entry(f"Look {n}.") for n in reversed(range(12))}
    constitution = load_official_constitution(write(tmp_path, document))
    assert [p.id for p in constitution.principles] == [f"harmful{n}" for n in range(12)]
    assert constitution.principle("harmful10").critique_request == "Look 10."


def test_irregular_blanks_survive_import_dump_and_rendering(tmp_path: Path) -> None:
    document = {"harmful0": entry("  Two  blanks. \n", "A\n\nbreak  ")}
    constitution = load_official_constitution(write(tmp_path, document))
    read_back = parse_constitution(dump_constitution(constitution), "dump")
    assert read_back == constitution
    prompt = paper.build_revision(ASKED, "An answer.", read_back.principles[0], "Bad.")
    asked = document["harmful0"]
    assert prompt == f"{TURNS}{asked['prompt'][0]} Bad.{asked['edit_request']}"  # type: ignore[index]


def test_comparisons_are_paired_by_order(tmp_path: Path) -> None:
    path = write(tmp_path, {"harmful0": entry(), "harmful1": entry()})
    pair = ["\nWhich is one? Options:", "\nWhich is two? Options:"]
    comparisons = write(tmp_path, pair, "comparisons.json")
    constitution = load_official_constitution(path, comparisons)
    assert [p.comparison_request for p in constitution.principles] == [
        "Which is one?",
        "Which is two?",
    ]
    with pytest.raises(ImportFormatError, match="1 instructions for 2 principles"):
        load_official_constitution(path, write(tmp_path, pair[:1], "short.json"))
    with pytest.raises(ImportFormatError, match=r"bad\.json: instruction 1 is not a request"):
        load_official_constitution(path, write(tmp_path, [pair[0], "Which?"], "bad.json"))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], "not an object of principles"),
        ({}, "not an object of principles"),
        ({"harmful0": entry(), "harmful2": entry()}, "harmful1 is missing"),
        ({"a b": entry()}, "'a b' cannot be a principle's id"),
        ({"harmful0": "text"}, "harmful0 is not an object"),
        ({"harmful0": {"prompt": "x", "edit_request": "y"}}, "'prompt' is not a list of one"),
        ({"harmful0": {**entry(), "prompt": [3]}}, "harmful0: 'prompt' is not a text"),
        ({"harmful0": {**entry(), "edit_request": None}}, "'edit_request' is not a text"),
        ({"harmful0": {**entry(), "prompt": ["Look."]}}, "'prompt' is not a request between"),
        ({"harmful0": entry(" ")}, "'prompt' is not a request between"),
        (
            {"harmful0": {**entry(), "edit_request": "\n\nRevisionRequest: \n\nRevision:"}},
            "between",
        ),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, document: object, expected: str) -> None:
    with pytest.raises(ImportFormatError) as raised:
        load_official_constitution(write(tmp_path, document))
    assert expected in str(raised.value)
    assert "instructions.json" in str(raised.value)


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    document = {"harmful0": 1, "harmful1": entry(), "harmful3": entry("")}
    with pytest.raises(ImportFormatError) as raised:
        load_official_constitution(write(tmp_path, document))
    assert len(str(raised.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"harmful0": ', r":1: broken JSON at column 14"),
        (b'{"a": 1, "a": 2}', "same key twice"),
        (b'{"a": "caf\xe9"}', "not UTF-8 at byte 10"),
        (b"[" * 200_000, "broken JSON"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_bytes_that_are_no_json_are_refused(tmp_path: Path, raw: bytes, expected: str) -> None:
    path = tmp_path / "torn.json"
    path.write_bytes(raw)
    for load in (load_official_constitution, load_official_few_shot):
        with pytest.raises(ImportFormatError, match=expected):
            load(path)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportFormatError, match="cannot be read"):
        load_official_constitution(tmp_path / "absent.json")


@pytest.mark.parametrize("document", [{}, [], ["Human: x", 3], ["x"]])
def test_few_shot_files_of_another_shape_are_refused(tmp_path: Path, document: object) -> None:
    with pytest.raises(ImportFormatError, match=r"few\.json"):
        load_official_few_shot(write(tmp_path, document, "few.json"))


def test_official_prompts_are_rendered_to_the_byte() -> None:
    path = official_file("prompts/CritiqueRevisionInstructions.json")
    official = json.loads(path.read_text(encoding="utf-8"))
    constitution = load_official_constitution(path)
    assert [p.id for p in constitution.principles] == [f"harmful{n}" for n in range(16)]
    assert parse_constitution(dump_constitution(constitution), "dump") == constitution
    for principle in constitution.principles:
        asked = official[principle.id]
        critique = TURNS + asked["prompt"][0]
        assert paper.build_critique(ASKED, "An answer.", principle) == critique
        revision = f"{critique} Bad.{asked['edit_request']}"
        assert paper.build_revision(ASKED, "An answer.", principle, "Bad.") == revision
        direct = TURNS + asked["edit_request"]
        assert paper.build_revision(ASKED, "An answer.", principle, None) == direct


def test_official_few_shot_examples_stand_in_front_to_the_byte() -> None:
    path = official_file("prompts/CritiqueRevisionFewShotPrompts.json")
    strings = json.loads(path.read_text(encoding="utf-8"))
    assert [text.endswith("\n\nHuman:") for text in strings].count(False) == 1
    # Every string is followed by exactly one "\n\nHuman:", its own or the next one's.
    whole = "".join(text.removesuffix("\n\nHuman:") for text in strings)
    few_shot = load_official_few_shot(path)
    assert few_shot == whole
    assert paper.build_response(ASKED, few_shot) == whole + paper.build_response(ASKED)
    assert "\n\nHuman:\n\nHuman:" not in whole + TURNS
    assert whole.count("\n\nRevision:") == len(strings)


def test_official_comparisons_keep_their_words() -> None:
    comparisons = official_file("prompts/RLMadisonInstructions.json")
    strings = json.loads(comparisons.read_text(encoding="utf-8"))
    path = official_file("prompts/CritiqueRevisionInstructions.json")
    constitution = load_official_constitution(path, comparisons)
    rebuilt = [f"\n{p.comparison_request} Options:" for p in constitution.principles]
    assert rebuilt == strings
