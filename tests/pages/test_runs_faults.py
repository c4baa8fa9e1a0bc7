"""What a training's faults look like on the page: real run folders, each broken on cue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cai_core.errors import Cancelled, ModelError
from cai_core.training import sft
from cai_core.training.checkpoints import list_checkpoints
from cai_core.training.sft import run_sft
from cai_core.workspace.runs import Run, open_run
from tests.pages.test_runs import open_page, shown
from tests.training.test_sft import build_dataset, make_run, stop_at


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def begin(workspace: Path, name: str, **changes: Any) -> Run:
    return make_run(workspace / "runs" / name, **changes)


def head_of(name: str) -> str:
    """What the page of a run shows above its tabs."""
    app = open_page(run=name)
    tabs = {block.proto.body for tab in app.tabs for block in tab.get("html")}
    return "\n".join(b.proto.body for b in app.get("html") if b.proto.body not in tabs)


def test_a_loss_that_is_not_a_number_is_said_at_the_top(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(workspace, "nan")
    compute = sft.SFTTrainer.compute_loss

    def poisoned(self: Any, *args: Any, **kwargs: Any) -> Any:
        loss = compute(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 6 else loss

    monkeypatch.setattr(sft.SFTTrainer, "compute_loss", poisoned)
    with pytest.raises(ModelError):
        run_sft(run, build_dataset)
    told = head_of("nan")
    assert "It failed" in told
    assert "The loss is nan in step 7" in told
    assert "Lower the learning rate" in told
    assert "The loss is nan in step 7" in shown(open_page())


def test_a_full_disk_is_said_with_what_to_do(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(workspace, "full")

    def full(self: Any, output_dir: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sft.FiniteTrainer, "_save_optimizer_and_scheduler", full)
    with pytest.raises(OSError, match="No space left"):
        run_sft(run, build_dataset)
    told = head_of("full")
    assert "It was interrupted" in told
    assert "The disk is full" in told
    assert "Make room, then resume" in told
    assert "Errno" not in told


def test_a_checkpoint_left_out_is_said_and_two_runs_lie_over_each_other(workspace: Path) -> None:
    run = begin(workspace, "broken")
    with pytest.raises(Cancelled):
        run_sft(run, build_dataset, on_log=stop_at(6))
    weights = list_checkpoints(run.path / "checkpoints")[0].path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    run_sft(open_run(run.path), build_dataset)
    assert "checkpoint-6 left out: model.safetensors is not what was written" in head_of("broken")
    other = begin(workspace, "other", learning_rate=1e-3)
    run_sft(other, build_dataset)
    app = open_page(run="broken")
    assert len(traces(app)) == 1
    app.selectbox(key="runs_beside_broken").select("other").run()
    assert [trace["name"] for trace in traces(app)] == ["broken", "other"]
    assert all(len(trace["x"]) == 12 for trace in traces(app))
    assert "loss of the other, now" in shown(app)
    assert shown(app).count(">before<") == 4
    assert shown(app).count(">after 12 steps<") == 4


def traces(app: Any) -> list[dict[str, Any]]:
    chart = app.get("plotly_chart")[0].proto
    found: list[dict[str, Any]] = json.loads(chart.spec)["data"]
    return found
