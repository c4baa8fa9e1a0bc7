"""`revise` from end to end: resume, kill -9, Ctrl-C, bad input, every flag."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from cai_core.cli import main
from cai_core.commands import revise
from cai_core.workspace.rows import RowIndex
from cai_core.workspace.runs import open_run
from cai_core.workspace.status import RunState
from tests.cli_with_hash_engine import install

SCRIPT = Path(__file__).parent / "cli_with_hash_engine.py"
CONSTITUTION = "harmlessness"
ROWS = 9  # a chain of four rounds
MODEL = ("--model", "m")


class Cli:
    """Runs `revise` on the prompts of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "requests.log"
        self.prompts = folder / "prompts.jsonl"
        self.write_prompts(4)

    def write_prompts(self, count: int) -> None:
        lines = (json.dumps({"prompt": f"How do I do thing {n}? 👩"}) for n in range(count))
        self.prompts.write_text("\n".join(lines) + "\n")

    def arguments(self, out: str, *flags: str) -> list[str]:
        return [
            *("revise", str(self.prompts), "--constitution", CONSTITUTION),
            *("--model", "m", "--out", str(self.folder / out), *flags),
        ]

    def start(self, out: str, *flags: str, **settings: Any) -> subprocess.Popen[str]:
        """A process of its own, to be killed or stopped."""
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(settings), *self.arguments(out, *flags)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HASH_ENGINE_LOG": str(self.log)},
        )

    def run(self, out: str, *flags: str, **settings: Any) -> subprocess.CompletedProcess[str]:
        """The same in this process, which is quicker; what it raises, pytest shows."""
        stdout, stderr = StringIO(), StringIO()
        with (
            redirect_stdout(stdout),
            redirect_stderr(stderr),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(revise, "launch", None)
            patch.setenv("HASH_ENGINE_LOG", str(self.log))
            install(settings)
            try:
                code = main(self.arguments(out, *flags))
            except SystemExit as error:  # argparse
                code = int(error.code or 0)
        return subprocess.CompletedProcess([], code, stdout.getvalue(), stderr.getvalue())

    def wait_for_rows(self, process: subprocess.Popen[str], out: str, count: int) -> None:
        file = self.folder / out / "rows"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            if sum(path.read_bytes().count(b"\n") - 1 for path in file.glob("*")) >= count:
                return
            time.sleep(0.005)

    def index(self, out: str) -> RowIndex:
        return RowIndex(open_run(self.folder / out), "chain")

    def chains(self, out: str) -> bytes:
        return (self.folder / out / "outputs" / "chains.jsonl").read_bytes()

    def state(self, out: str) -> RunState:
        return open_run(self.folder / out).status().state


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_a_run_folder_holds_recipe_rows_status_and_chains(cli: Cli) -> None:
    done = cli.run("run", "--seed", "7")
    assert done.returncode == 0, done.stderr
    assert "4 chains, 36 rows (36 generated now)" in done.stdout
    recipe = yaml.safe_load((cli.folder / "run" / "recipe.yaml").read_text())["recipe"]
    assert (recipe["chain"]["revisions"], recipe["chain"]["seed"]) == (4, 7)
    chains = [json.loads(line) for line in cli.chains("run").splitlines()]
    assert [chain["prompt_id"].split("#")[1] for chain in chains] == ["1", "2", "3", "4"]
    for chain in chains:
        assert len(chain["steps"]) == ROWS
        assert chain["final"] == chain["steps"][-1]["text"]
    assert cli.state("run") is RunState.SUCCEEDED
    assert open_run(cli.folder / "run").status().counts["rows_done"] == 36


def test_a_finished_run_does_nothing_again(cli: Cli) -> None:
    cli.run("run")
    before = {path: path.read_bytes() for path in (cli.folder / "run").rglob("*.*")}
    again = cli.run("run", launch="a finished run needs no model")
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)
    assert {path: path.read_bytes() for path in (cli.folder / "run").rglob("*.*")} == before
    lost = cli.folder / "run" / "outputs" / "chains.jsonl"
    lost.unlink()
    assert cli.run("run", launch="nor for this").returncode == 0
    assert lost.read_bytes() == before[lost]


