"""The sample prompts that ship with the workbench, for pages to offer."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cai_core.pipeline.prompt_file import load_prompts
from cai_core.records import Prompt

FOLDER = Path(__file__).resolve().parents[1] / "data" / "prompts"
FILES = ("redteam.jsonl", "helpful.jsonl", "borderline.jsonl")
# A list to look through by hand; whole files are for runs.
OFFERED_PER_FILE = 100


@cache
def load_samples() -> tuple[Prompt, ...]:
    """Some prompts of every shipped file, spread over it; nothing of a file that is missing."""
    offered: list[Prompt] = []
    for prompts in _load_files():
        offered += prompts[:: max(1, -(-len(prompts) // OFFERED_PER_FILE))]
    return tuple(offered)


def find_sample(text: str) -> Prompt | None:
    """The shipped prompt of exactly that text, offered or not."""
    return _load_by_text().get(text)


@cache
def _load_files() -> tuple[tuple[Prompt, ...], ...]:
    paths = [FOLDER / name for name in FILES]
    return tuple(load_prompts(path).prompts for path in paths if path.is_file())


@cache
def _load_by_text() -> dict[str, Prompt]:
    return {prompt.text: prompt for prompts in _load_files() for prompt in prompts}
