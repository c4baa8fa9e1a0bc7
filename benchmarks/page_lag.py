"""How far the playground lags behind the model, in a real Chromium.

    python benchmarks/page_lag.py [--words 120] [--delay 0.05]

A model server stamps each word with the moment at which it sends it; the browser notes when the
word stands on the page. Prints one JSON line: milliseconds from the click to the first word, and
from each word's sending to its showing, for one chain and for two side by side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.browser.conftest import FLAGS, find_chromium, serve_app
from tests.fake_model import FakeModel, serve_fake_model

WATCH = """() => {
  window.lags = []; const seen = new Set();
  const look = () => {
    const now = Date.now();
    for (const [word] of document.querySelector('[data-testid=stMain]').textContent
        .matchAll(/t\\d{13}/g)) {
      if (!seen.has(word)) { seen.add(word); window.lags.push(now - Number(word.slice(1))); }
    }
  };
  new MutationObserver(look).observe(document.body,
    {subtree: true, childList: true, characterData: true});
}"""


def main() -> None:
    """Measure both ways of looking and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=120, help="of each of the chain's five texts")
    parser.add_argument("--delay", type=float, default=0.05, help="seconds between two words")
    args = parser.parse_args()
    result: dict[str, Any] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_app(Path(folder)) as app,
        serve_fake_model() as fake,
        sync_playwright() as playwright,
    ):
        fake.words, fake.delay, fake.stamped = args.words, args.delay, True
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        for name, both in (("one_chain", False), ("two_chains", True)):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(f"{app.url}playground")
            result[name] = measure(page, fake, both=both)
            page.close()
        browser.close()
    print(json.dumps(result))


def measure(page: Page, fake: FakeModel, *, both: bool) -> dict[str, float | int]:
    """Run one chain, or two, to the end, with the browser noting every word."""
    main_part = page.get_by_test_id("stMain")
    main_part.get_by_role("button", name="Settings").click()
    page.get_by_text("Bundled demo model").first.click()
    field = page.get_by_role("textbox", name="Model folder or URL").first
    field.fill(fake.url)
    field.press("Enter")
    page.keyboard.press("Escape")
    if both:
        main_part.get_by_role("radio", name="Constitution").click()
        main_part.get_by_text("Second constitution").wait_for()
    page.wait_for_timeout(1500)
    page.evaluate(WATCH)
    clicked = page.evaluate("Date.now()")
    main_part.get_by_test_id("stButton").get_by_role("button", name="Run").click()
    page.wait_for_function("window.lags.length > 0")
    first = page.evaluate("Date.now()") - clicked
    main_part.get_by_text("Finished").nth(1 if both else 0).wait_for(timeout=180_000)
    lags = sorted(page.evaluate("window.lags"))
    return {
        "first_word_ms": first,
        "lag_p50_ms": statistics.median(lags),
        "lag_p95_ms": lags[int(len(lags) * 0.95)],
        "lag_max_ms": lags[-1],
        "words": len(lags),
    }


if __name__ == "__main__":
    main()
