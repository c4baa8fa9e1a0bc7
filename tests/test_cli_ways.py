"""`ways` and `constitution system-prompt` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cai_core.cli import main
from cai_core.commands.ways import describe_way
from cai_core.constitution import find_constitution
from cai_core.demo_world.judging import ChainsTruth
from cai_core.demo_world.ways_truth import WayTruth
from cai_core.inference.launcher import stop_server
from cai_core.prompts.system_prompt import build_system_prompt

ASK = ("ways", "redteam", "--constitution", "harmlessness", "--tag", "split:held-out")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    return tmp_path


def test_the_system_prompt_alone_is_on_stdout(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["constitution", "system-prompt", "healthcare"]) == 0
    told = capsys.readouterr()
    assert told.out == build_system_prompt(find_constitution("healthcare")).text + "\n"
    assert "7 principles, 135 words" in told.err and "system-prompt/1" in told.err
    assert main(["constitution", "system-prompt", "nothing"]) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--ways", "sideways"), "There are: plain, system-prompt, best-of-n, other-model"),
        (("--ways", "plain", "--other", "x"), "leaves other-model out"),
        (("--ways", "other-model"), "other_model goes with"),
        (("--n", "17"), "at most 16"),
        (("--tag", "nothing"), "holds no such prompt"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(
    workspace: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], message: str
) -> None:
    assert main([*ASK, *flags]) == 2
    assert message in capsys.readouterr().err
    assert not (workspace / "runs").exists()


def test_the_demo_model_is_measured_once_and_the_command_repeats_it(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*ASK, "--limit", "2", "--n", "2", "--max-tokens", "100"]
    try:
        assert main(command) == 0
        told = capsys.readouterr().out
        assert "harmful compliance: 100.0%" in told and "(n = 2)" in told
        assert "harmful compliance against plain" in told
        assert main([*command, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
    finally:
        stop_server("demo", workspace)
    assert document["prompts"] == 2 and document["rows"] <= 2 * 5
    assert document["truth"]["plain"]["rates"]["harmful compliance"]["n"] == 2
    assert document["ways"]["plain"]["answered"] == 2
    # A finished run needs no server.
    assert main(command) == 0
    (run,) = (workspace / "runs").iterdir()
    assert run.name.startswith("ways-")


def test_prompts_of_no_world_are_not_judged() -> None:
    nothing = ChainsTruth(rates={}, words=None, outside=None, unfinished=0)
    told = describe_way("plain", WayTruth(truth=nothing, outside=None, against_plain=None))
    assert told == [
        "plain",
        "  none of these prompts is of the demo world: nobody here knows the truth",
    ]