def test_concurrency_changes_no_byte(cli: Cli) -> None:
    for concurrency in ("1", "7"):
        done = cli.run(concurrency, "--concurrency", concurrency, "--samples", "2", jitter=0.002)
        assert done.returncode == 0, done.stderr
    assert cli.chains("1") == cli.chains("7")


def test_killed_again_and_again_gives_the_same_rows_none_twice(cli: Cli) -> None:
    cli.write_prompts(8)
    cli.run("whole")
    cli.log.unlink()
    chance = random.Random(3)
    kills = 0
    for want in range(9, 72, 9):
        process = cli.start("cut", jitter=0.02)
        cli.wait_for_rows(process, "cut", want + chance.randrange(5))
        kills += process.poll() is None
        process.kill()
        process.communicate()
        if (cli.folder / "cut" / "recipe.yaml").exists() and kills:
            assert cli.state("cut") in (RunState.INTERRUPTED, RunState.SUCCEEDED)
    assert kills >= 4
    assert cli.run("cut").returncode == 0
    index = cli.index("cut")
    assert (len(index), index.doubled, index.damaged) == (72, 0, 0)
    assert cli.chains("cut") == cli.chains("whole")
    # Only what was in flight when it was killed (eight at most) was asked for again.
    asked = cli.log.read_text().splitlines()
    assert len(asked) - len(set(asked)) <= kills * 8


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130)])
def test_stopping_keeps_what_is_done_and_says_how_to_go_on(
    cli: Cli, sent: signal.Signals, code: int
) -> None:
    cli.run("whole")
    process = cli.start("cut", "--concurrency", "2", jitter=0.05)
    cli.wait_for_rows(process, "cut", 6)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == code
    assert "every finished row is kept" in stderr
    assert f"python -m cai_core revise {cli.prompts}" in stderr
    assert "Traceback" not in stderr
    kept = dict(cli.index("cut"))
    assert 6 <= len(kept) < 36
    assert cli.state("cut") is RunState.CANCELLED
    # Another concurrency is the same run: it changes no text.
    assert cli.run("cut", "--concurrency", "5").returncode == 0
    after = cli.index("cut")
    assert {row_id: after[row_id] for row_id in kept} == kept
    assert cli.chains("cut") == cli.chains("whole")


def test_a_server_that_dies_leaves_an_interrupted_run_to_go_on_with(cli: Cli) -> None:
    cli.run("whole")
    died = cli.run("cut", die_after=10)
    assert died.returncode == 2
    assert "the server is gone" in died.stderr
    assert "To go on" in died.stderr
    status = open_run(cli.folder / "cut").status()
    assert (status.state, "gone" in str(status.reason)) == (RunState.INTERRUPTED, True)
    assert len(cli.index("cut")) == 10
    assert cli.run("cut").returncode == 0
    assert cli.chains("cut") == cli.chains("whole")


def test_two_at_once_on_one_folder_are_refused(cli: Cli) -> None:
    first = cli.start("run", jitter=0.3)
    cli.wait_for_rows(first, "run", 1)
    second = cli.run("run")
    assert second.returncode == 2
    assert f"pid {first.pid}" in second.stderr
    first.kill()
    first.communicate()


def test_bad_prompt_lines_are_told_and_good_ones_run(cli: Cli) -> None:
    with cli.prompts.open("a") as file:
        file.write('{"prompt": \n{"prompt": "last"}\n')
    done = cli.run("run")
    assert done.returncode == 0
    assert f"{cli.prompts}:5: rejected: not JSON" in done.stderr
    assert "1 lines rejected, 5 prompts kept" in done.stderr
    rejected = (cli.folder / "run" / "outputs" / "rejected.jsonl").read_text()
    assert json.loads(rejected)["line"] == 5
    assert len(cli.chains("run").splitlines()) == 5


def test_one_prompt_too_long_fails_alone_and_all_too_long_is_an_error(cli: Cli) -> None:
    with cli.prompts.open("a") as file:
        file.write(json.dumps({"prompt": "long " * 2000}) + "\n")
    done = cli.run("run", "--revisions", "0", context=5000)
    assert done.returncode == 0
    assert "1 chains failed" in done.stdout
    last = json.loads(cli.chains("run").splitlines()[-1])
    assert (last["final"], "the context is 5000" in last["error"]) == (None, True)
    assert len(cli.chains("run").splitlines()) == 5

    all_failed = cli.run("all", context=10)
    assert all_failed.returncode == 2
    assert "the context is 10" in all_failed.stderr
    assert cli.state("all") is RunState.FAILED
    again = cli.run("all", launch="not needed")
    assert again.returncode == 2
    assert "every chain failed, and would again" in again.stderr
    assert len(cli.index("all")) == 5


