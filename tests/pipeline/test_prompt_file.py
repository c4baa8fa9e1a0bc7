"""Prompt files: good lines kept, bad ones told, nothing cut and nothing guessed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import PromptFileError
from cai_core.pipeline.prompt_file import (
    MAX_LINE_BYTES,
    load_prompts,
    parse_prompt_line,
    prompts_hash,
)
from cai_core.records import Message, PromptKind, content_hash

TEXT = st.text(min_size=1).filter(lambda text: text.strip())


@given(texts=st.lists(TEXT, min_size=1, max_size=5), ascii=st.booleans())
def test_every_prompt_comes_back(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], ascii: bool
) -> None:
    path = tmp_path_factory.mktemp("p") / "p.jsonl"
    lines = (json.dumps({"prompt": text}, ensure_ascii=ascii) + "\n" for text in texts)
    path.write_bytes("".join(lines).encode())
    found = load_prompts(path)
    assert [prompt.text for prompt in found.prompts] == texts
    assert [prompt.line for prompt in found.prompts] == list(range(1, len(texts) + 1))
    assert len({prompt.prompt_id for prompt in found.prompts}) == len(texts)
    assert found.rejected == ()


def test_turns_kinds_ids_and_tags_are_read() -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi: there"},
        {"role": "assistant", "content": "Human: no"},
        {"role": "user", "content": "And?"},
    ]
    for key in ("messages", "conversation"):
        line = json.dumps({key: turns, "id": "a#b", "kind": "red-team", "tags": ["x"], "more": 1})
        prompt = parse_prompt_line(line, 9, plain=False)
        assert prompt.conversation == tuple(Message(**turn) for turn in turns)
        assert (prompt.prompt_id, prompt.kind, prompt.tags) == (
            "a#b#9",
            PromptKind.RED_TEAM,
            ("x",),
        )


def test_the_same_line_twice_is_two_prompts_of_one_content(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("Same?\nSame?\r\n\n   \nOther\n")
    first, second, third = load_prompts(path).prompts
    assert (first.text, second.text) == ("Same?", "Same?")
    assert first.hash == second.hash != third.hash
    assert first.prompt_id.split("#")[0] == second.prompt_id.split("#")[0]
    assert [p.prompt_id.split("#")[1] for p in (first, second, third)] == ["1", "2", "5"]


BAD_LINES = {
    b"{": "not JSON",
    b"[1]": "not a JSON object",
    b'{"text": "x"}': "needs one of",
    b'{"prompt": "x", "messages": []}': "needs one of",
    b'{"prompt": 3}': "not a text",
    b'{"prompt": " "}': "empty",
    b'{"prompt": "x\\ud800"}': "lone surrogate",
    b'{"prompt": "x", "kind": "nice"}': "kind is 'nice'",
    b'{"prompt": "x", "id": 1.5}': "id is 1.5",
    b'{"prompt": "x", "id": "%s"}' % (b"i" * 201): "longer than 200",
    b'{"prompt": "x", "tags": "y"}': "tags",
    b'{"messages": []}': "at least one turn",
    b'{"messages": [{"role": "robot", "content": "x"}]}': "role 'robot'",
    b'{"messages": [{"role": "user"}]}': "turn 1 has no text",
    b'{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}': (
        "last turn must be the user's"
    ),
    b'{"prompt": "\xff"}': "not UTF-8 at byte 13",
    b"[" * 100_000: "nested too deeply",
    b'{"prompt": "' + b"x" * MAX_LINE_BYTES + b'"}': "longer than",
}


def test_bad_lines_are_told_by_number_and_good_ones_kept(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    good = b'\xef\xbb\xbf{"prompt": "first"}\n', b'{"prompt": "last"}'
    path.write_bytes(b"\n".join([good[0].rstrip(b"\n"), *BAD_LINES, good[1]]))
    found = load_prompts(path)
    assert [prompt.text for prompt in found.prompts] == ["first", "last"]
    assert [line.line for line in found.rejected] == list(range(2, 2 + len(BAD_LINES)))
    for line, reason in zip(found.rejected, BAD_LINES.values(), strict=True):
        assert reason in line.reason


def test_a_prompt_of_a_megabyte_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("é" * 2**20 + "\nshort\n")
    assert [len(prompt.text) for prompt in load_prompts(path).prompts] == [2**20, 5]


@pytest.mark.parametrize("name", ["none.jsonl", "folder.jsonl", "p.csv"])
def test_what_is_no_prompt_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "p.csv").write_text("x")
    with pytest.raises(PromptFileError, match=name):
        load_prompts(tmp_path / name)


def test_the_hash_of_prompts_knows_order_and_content(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("a\nb\n")
    prompts = load_prompts(path).prompts
    assert prompts_hash(prompts) == prompts_hash(load_prompts(path).prompts)
    assert len({prompts_hash(prompts), prompts_hash(prompts[::-1]), prompts_hash(prompts[:1])}) == 3


def test_prompts_are_read_again_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    lines = ['{"prompt": "a"}', "broken", "", '{"prompt": "bé"}', '{"prompt": "c"}']
    path.write_text("\n".join(lines) + "\n")
    prompts = load_prompts(path).prompts
    assert [prompts[at].text for at in (0, 1, 2, -1)] == ["a", "bé", "c", "c"]
    assert [prompt.line for prompt in prompts[1:]] == [4, 5]
    assert list(prompts) == list(prompts)
    # As it was computed when the list was held.
    fields = [[p.prompt_id, p.hash, p.kind.value, list(p.tags)] for p in prompts]
    assert prompts_hash(prompts) == content_hash(fields)
    assert prompts_hash(prompts[:0]) == content_hash([])


@pytest.mark.parametrize("change", ["longer", "same length", "gone"])
def test_a_file_that_changes_in_use_is_an_error(tmp_path: Path, change: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    prompts = load_prompts(path).prompts
    if change == "gone":
        path.unlink()
    else:
        path.write_text('{"prompt": "x"}\n' * (3 if change == "longer" else 2))
        os.utime(path, ns=(1, 1))
    with pytest.raises(PromptFileError, match=r"cannot be read|changed while it was in use"):
        list(prompts)
    with pytest.raises(PromptFileError):
        prompts[1]
