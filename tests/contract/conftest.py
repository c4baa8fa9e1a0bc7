"""One endpoint for the whole session: the bundled server, or a real vLLM.

CAI_VLLM_URL=http://127.0.0.1:8000 CAI_VLLM_MODEL=<id> pytest tests/contract
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cai_core.inference.engine import Endpoint
from cai_core.inference.launcher import ensure_server, stop_server
from tests.inference import tiny_models


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made even when a vLLM answers; serve it with vLLM to run the comparisons too."""
    return tiny_models.save_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="session")
def endpoint(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    url = os.environ.get("CAI_VLLM_URL")
    if url:
        model = os.environ["CAI_VLLM_MODEL"]
        yield Endpoint(base_url=url, model_id=model, api_key=os.environ.get("CAI_API_KEY"))
        return
    workspace = tmp_path_factory.mktemp("workspace")
    yield ensure_server(str(model_folder), workspace, timeout=180)
    assert stop_server(str(model_folder), workspace), "the server was gone before its tests ended"


@pytest.fixture(scope="session")
def bundled(endpoint: Endpoint) -> Endpoint:
    """For what vLLM does otherwise (it ignores unknown fields) or cannot promise."""
    if os.environ.get("CAI_VLLM_URL"):
        pytest.skip("a promise of the bundled server only")
    return endpoint


@pytest.fixture
def http(endpoint: Endpoint) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    with httpx.Client(
        base_url=endpoint.base_url, headers=headers, timeout=120, trust_env=False
    ) as client:
        yield client
