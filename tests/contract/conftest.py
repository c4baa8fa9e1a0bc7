"""One endpoint for the whole session: the bundled server, or a real vLLM.

    CAI_VLLM_URL=http://127.0.0.1:8000 CAI_VLLM_MODEL=<id> pytest tests/contract

The vLLM must serve `tiny_models.save_llama` with `--max-model-len 512`. CAI_API_KEY is its key.
CAI_VLLM_FOLDER names the folder that it serves (with `--dtype float32`): then its numbers are
compared with transformers' too.

CAI_VLLM_REWARD_URL, CAI_VLLM_REWARD_FOLDER and CAI_VLLM_REWARD_KEY are the same for a second vLLM,
with `tiny_models.save_reward_llama` under the folder's name (`--runner pooling --dtype float32
--max-model-len 512`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server, stop_server
from tests.inference import tiny_models

Kind = Literal["bundled", "vllm"]
# It is stopped when the session ends, which may be long after the last of these tests.
IDLE_SECONDS = 7200.0


@pytest.fixture(scope="session")
def kind() -> Kind:
    """Which of the two answers."""
    return "vllm" if os.environ.get("CAI_VLLM_URL") else "bundled"


@pytest.fixture(scope="session")
def model_folder(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served."""
    if kind == "bundled":
        return tiny_models.save_llama(tmp_path_factory.mktemp("models") / "llama")
    folder = os.environ.get("CAI_VLLM_FOLDER")
    if not folder:
        pytest.skip("CAI_VLLM_FOLDER does not say which folder this vLLM serves")
    return Path(folder)


@pytest.fixture(scope="session")
def endpoint(
    kind: Kind, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    if kind == "vllm":
        model = os.environ["CAI_VLLM_MODEL"]
        url = os.environ["CAI_VLLM_URL"]
        yield Endpoint(base_url=url, model_id=model, api_key=os.environ.get("CAI_API_KEY"))
        return
    folder = str(request.getfixturevalue("model_folder"))
    workspace = tmp_path_factory.mktemp("workspace")
    yield ensure_server(folder, workspace, timeout=180, idle_seconds=IDLE_SECONDS)
    assert stop_server(folder, workspace), "the server was gone before its tests ended"


@pytest.fixture(scope="session")
def bundled(kind: Kind, endpoint: Endpoint) -> Endpoint:
    """For what vLLM does otherwise (it ignores unknown fields) or cannot promise."""
    if kind == "vllm":
        pytest.skip("a promise of the bundled server only")
    return endpoint


@pytest.fixture(scope="session")
def reference(model_folder: Path) -> tuple[Any, Any]:
    """The same weights and tokenizer in transformers itself."""
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    return model, AutoTokenizer.from_pretrained(model_folder)


@pytest.fixture(scope="session")
def rating_kind(kind: Kind, request: pytest.FixtureRequest) -> Kind:
    """Which of the two rates texts; under `make test-vllm` that vLLM is started here."""
    if not os.environ.get("CAI_VLLM_REWARD_URL") and kind == "vllm":
        if not request.config.pluginmanager.has_plugin("managed-vllm"):
            pytest.skip("CAI_VLLM_REWARD_URL does not say where a vLLM serves a reward model")
        request.getfixturevalue("reward_server")
    return "vllm" if os.environ.get("CAI_VLLM_REWARD_URL") else "bundled"


@pytest.fixture(scope="session")
def reward_folder(rating_kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reward model that is served."""
    if rating_kind == "vllm":
        return Path(os.environ["CAI_VLLM_REWARD_FOLDER"])
    return tiny_models.save_reward_llama(tmp_path_factory.mktemp("models") / "reward")


@pytest.fixture(scope="session")
def rater(
    rating_kind: Kind, reward_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Endpoint]:
    """Where it is served."""
    if rating_kind == "vllm":
        url, key = os.environ["CAI_VLLM_REWARD_URL"], os.environ.get("CAI_VLLM_REWARD_KEY")
        yield Endpoint(base_url=url, model_id=str(reward_folder), api_key=key)
        return
    folder, workspace = str(reward_folder), tmp_path_factory.mktemp("workspace")
    yield ensure_server(folder, workspace, timeout=180, idle_seconds=IDLE_SECONDS)
    assert stop_server(folder, workspace), "the server was gone before its tests ended"


@pytest.fixture
def rating_http(rater: Endpoint) -> Iterator[httpx.Client]:
    """A client of the server that rates."""
    with _open(rater) as client:
        yield client


@pytest.fixture
def http(endpoint: Endpoint) -> Iterator[httpx.Client]:
    with _open(endpoint) as client:
        yield client


def _open(endpoint: Endpoint) -> httpx.Client:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    return httpx.Client(base_url=endpoint.base_url, headers=headers, timeout=120, trust_env=False)
