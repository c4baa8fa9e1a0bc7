"""Models named by a URL: what is refused before anything is sent, and keys that never show."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from cai_core.errors import CaiError, ServerUnavailableError, UnknownModelError
from cai_core.inference.model_url import check_url, read_key, resolve_url

MODELS = b'{"data": [{"id": "only"}]}'


class Served(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(MODELS)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",  # the same as one number
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
    ],
)
def test_metadata_addresses_are_refused(host: str) -> None:
    with pytest.raises(UnknownModelError, match="link-local or metadata"):
        resolve_url(f"http://{host}/latest#model")


def test_a_url_is_checked_without_asking_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    assert check_url("https://models.example.com/v1") == "https://models.example.com"
    with pytest.raises(UnknownModelError, match="link-local or metadata"):
        check_url("http://169.254.169.254/latest")
    for url in ("ftp://host", "http://", 7):
        with pytest.raises(UnknownModelError):
            check_url(url)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://host:abc#m", "http://host:99999#m", "http://#m"]
)
def test_what_is_no_url_is_told(url: str) -> None:
    with pytest.raises(UnknownModelError, match="http://host:port#model-id"):
        resolve_url(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(UnknownModelError, match="CAI_API_KEY") as caught:
        resolve_url("http://me:CANARY@127.0.0.1:8000#m")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-CANARY\r\nx", "sk-CANARY\u00e9"])
def test_a_key_that_cannot_be_sent_never_shows(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("SOME_KEY", key)
    with pytest.raises(CaiError, match="SOME_KEY") as caught:
        read_key("SOME_KEY")
    assert "CANARY" not in str(caught.value)


def test_the_line_break_after_a_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAI_API_KEY", "secret\n")
    assert read_key() == "secret"
    assert resolve_url("http://127.0.0.1:8000#m", key=read_key()).api_key == "secret"


def test_this_machine_is_asked_past_the_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert resolve_url(url).model_id == "only"


def test_a_server_that_tells_no_models_is_told(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for told in (b"[]", b'{"data": ["m"]}', b"<html>"):
        monkeypatch.setattr("tests.inference.test_model_url.MODELS", told)
        with pytest.raises(ServerUnavailableError, match="#model-id"):
            resolve_url(url)
    with pytest.raises(ServerUnavailableError, match="#model-id"):
        resolve_url("http://127.0.0.1:9")
