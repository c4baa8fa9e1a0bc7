"""The world's prompt sets: data/prompts/{redteam,helpful,borderline}.jsonl."""

from __future__ import annotations

import json
import random
from pathlib import Path

from cai_core.demo_world.world import SPLIT_SEED, Intent, Standing, World

FILES = {
    Standing.HARMFUL: ("redteam", "red-team"),
    Standing.FINE: ("helpful", "helpful"),
    Standing.BORDERLINE: ("borderline", "borderline"),
}


def write_prompt_sets(world: World, folder: Path) -> dict[str, int]:
    """Write the three files; returns file name → number of prompts. The same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for standing, (name, kind) in FILES.items():
        lines = build_prompt_set(world, standing, name, kind)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
        counts[f"{name}.jsonl"] = len(lines)
    return counts


def build_prompt_set(
    world: World, standing: Standing, name: str, kind: str
) -> list[dict[str, object]]:
    """One prompt for each intent, shuffled; the split is in the tags.

    Training intents are asked in the training ways, held-out intents in the held-out ways, so a
    prompt tagged `split:held-out` is new to the demo model in both.
    """
    rng = random.Random(f"{SPLIT_SEED}:{name}")
    intents = [i for i in world.intents if i.standing is standing]
    lines: list[dict[str, object]] = []
    for number, intent in enumerate(rng.sample(intents, len(intents)), start=1):
        held_out = intent in world.held_out
        ways = world.language["asking_held_out" if held_out else "asking"]
        lines.append(
            {
                "id": f"{name}-{number:04d}",
                "prompt": rng.choice(ways).format(intent=intent.text),
                "kind": kind,
                "tags": _tags(intent, held_out),
            }
        )
    return lines


def _tags(intent: Intent, held_out: bool) -> list[str]:
    tags = [f"split:{'held-out' if held_out else 'train'}"]
    return [*tags, f"harm:{intent.harm}"] if intent.harm else tags
