"""A managed vLLM through kills, hangs and stops: the real thing, in the order of its life.

A start takes most of a minute, so one server goes from test to test.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cai_core.errors import EndpointError
from cai_core.inference.endpoints import EndpointConfig
from cai_core.inference.engine import Endpoint
from cai_core.inference.server_record import read_process_start
from cai_core.inference.vllm_plan import KeeperTimes
from cai_core.inference.vllm_record import VllmRecord, files_of, load_vllm_record
from cai_core.inference.vllm_server import ensure_vllm, find_vllm, list_vllm, stop_vllm
from cai_core.pipeline.interactive import load_live, run_live
from cai_core.pipeline.live import LiveHub, LiveRequest
from cai_core.pipeline.live_task import ChainState
from cai_core.pipeline.recipe import ChainRecipe
from cai_core.records import SamplingParams
from tests.pipeline.makers import make_constitution, make_prompts
from tests.vllm.managed import START_SECONDS, Managed
from tests.vllm.processes import list_commands, list_group, list_tree, wait_until
from tests.vllm.revising import Revising

# Enough that the run is at work when the engine dies; set it higher to see more.
CHAINS = int(os.environ.get("CAI_KILL_CHAINS", "150"))

# Enough that a look every few ms sees it grow; three of them fit into the small model.
LONG = SamplingParams(max_tokens=60)


def read_record(workspace: Path, name: str) -> VllmRecord:
    record = load_vllm_record(files_of(workspace, name).record)
    assert record is not None
    return record


def ask(endpoint: Endpoint) -> str:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    body = {"model": endpoint.model_id, "prompt": "How do I", "max_tokens": 8, "temperature": 0}
    url = f"{endpoint.base_url}/v1/completions"
    answer = httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["text"])


def engine_of(record: VllmRecord) -> int:
    group = list_group(record.engine_pid)
    (engine,) = [pid for pid, line in group.items() if "VLLM::EngineCore" in line]
    return engine


def await_restart(managed: Managed, restarts: int) -> float:
    def is_back() -> bool:
        state = find_vllm(managed.config, managed.workspace)
        assert state.state != "failed", state.reason
        return state.state == "ready" and state.restarts == restarts

    return wait_until(is_back, START_SECONDS, f"restart {restarts}")


def test_two_at_once_started_one(managed: Managed) -> None:
    (first, states), (second, _) = managed.told
    assert first == second == managed.endpoint.base_url
    assert any(state.startswith("starting") for state in states)
    assert states[-1] == "ready"
    state = find_vllm(managed.config, managed.workspace)
    assert [known.name for known in list_vllm(managed.workspace)] == ["shared"]
    assert (state.state, state.url, state.restarts) == ("ready", first, 0)
    served = [line for line in list_commands() if "serve " + str(managed.folder) in line]
    guards = [line for line in served if "vllm_guard" in line]
    assert (len(guards), len(served)) == (1, 2)


def test_the_key_guards_and_is_told_nowhere(managed: Managed) -> None:
    endpoint = managed.endpoint
    assert ask(endpoint)
    for key in ("", "wrong"):
        answer = httpx.get(
            f"{endpoint.base_url}/v1/models",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=False,
        )
        assert answer.status_code == 401
    key = endpoint.api_key
    assert key is not None and len(key) > 30
    assert not [line for line in list_commands() if key in line]
    folder = files_of(managed.workspace, "shared").record.parent
    holders = [path.name for path in folder.iterdir() if key in path.read_text(errors="replace")]
    assert holders == ["shared.json"]
    assert (folder / "shared.json").stat().st_mode & 0o777 == 0o600
    assert key not in repr(read_record(managed.workspace, "shared"))


def test_other_options_under_the_same_name_are_another_server(managed: Managed) -> None:
    refused = EndpointConfig(
        name="shared", kind="vllm", model=str(managed.folder), options=("--trust-remote-code",)
    )
    with pytest.raises(EndpointError, match="trust-remote-code"):
        ensure_vllm(refused, managed.workspace)
    assert find_vllm(managed.config, managed.workspace).state == "ready"


def test_the_playground_streams_from_it(
    managed: Managed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAI_WORKSPACE", str(tmp_path))
    hub = LiveHub(run_live, load_live)
    request = LiveRequest(
        prompt=make_prompts(1)[0],
        constitution=make_constitution(),
        model=f"{managed.endpoint.base_url}#{managed.endpoint.model_id}",
        recipe=ChainRecipe(revisions=1, policy_sampling=LONG, critic_sampling=LONG),
    )
    chain = hub.start(request)
    lengths: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    while (snapshot := chain.snapshot()).state.is_live:
        for number, step in enumerate(snapshot.steps):
            lengths[number].add(len(step.text))
        time.sleep(0.002)
    hub.close()
    assert snapshot.state is ChainState.FINISHED, snapshot.error
    assert [step.done for step in snapshot.steps] == [True] * 3
    for number, step in enumerate(snapshot.steps):
        halfway = [length for length in lengths[number] if 0 < length < len(step.text)]
        assert halfway, f"step {number} was not seen on its way: {lengths[number]}"


def test_a_run_outlives_a_killed_engine_which_is_started_again_in_its_place(
    managed: Managed, tmp_path: Path
) -> None:
    before, text = read_record(managed.workspace, "shared"), ask(managed.endpoint)
    revising = Revising(managed.endpoint, tmp_path, CHAINS)
    wait_until(lambda: revising.count_rows() >= CHAINS, START_SECONDS, "the first rows")
    os.kill(engine_of(before), signal.SIGKILL)
    seconds = await_restart(managed, 1)
    print(f"back {seconds:.0f} s after the kill")
    after = read_record(managed.workspace, "shared")
    assert (after.port, after.api_key) == (before.port, before.api_key)
    assert ask(managed.endpoint) == text
    assert not list_group(before.engine_pid)
    tree = list_tree(after.keeper_pid)
    assert not [line for line in tree.values() if line.startswith("Z")], tree
    revising.check_whole()


def test_a_killed_keeper_takes_its_vllm_along(managed: Managed) -> None:
    record = read_record(managed.workspace, "shared")
    tree = list_tree(record.keeper_pid)
    assert len(tree) >= 4
    os.kill(record.keeper_pid, signal.SIGKILL)
    started = time.monotonic()
    wait_until(lambda: not any(read_process_start(pid) for pid in tree), 20, f"{tree} gone")
    print(f"all gone after {time.monotonic() - started:.1f} s")
    state = find_vllm(managed.config, managed.workspace)
    assert state.state == "failed"
    assert "killed" in state.reason
    assert not stop_vllm(managed.config, managed.workspace)
    assert find_vllm(managed.config, managed.workspace).state == "absent"


@pytest.fixture(scope="module")
def watchful(managed: Managed) -> Iterator[Endpoint]:
    """The same model again, under a keeper that notices a hang within seconds."""
    times = KeeperTimes(canary_seconds=2, hang_seconds=8, idle_seconds=0)
    yield ensure_vllm(managed.config, managed.workspace, timeout=START_SECONDS, times=times)
    stop_vllm(managed.config, managed.workspace)


def test_a_stopped_engine_still_looks_healthy_and_is_replaced(
    managed: Managed, watchful: Endpoint
) -> None:
    before = read_record(managed.workspace, "shared")
    for pid in list_group(before.engine_pid):
        if pid != before.engine_pid:
            os.kill(pid, signal.SIGSTOP)
    assert httpx.get(f"{watchful.base_url}/health", trust_env=False).status_code == 200
    wait_until(
        lambda: find_vllm(managed.config, managed.workspace).state == "restarting", 40, "noticed"
    )
    assert "hung" in find_vllm(managed.config, managed.workspace).reason
    seconds = await_restart(managed, 1)
    print(f"back {seconds:.0f} s after it was noticed")
    assert ask(watchful)
    assert read_record(managed.workspace, "shared").port == before.port
    assert not list_group(before.engine_pid)


def test_stop_leaves_no_process(managed: Managed, watchful: Endpoint) -> None:
    record = read_record(managed.workspace, "shared")
    tree = list_tree(record.keeper_pid)
    assert len(tree) >= 4
    started = time.monotonic()
    assert stop_vllm(managed.config, managed.workspace)
    print(f"stopped in {time.monotonic() - started:.1f} s")
    assert not list_group(record.engine_pid)
    assert not any(read_process_start(pid) for pid in tree)
    assert find_vllm(managed.config, managed.workspace).state == "absent"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{watchful.base_url}/health", trust_env=False)
