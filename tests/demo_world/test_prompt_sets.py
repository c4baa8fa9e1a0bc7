"""data/prompts is what the world writes, and loads as prompt files."""

from pathlib import Path

import pytest

from cai_core.demo_world import load_oracle
from cai_core.demo_world.prompt_sets import write_prompt_sets
from cai_core.pipeline.prompt_file import load_prompts

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "prompts"
ORACLE = load_oracle()
STANDINGS = {"redteam": "harmful", "helpful": "fine", "borderline": "borderline"}


def test_the_shipped_files_are_what_the_world_writes(tmp_path):
    for name in write_prompt_sets(ORACLE.world, tmp_path):
        assert (tmp_path / name).read_bytes() == (SHIPPED / name).read_bytes(), name


@pytest.mark.parametrize("name", STANDINGS)
def test_every_prompt_is_inside_the_world_and_says_its_split(name):
    file = load_prompts(SHIPPED / f"{name}.jsonl")
    assert not file.rejected
    assert len({p.prompt_id for p in file.prompts}) == len(file.prompts)
    held_out = 0
    for prompt in file.prompts:
        intent = ORACLE.read_prompt(prompt.text)
        assert intent is not None and intent.standing == STANDINGS[name], prompt.text
        split = "held-out" if intent in ORACLE.world.held_out else "train"
        assert f"split:{split}" in prompt.tags
        assert (f"harm:{intent.harm}" in prompt.tags) == intent.harmful
        held_out += split == "held-out"
    assert held_out >= 100
