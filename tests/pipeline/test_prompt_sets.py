"""Prompt sets by name: found, checked, chosen from and split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cai_core.actions.prompt_sets import add_prompt_set
from cai_core.errors import PromptFileError
from cai_core.pipeline.prompt_file import load_prompts, prompts_hash
from cai_core.pipeline.prompt_sets import (
    SHIPPED,
    TRAIN,
    assign_split,
    find_version,
    list_versions,
    resolve_prompts,
    select_prompts,
)
from cai_core.records import LOCAL_ACTOR, Message, Prompt, PromptKind
from cai_core.training.datasets import HELD_OUT
from cai_core.workspace.prompt_sets import get_prompt_set_path
from tests.pipeline.makers import make_prompts


def add(workspace: Path, name: str, *texts: str) -> str:
    path = workspace / "source.txt"
    workspace.mkdir(exist_ok=True)
    path.write_text("\n".join(texts))
    return add_prompt_set(LOCAL_ACTOR, workspace, name, str(path)).version.hash


def texts(workspace: Path, ref: str) -> list[str]:
    return [prompt.text for prompt in resolve_prompts(workspace, ref).prompts]


def test_a_name_is_the_newest_version_and_a_hash_an_older_one(tmp_path: Path) -> None:
    shipped = resolve_prompts(tmp_path, "redteam")
    assert shipped.prompts[0].prompt_id == "redteam-0001#1"
    first, second = add(tmp_path, "redteam", "one"), add(tmp_path, "redteam", "two")
    assert texts(tmp_path, "redteam") == ["two"]
    assert texts(tmp_path, f"redteam@{first[:8]}") == ["one"]
    again = resolve_prompts(tmp_path, shipped.label)
    assert list(again.prompts) == list(shipped.prompts)
    numbers = [version.number for version in list_versions(tmp_path, "redteam")]
    assert numbers == [2, 1, 0]
    assert find_version(tmp_path, "redteam").parent == first != second


def test_every_set_is_listed_with_its_counts(tmp_path: Path) -> None:
    add(tmp_path, "own", "a", "b")
    listed = {version.name: version for version in list_versions(tmp_path)}
    assert list(listed) == ["borderline", "helpful", "own", "redteam"]
    redteam = load_prompts(SHIPPED / "redteam.jsonl").prompts
    assert listed["redteam"].hash == prompts_hash(redteam)
    assert listed["redteam"].kinds == {"red-team": len(redteam)}
    assert sum(listed["redteam"].splits.values()) == len(redteam)
    assert (listed["own"].prompts, listed["own"].kinds) == (2, {"unknown": 2})


def test_a_path_is_read_as_it_lies_there(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\nbroken\n')
    found = resolve_prompts(tmp_path / "w", "p.jsonl", folder=tmp_path)
    assert (found.label, [p.text for p in found.prompts]) == ("p.jsonl", ["a"])
    assert [line.line for line in found.rejected] == [2]
    assert texts(tmp_path / "w", str(tmp_path / "p.jsonl")) == ["a"]


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("nobody", "no prompt set 'nobody'. There is: borderline, helpful, own, redteam"),
        ("own@0000000", "no such version. There is: "),
        ("own@xyz", "not the beginning of a hash"),
        ("own@", "not the beginning of a hash"),
        (".own", "no name of a prompt set"),
        ("p.csv", "add it as a set first"),
        ("./none.jsonl", "cannot be read"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, ref: str, told: str) -> None:
    add(tmp_path, "own", "a")
    with pytest.raises(PromptFileError, match=told):
        resolve_prompts(tmp_path, ref, folder=tmp_path)


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_version_that_was_changed_by_hand_is_refused(tmp_path: Path, damage: str) -> None:
    path = get_prompt_set_path(tmp_path, "own", add(tmp_path, "own", "good text"))
    whole = path.read_bytes()
    match damage:
        case "changed":
            path.write_bytes(whole.replace(b"good", b"evil"))
        case "cut":
            path.write_bytes(whole[:-4])
        case "gone":
            path.unlink()
    with pytest.raises(PromptFileError, match="from a backup"):
        resolve_prompts(tmp_path, "own")


def test_selection_is_by_all_tags_and_one_of_the_kinds() -> None:
    kinds = [PromptKind.RED_TEAM, PromptKind.HELPFUL, PromptKind.RED_TEAM, PromptKind.BORDERLINE]
    tags = [("a", "b"), ("a",), ("a",), ("a", "b")]
    prompts = [
        replace(prompt, kind=kind, tags=given)
        for prompt, kind, given in zip(make_prompts(4), kinds, tags, strict=True)
    ]

    def choose(**where: object) -> list[int]:
        return [prompt.line for prompt in select_prompts(prompts, **where)]  # type: ignore[arg-type]

    assert choose() == [1, 2, 3, 4]
    assert choose(tags=["a", "b"]) == [1, 4]
    assert choose(kinds=["red-team", "borderline"]) == [1, 3, 4]
    assert choose(tags=["a"], kinds=["red-team"], limit=1) == [1]
    assert choose(tags=["c"]) == []
    chosen = select_prompts(prompts, tags=["b"])
    assert (chosen[-1], list(chosen[::-1])) == (prompts[3], [prompts[3], prompts[0]])


def test_the_split_depends_on_text_and_seed_alone() -> None:
    prompts = make_prompts(2000)
    sides = [assign_split(prompt, 0.1, 0).tags for prompt in prompts]
    held_out = sum(tags == (HELD_OUT,) for tags in sides)
    assert held_out + sum(tags == (TRAIN,) for tags in sides) == 2000
    assert 150 < held_out < 250
    elsewhere = [
        replace(prompt, prompt_id="x", line=9, kind=PromptKind.HELPFUL) for prompt in prompts
    ]
    assert [assign_split(prompt, 0.1, 0).tags for prompt in elsewhere] == sides
    assert [assign_split(prompt, 0.1, 1).tags for prompt in prompts] != sides
    more = [assign_split(prompt, 0.2, 0).tags for prompt in prompts]
    assert all(
        new == (HELD_OUT,) for new, old in zip(more, sides, strict=True) if old == (HELD_OUT,)
    )


def test_who_has_a_split_keeps_it() -> None:
    prompt = Prompt(prompt_id="p", conversation=(Message("user", "a"),), tags=("x", "split:test"))
    assert assign_split(prompt, 1.0, 0) is prompt
    bare = replace(prompt, tags=("x",))
    assert assign_split(bare, 1.0, 0).tags == ("x", HELD_OUT)
    assert assign_split(bare, 0.0, 0).tags == ("x", TRAIN)
