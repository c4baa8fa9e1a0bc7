"""Few-shot files: both templates' forms, and clear words for what is neither."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cai_core.errors import TemplateError
from cai_core.pipeline.few_shot import (
    OFFICIAL_FILE,
    few_shot_hash,
    load_chat_few_shot,
    load_paper_few_shot,
)
from cai_core.records import Message

TURNS = [{"role": "user", "content": "x: y"}, {"role": "assistant", "content": "z"}]


@pytest.mark.parametrize("name", ["few.json", "few.yaml"])
def test_conversations_are_read_from_json_and_yaml(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(json.dumps([TURNS, TURNS]))  # JSON is YAML
    example = (Message("user", "x: y"), Message("assistant", "z"))
    assert load_chat_few_shot(path) == (example, example)
    assert few_shot_hash((example,)) != few_shot_hash((example, example)) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "broken"),
        ("{}", "list of conversations"),
        ("[]", "list of conversations"),
        ("[[{role: user, content: x}]]", "conversation 1 does not end in an assistant turn"),
        (
            json.dumps([[{"role": "system", "content": "s"}, *TURNS]]),
            "conversation 1 has a system turn",
        ),
        ("[[{role: cat, content: x}]]", "conversation 1: turn 1 has role 'cat'"),
        ("a: &a [x]\nb: *a", "aliases"),
        ("!!python/object:os.system x", "broken"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "few.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError, match=message):
        load_chat_few_shot(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="cannot be read"):
        load_chat_few_shot(tmp_path / "none.yaml")
    with pytest.raises(TemplateError, match=OFFICIAL_FILE):
        load_paper_few_shot(tmp_path)


@pytest.mark.parametrize("folder", [".", "prompts"])
def test_the_official_file_is_found_in_both_places(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    strings = ["Human: a\n\nAssistant: b\n\nHuman:", "Human: c\n\nAssistant: d"]
    (tmp_path / folder / OFFICIAL_FILE).write_text(json.dumps(strings))
    text = load_paper_few_shot(tmp_path)
    assert text.count("Human:") >= 2
    assert few_shot_hash(text)
    assert few_shot_hash("") is few_shot_hash(()) is None
