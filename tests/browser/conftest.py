"""The app as a person starts it, a real Chromium before it, and no request to anywhere else."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cai_core.errors import UnknownModelError
from cai_core.inference.launcher import stop_server
from tests.fake_model import FakeModel, serve_fake_model

ROOT = Path(__file__).resolve().parents[2]
# Everything by which Chromium would talk to its maker is off: the tests count requests.
FLAGS = [
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A machine that trains a model beside the tests is slow to paint.
expect.set_options(timeout=45_000)
OpenPage = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser on a starved machine may lose a moment: each test has a second try, told of.

    A page that is wrong is wrong twice.
    """
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))


@dataclass
class App:
    """A running app: where it answers, where its files are, and when it was started."""

    url: str
    workspace: Path
    started: float


@contextmanager
def serve_app(workspace: Path, **settings: str) -> Iterator[App]:
    """`streamlit run app.py` on a free loopback port, ended with the model server it started.

    Args:
        settings: of its environment.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    env = {**os.environ, "CAI_WORKSPACE": str(workspace), "OMP_NUM_THREADS": "1"} | settings
    started = time.monotonic()
    with (workspace / "app.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
    try:
        _wait_for(f"http://127.0.0.1:{port}/_stcore/health", process, workspace / "app.log")
        yield App(url=f"http://127.0.0.1:{port}/", workspace=workspace, started=started)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with suppress(UnknownModelError):  # a checkout without the demo model started none
            stop_server("demo", workspace)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the app did not come up:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One app for the tests that do not need it fresh."""
    with serve_app(tmp_path_factory.mktemp("workspace")) as app:
        yield app


def find_chromium() -> str:
    """The path of the system's Chromium, or of the one that CAI_BROWSER names."""
    names = [os.environ["CAI_BROWSER"]] if os.environ.get("CAI_BROWSER") else BROWSERS
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("No Chromium here. `make test` says how to get one.")
    return found


# A module's, not the session's: while Playwright runs, the main thread has a running event loop,
# and `asyncio.run` of any test that came after would be refused.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, or the one that CAI_BROWSER names."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open a tab of its own; whatever it asks of another host fails the test."""
    contexts, outside = [], []

    def open_tab(url: str, *, width: int = 1280, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: _note_outside(request.url, outside))
        page.goto(url)
        return page

    yield open_tab
    for context in contexts:
        context.close()
    assert outside == [], "the page asked other hosts"


def _note_outside(url: str, outside: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
        outside.append(url)


@pytest.fixture
def fake() -> Iterator[FakeModel]:
    """A model that can be held in the middle of a text."""
    with serve_fake_model() as fake:
        yield fake
