"""From names to servers: endpoints of the workspace, places that stand in no book, and keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from cai_core.errors import EndpointError, ServerUnavailableError, UnknownModelError
from cai_core.inference.endpoints import DEMO_ENDPOINT
from cai_core.pipeline.connect import connect, launch, resolve_config

BOOK = """
endpoints:
  fast: {kind: url, urls: ["http://127.0.0.1:9", "http://127.0.0.1:10"], model: m,
         key_env: FAST_KEY, concurrency: 7, price_prompt: 1, price_completion: 3,
         extra_body: {chat_template_kwargs: {enable_thinking: false}}}
  free: {kind: url, urls: ["http://127.0.0.1:9"], model: m}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "endpoints.yaml").write_text(BOOK)
    return tmp_path


def test_a_name_stands_for_its_endpoint(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAST_KEY", "secret")
    launched = launch("fast", workspace)
    assert [endpoint.base_url for endpoint in launched.endpoints] == [
        "http://127.0.0.1:9",
        "http://127.0.0.1:10",
    ]
    assert {endpoint.api_key for endpoint in launched.endpoints} == {"secret"}
    assert launched.endpoints[0].extra_body["chat_template_kwargs"] == {"enable_thinking": False}
    assert launched.count_slots() == launched.count_slots(100) == 14
    assert launched.count_slots(3) == 6
    assert (launched.count_chains(3), launched.count_chains()) == (8, 18)
    assert launched.price is not None and launched.price.completion == 3
    assert "secret" not in repr(launched)
    assert launch("free", workspace).price is None


def test_a_key_that_is_not_set_is_told(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAST_KEY", raising=False)
    with pytest.raises(ServerUnavailableError, match="FAST_KEY, which is not set"):
        connect(resolve_config("fast", workspace), workspace)


def test_places_that_stand_in_no_book(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAI_API_KEY", "k")
    (endpoint,) = launch("http://127.0.0.1:9/v1#some-model", workspace).endpoints
    assert (endpoint.base_url, endpoint.model_id) == ("http://127.0.0.1:9", "some-model")
    assert endpoint.api_key == "k"
    assert resolve_config("owner/name", workspace).kind == "bundled"
    with pytest.raises(UnknownModelError, match="Possible are"):
        launch("nosuch", workspace)
    with pytest.raises(EndpointError, match="No model was named"):
        launch("", workspace)


def test_a_forbidden_address_is_refused_when_written_and_when_asked(workspace: Path) -> None:
    for url in ("http://169.254.169.254", "http://[fd00:ec2::254]", "http://[::ffff:169.254.1.1]"):
        with pytest.raises(UnknownModelError, match="link-local or metadata"):
            resolve_config(url, workspace)


def test_demo_works_beside_a_broken_file_and_can_be_tuned_in_a_whole_one(tmp_path: Path) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text("endpoints: [")
    assert resolve_config("demo", tmp_path) == DEMO_ENDPOINT
    with pytest.raises(EndpointError):
        resolve_config("fast", tmp_path)
    file.write_text("endpoints: {demo: {kind: bundled, model: demo, concurrency: 3}}")
    assert resolve_config("demo", tmp_path).concurrency == 3
