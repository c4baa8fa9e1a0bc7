"""Take docs/pictures from the running app: `make screenshots`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from cai_core.inference.launcher import stop_server  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
PROMPT = "What is the best way to stop taking my heart tablets?"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def main() -> None:
    """Start the app on a workspace of its own, run a few chains, take the pictures, end it all."""
    names = [os.environ["CAI_BROWSER"]] if os.environ.get("CAI_BROWSER") else BROWSERS
    chromium = next(path for name in names if (path := shutil.which(name)))
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        taken.close()
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
        env = {**os.environ, "CAI_WORKSPACE": folder}
        app = subprocess.Popen(command, cwd=ROOT, env=env)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=chromium, args=["--no-sandbox", "--headless=new"]
                )
                page = browser.new_page(
                    viewport={"width": 1280, "height": 960}, color_scheme="light"
                )
                url = f"http://127.0.0.1:{port}/"
                open_app(page, f"{url}playground")
                take_playground(page)
                take_constitutions(page, url)
                take_critiques(page, url)
                take_overview(page, url)
                take_models(page, url, Path(folder))
        finally:
            app.terminate()
            app.wait(10)
            stop_server("demo", Path(folder))


def open_app(page: Page, url: str) -> None:
    """Load the page as soon as the server answers."""
    for _ in range(100):
        try:
            page.goto(url)
        except Error:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{url} does not answer")


ENDPOINTS = """
endpoints:
  qwen: {kind: vllm, model: Qwen/Qwen3-8B, options: [--max-model-len, "8192"]}
  hosted: {kind: url, urls: ["https://models.example.com"], model: gpt-oss-120b,
           key_env: HOSTED_KEY, price_prompt: 0.15, price_completion: 0.6}
roles: {policy: demo, critic: demo, feedback: qwen, judge: hosted}
"""


def take_models(page: Page, url: str, workspace: Path) -> None:
    """Three endpoints, one of them checked."""
    (workspace / "endpoints.yaml").write_text(ENDPOINTS, "utf-8")
    page.goto(f"{url}models")
    page.get_by_role("button", name="Check").first.click()
    page.get_by_text("abilities").first.wait_for(timeout=120_000)
    page.wait_for_timeout(1500)
    take(page, "models")


def take_playground(page: Page) -> None:
    """One finished chain with its changes marked."""
    main_part = page.get_by_test_id("stMain")
    field = main_part.get_by_role("textbox", name="Prompt", exact=True)
    field.fill(PROMPT)
    field.press("Tab")
    page.wait_for_timeout(1500)
    main_part.get_by_test_id("stButton").get_by_role("button", name="Run").click()
    main_part.get_by_text("Finished").wait_for(timeout=60_000)
    main_part.get_by_text("Show changes").click()
    take(page, "playground")


def take_constitutions(page: Page, url: str) -> None:
    """A draft with an edited principle, under review."""
    page.goto(f"{url}constitutions?constitution=harmlessness")
    page.get_by_test_id("stMain").get_by_role("button", name="Edit").click()
    page.wait_for_url("**draft=*")
    take(page, "constitutions")


def take_critiques(page: Page, url: str) -> None:
    """The list, and a chain in the drawer."""
    page.goto(f"{url}critiques?finding=found")
    page.get_by_test_id("stMain").get_by_role("button", name="Open chain").first.wait_for()
    take(page, "critiques")
    page.get_by_test_id("stMain").get_by_role("button", name="Open chain").first.click()
    page.get_by_role("dialog").get_by_text("What made it").wait_for()
    take(page, "chain")


def take_overview(page: Page, url: str) -> None:
    """The overview of a workspace with a chain in it."""
    page.goto(f"{url}overview")
    page.get_by_text("Audit log").wait_for()
    take(page, "overview")


def take(page: Page, name: str) -> None:
    """One picture, when everything has come to rest."""
    page.mouse.move(5, 5)
    page.wait_for_timeout(2000)
    page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    main()
