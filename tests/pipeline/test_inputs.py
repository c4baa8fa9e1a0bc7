"""A run's frozen inputs: what comes out is what went in, and nothing else is taken for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import PromptFileError, RunMismatchError
from cai_core.pipeline.few_shot import few_shot_hash
from cai_core.pipeline.frozen_prompts import (
    build_prompt_record,
    encode_prompts,
    load_frozen_prompts,
    parse_prompt_record,
)
from cai_core.pipeline.inputs import (
    CONSTITUTION,
    FEW_SHOT,
    FOLDER,
    PROMPTS,
    Inputs,
    build_inputs,
    load_inputs,
    save_inputs,
)
from cai_core.pipeline.prompt_file import load_prompts, prompts_hash
from cai_core.pipeline.recipe import ChainRecipe, ReviseRecipe
from cai_core.pipeline.steps import FewShot
from cai_core.records import Constitution, Message, Prompt, PromptKind
from cai_core.workspace.runs import Run, create_run, open_run
from tests.constitution.strategies import constitutions
from tests.pipeline.makers import make_constitution, make_prompts
from tests.test_cli_revise import Cli

# Line separators, halves of an emoji, the emoji itself, and whatever else there is.
TEXTS = st.text(st.one_of(st.sampled_from("\u2028\x85\n\r\ud83d\ude00🙂#\x00"), st.characters()))
MESSAGES = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), TEXTS)
CONVERSATIONS = st.lists(MESSAGES, min_size=1, max_size=4).map(tuple)
EVERY_PROMPT = st.builds(
    Prompt,
    prompt_id=TEXTS,
    conversation=CONVERSATIONS,
    kind=st.sampled_from(PromptKind),
    line=st.integers(0, 2**40),
    tags=st.lists(TEXTS, max_size=3).map(tuple),
)
FEW_SHOTS = st.one_of(TEXTS, st.lists(CONVERSATIONS, max_size=3).map(tuple))


def start(
    folder: Path, prompts: list[Prompt], constitution: Constitution, few_shot: FewShot
) -> Run:
    recipe = ReviseRecipe(
        model="m",
        constitution=constitution.name,
        constitution_hash=constitution.hash,
        prompts="p.jsonl",
        prompts_hash=prompts_hash(prompts),
        few_shot_hash=few_shot_hash(few_shot),
        chain=ChainRecipe(),
    )
    run = create_run(folder, kind="revise", recipe=recipe.as_dict())
    save_inputs(run, Inputs(prompts=prompts, constitution=constitution, few_shot=few_shot))
    return run


@given(prompts=st.lists(EVERY_PROMPT, max_size=4), constitution=constitutions, few_shot=FEW_SHOTS)
def test_everything_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    prompts: list[Prompt],
    constitution: Constitution,
    few_shot: FewShot,
) -> None:
    run = start(tmp_path_factory.mktemp("w") / "r", prompts, constitution, few_shot)
    found = load_inputs(run)
    assert list(found.prompts) == prompts
    assert [prompt.hash for prompt in found.prompts] == [prompt.hash for prompt in prompts]
    assert found.constitution.hash == constitution.hash
    assert found.few_shot == few_shot


def test_prompts_of_a_file_keep_their_ids_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "a", "id": "x#y"}\n\nbroken\n{"prompt": "b\u2028"}\n', "utf-8")
    prompts = load_prompts(file).prompts
    run = start(tmp_path / "r", list(prompts), make_constitution(), ())
    file.unlink()
    found = load_inputs(run).prompts
    assert [(p.prompt_id.split("#")[-1], p.line) for p in found] == [("1", 1), ("4", 4)]
    assert found[0].prompt_id == "x#y#1"


def test_revise_freezes_what_it_is_made_from(tmp_path: Path) -> None:
    cli = Cli(tmp_path)
    assert cli.run("run", "--limit", "3").returncode == 0
    prompts = list(load_prompts(cli.prompts).prompts)
    cli.prompts.unlink()
    found = load_inputs(open_run(tmp_path / "run"))
    assert list(found.prompts) == prompts[:3]
    assert (found.constitution.name, found.few_shot) == ("harmlessness", ())


def test_prompts_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    prompts = make_prompts(5)
    path.write_bytes(b"".join(encode_prompts(prompts)))
    found = load_frozen_prompts(path)
    assert (len(found), found[-1], tuple(found[1:3])) == (5, prompts[4], prompts[1:3])
    assert found[::-1][0] == prompts[4]
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))
    with pytest.raises(PromptFileError, match="changed while it was in use"):
        found[0]


def test_what_is_there_is_not_written_again(tmp_path: Path) -> None:
    prompts = list(make_prompts(2))
    run = start(tmp_path / "r", prompts, make_constitution(), ())
    before = {path: path.stat().st_mtime_ns for path in (run.path / FOLDER).iterdir()}
    (run.path / FOLDER / FEW_SHOT).unlink()
    save_inputs(run, Inputs(prompts=prompts, constitution=make_constitution()))
    assert sorted(path.name for path in before) == sorted([PROMPTS, CONSTITUTION, FEW_SHOT])
    again = {path: path.stat().st_mtime_ns for path in before}
    assert [path.name for path in before if again[path] != before[path]] == [FEW_SHOT]


OTHERS = build_inputs(make_prompts(3), make_constitution(3), "Human: an example")


@pytest.mark.parametrize("name", [PROMPTS, CONSTITUTION, FEW_SHOT])
def test_a_file_that_is_another_is_named(tmp_path: Path, name: str) -> None:
    run = start(tmp_path / "r", list(make_prompts(2)), make_constitution(), ())
    path = run.path / FOLDER / name
    path.write_bytes(b"".join(OTHERS[name]()))
    with pytest.raises(RunMismatchError, match=rf"{name}: its hash is \w{{12}}, the recipe says"):
        load_inputs(run)


@pytest.mark.parametrize("name", [PROMPTS, CONSTITUTION, FEW_SHOT])
@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "newer"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: str) -> None:
    run = start(tmp_path / "r", list(make_prompts(2)), make_constitution(), ())
    path = run.path / FOLDER / name
    whole = path.read_bytes()
    path.unlink()
    match damage:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(whole[:-9])
        case "newer":
            path.write_bytes(whole.replace(b"1", b"7", 1))
    with pytest.raises(RunMismatchError, match=name):
        load_inputs(run)


@pytest.mark.parametrize(
    "change",
    [{"more": 1}, {"prompt_id": 3}, {"line": True}, {"kind": "nice"}, {"tags": "x"},
     {"conversation": []}],
)  # fmt: skip
def test_a_record_that_is_no_prompt_is_refused(change: dict[str, object]) -> None:
    record = build_prompt_record(make_prompts(1)[0])
    assert parse_prompt_record(record) == make_prompts(1)[0]
    with pytest.raises(ValueError, match=r"."):
        parse_prompt_record({**record, **change})