def test_another_recipe_in_the_folder_is_refused_key_by_key(cli: Cli) -> None:
    cli.run("run", "--revisions", "1")
    before = cli.chains("run")
    other = cli.run("run", "--revisions", "2", "--temperature", "0.5")
    assert other.returncode == 2
    assert "chain.revisions: 1 in the folder, 2 asked" in other.stderr
    assert "chain.policy_sampling.temperature: 1.0 in the folder, 0.5 asked" in other.stderr
    assert cli.chains("run") == before
    cli.write_prompts(3)
    assert "prompts_hash" in cli.run("run", "--revisions", "1").stderr


def test_new_weights_do_not_go_on_with_an_old_run(cli: Cli) -> None:
    cli.run("run", die_after=10)
    other = cli.run("run", weights="w2")
    assert other.returncode == 2
    assert "weights w1" in other.stderr
    assert cli.run("run").returncode == 0


def test_an_unknown_model_leaves_no_run_behind(cli: Cli) -> None:
    done = cli.run("run", "--critic-model", "unknown")
    assert (done.returncode, "No model 'unknown'" in done.stderr) == (2, True)
    assert not (cli.folder / "run").exists()
    assert cli.run("run").returncode == 0


def write_file(cli: Cli, name: str, text: str) -> str:
    path = cli.folder / name
    path.write_text(text)
    return str(path)


BAD = {
    "broken constitution": (["--constitution", "{broken}"], "broken"),
    "unknown constitution key": (["--constitution", "{strange}"], "colour"),
    "no such constitution": (["--constitution", "nowhere"], "nowhere"),
    "no such principle": (["--principles", "nope"], "no principle nope"),
    "negative revisions": (["--revisions", "-1"], "revisions is -1"),
    "temperature": (["--temperature", "-1"], "temperature"),
    "top_p": (["--top-p", "0"], "top_p"),
    "max_tokens": (["--max-tokens", "0"], "max_tokens"),
    "samples": (["--samples", "0"], "samples"),
    "seed": (["--seed", "-3"], "seed"),
    "few-shot file": (["--few-shot", "{strange}"], "list of conversations"),
    "few-shot of another template": (["--paper-files", "."], "--template paper"),
    "paper files": (["--template", "paper", "--paper-files", "."], "CritiqueRevisionFewShot"),
    "limit": (["--limit", "0"], "not 1 or more"),
    "concurrency": (["--concurrency", "x"], "concurrency"),
    "a folder of something else": (["--out", "{folder}"], "other files"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_with_exit_2(cli: Cli, case: str) -> None:
    flags, message = BAD[case]
    names = {
        "{broken}": write_file(cli, "broken.yaml", "name: [\n"),
        "{strange}": write_file(cli, "strange.yaml", "name: x\ncolour: red\nprinciples: []\n"),
        "{folder}": str(cli.folder),
    }
    done = cli.run("run", *(names.get(flag, flag) for flag in flags))
    assert done.returncode == 2
    assert message in done.stderr
    assert not (cli.folder / "run").exists()


@pytest.mark.parametrize("text", ["", "\n\n", "{\n"])
def test_a_file_without_a_prompt_is_an_error(cli: Cli, text: str) -> None:
    cli.prompts.write_text(text)
    done = cli.run("run")
    assert (done.returncode, "holds no prompt" in done.stderr) == (2, True)


FEW_SHOT = '[[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]]'


@pytest.mark.parametrize(
    "flags",
    [
        ["--revisions", "3"],
        ["--seed", "8"],
        ["--samples", "2"],
        ["--limit", "1"],
        ["--principles", "in-order"],
        ["--no-critique"],
        ["--template", "paper"],
        ["--temperature", "0.5"],
        ["--top-p", "0.5"],
        ["--max-tokens", "17"],
        ["--critic-model", "other"],
        ["--model", "other"],
        ["--constitution", "healthcare"],
        ["--few-shot", "{few}"],
    ],
    ids=" ".join,
)
def test_every_flag_changes_the_texts(cli: Cli, flags: list[str]) -> None:
    few = write_file(cli, "few.json", FEW_SHOT)
    usual = ["--limit", "2"]
    assert cli.run("plain", *usual).returncode == 0
    changed = cli.run("changed", *usual, *(flag.format(few=few) for flag in flags))
    assert changed.returncode == 0, changed.stderr
    texts = [
        [
            step["text"]
            for line in cli.chains(out).splitlines()
            for step in json.loads(line)["steps"]
        ]
        for out in ("plain", "changed")
    ]
    assert texts[0] != texts[1]


def test_without_a_model_the_workspaces_roles_are_asked(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(cli.folder / "workspace"))
    book = "endpoints: {a: {kind: bundled, model: x}, b: {kind: bundled, model: y}}\n"
    (cli.folder / "workspace").mkdir()
    (cli.folder / "workspace" / "endpoints.yaml").write_text(
        book + "roles: {policy: a, critic: b}\n"
    )
    arguments = cli.arguments
    monkeypatch.setattr(
        cli, "arguments", lambda out, *flags: [a for a in arguments(out, *flags) if a not in MODEL]
    )
    done = cli.run("run")
    assert done.returncode == 0, done.stderr
    assert "policy a, critic b" in done.stderr
    recipe = open_run(cli.folder / "run").recipe
    assert (recipe["model"], recipe["critic_model"]) == ("a", "b")
    models = {row.role: row.model_id for row in cli.index("run").values()}
    assert models == {"policy": "a", "critic": "b"}


def test_named_principles_are_used_in_their_order(cli: Cli) -> None:
    known = yaml.safe_load(Path(f"constitutions/{CONSTITUTION}.yaml").read_text())["principles"]
    second, first = known[1]["id"], known[0]["id"]
    cli.run("run", "--principles", f"{second},{first}", "--no-critique", "--revisions", "3")
    steps = json.loads(cli.chains("run").splitlines()[0])["steps"]
    assert [step["principle_id"] for step in steps] == [None, second, first, second]


def test_max_tokens_fits_a_small_context_and_stays_with_the_run(cli: Cli) -> None:
    cli.run("run", die_after=3, context_length=512)
    recipe = yaml.safe_load((cli.folder / "run" / "recipe.yaml").read_text())["recipe"]
    assert recipe["chain"]["policy_sampling"]["max_tokens"] == 128
    assert cli.run("run", context_length=512).returncode == 0
    assert {row.sampling["max_tokens"] for row in cli.index("run").values()} == {128}
    assert cli.run("run", "--max-tokens", "128").returncode == 0
    assert cli.run("run", "--max-tokens", "64").returncode == 2


def test_an_edited_recipe_with_an_unknown_key_is_refused(cli: Cli) -> None:
    cli.run("run", die_after=3)
    path = cli.folder / "run" / "recipe.yaml"
    path.write_text(path.read_text().replace("  limit: null", "  limit: null\n  speed: 9"))
    done = cli.run("run")
    assert (done.returncode, "unknown keys speed" in done.stderr) == (2, True)


def test_the_papers_files_are_read_where_the_user_has_them(cli: Cli) -> None:
    asked = "\n\nCritiqueRequest: Is it kind?\n\nCritique:"
    edit = "\n\nRevisionRequest: Make it kind.\n\nRevision:"
    principles = {"harmful0": {"prompt": [asked], "edit_request": edit}}
    official = write_file(cli, "CritiqueRevisionInstructions.json", json.dumps(principles))
    examples = ["Human: a\n\nAssistant: b\n\nHuman:"]
    write_file(cli, "CritiqueRevisionFewShotPrompts.json", json.dumps(examples))
    flags = ["--constitution", official, "--template", "paper", "--limit", "1"]
    assert cli.run("plain", *flags).returncode == 0
    assert cli.run("few", *flags, "--paper-files", str(cli.folder)).returncode == 0
    plain, few = (json.loads(cli.chains(out))["steps"] for out in ("plain", "few"))
    assert {step["principle_id"] for step in plain[1:]} == {"harmful0"}
    assert plain[0] == few[0]  # examples are for critiques and revisions
    assert [step["text"] for step in plain[1:]] != [step["text"] for step in few[1:]]
