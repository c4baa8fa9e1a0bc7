"""A plan's text changed one value at a time: only that value, comments and all else stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cai_core.errors import RecipeError
from cai_core.jobs.plan import Faults, parse_plan
from cai_core.jobs.plan_edit import read_fields, set_field
from cai_core.jobs.plan_fields import is_shown
from cai_core.jobs.plan_yaml import dump_value, parse_yaml
from tests.hostile import HOSTILE

RECIPES = Path(__file__).resolve().parents[2] / "data" / "recipes"
PRESETS = sorted(path for path in RECIPES.glob("*.yaml") if "\nruns:" in path.read_text("utf-8"))
PLAN = """\
# head
format: 1
name: p
runs:
  - name: chains   # the chains
    kind: revise
    prompts: redteam
    where: {tags: ["split:train"], limit: 500}  # a part
    constitution: harmlessness
    model: demo
    chain: {revisions: 2, seed: 1}
  # between
  - name: fine
    kind: revise
    prompts: helpful
    constitution: harmlessness
    model: demo  # same
    chain:
      revisions: 0
      seed: 1
  - {name: sl, kind: sft, base: demo, epochs: 4,
     sources: [{run: chains}, {run: fine, use: initial, share: 0.6}]}
"""


def document(text: str) -> Any:
    return parse_yaml(text, "p.yaml")


def comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


def values(text: str, run: int) -> dict[str, Any]:
    return dict(read_fields(text)[run].values)


def test_fields_are_what_the_text_says() -> None:
    chains, fine, sl = read_fields(PLAN)
    assert [(one.name, one.kind) for one in (chains, fine, sl)] == [
        ("chains", "revise"),
        ("fine", "revise"),
        ("sl", "sft"),
    ]
    assert {key: value for key, value in chains.values.items() if key not in chains.more} == {
        "prompts": "redteam",
        "constitution": "harmlessness",
        "model": "demo",
        "where.limit": 500,
        "chain.revisions": 2,
        "chain.seed": 1,
    }
    assert fine.values["where.limit"] is None
    assert (sl.values["epochs"], sl.values["learning_rate"]) == (4, None)
    assert (sl.values["sources.0.use"], sl.values["sources.1.share"]) == (None, 0.6)


@pytest.mark.parametrize(
    ("run", "key", "value"),
    [
        (0, "prompts", "mine"),
        (0, "prompts", "mine@0123456789ab"),
        (0, "where.limit", 12),
        (0, "where.limit", None),
        (0, "chain.seed", 2),
        (0, "chain.revisions", 0),
        (1, "where.limit", 3),
        (1, "where.limit", None),
        (1, "model", "run:sl"),
        (1, "chain.seed", 7),
        (2, "learning_rate", 3e-4),
        (2, "learning_rate", 1e-05),
        (2, "method", "lora"),
        (2, "epochs", None),
        (2, "sources.0.use", "final"),
        (2, "sources.1.share", 0.25),
        (2, "sources.1.share", None),
        (2, "base", "a, b: {c} #d"),
        *[(0, "model", text) for text in HOSTILE if text],
    ],
)
def test_one_value_changes_and_nothing_else(run: int, key: str, value: Any) -> None:
    changed = set_field(PLAN, run, key, value)
    assert values(changed, run)[key] == value
    wanted = document(PLAN)
    place = wanted["runs"][run]
    for step in key.split(".")[:-1]:
        place = place[int(step)] if step.isdecimal() else place.get(step, {})
    if value is None:
        place.pop(key.split(".")[-1], None)
    elif key != "where.limit" or run == 0:
        place[key.split(".")[-1]] = value
    else:
        wanted["runs"][run]["where"] = {"limit": value}
    assert document(changed) == wanted
    assert comments(changed)[:1] == [" head"]
    kept = [line for line in PLAN.splitlines() if line in changed.splitlines()]
    assert len(PLAN.splitlines()) - len(kept) <= 1


def test_setting_what_is_there_changes_nothing() -> None:
    for fields in read_fields(PLAN):
        for key, value in fields.values.items():
            assert set_field(PLAN, fields.number, key, value) == PLAN


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_field_of_every_preset_can_be_changed_and_changed_back(path: Path) -> None:
    text = path.read_text("utf-8")
    others: dict[type, Any] = {
        str: "another",
        int: 7,
        float: 0.125,
        bool: "another",
        list: ["another", "one"],
        type(None): 7,
    }
    # The first run of each kind: the others are written alike.
    for fields in {one.kind: one for one in reversed(read_fields(text))}.values():
        for key, value in fields.values.items():
            if not is_shown(key):
                continue
            other = others[type(value)]
            changed = set_field(text, fields.number, key, other)
            assert values(changed, fields.number)[key] == other
            assert comments(changed) == comments(text)
            back = set_field(changed, fields.number, key, value)
            assert document(back) == document(text) or value is None
            assert comments(back) == comments(text)


def test_a_name_that_several_runs_share_can_change_in_all_of_them() -> None:
    changed = set_field(PLAN, 0, "model", "big", everywhere=True)
    assert [values(changed, n).get("model") for n in range(3)] == ["big", "big", None]
    assert values(changed, 2)["base"] == "big"
    assert comments(changed) == comments(PLAN)
    alone = set_field(PLAN, 0, "model", "big")
    assert [values(alone, 1)["model"], values(alone, 2)["base"]] == ["demo", "demo"]
    seeds = set_field(PLAN, 0, "chain.seed", 5, everywhere=True)
    assert values(seeds, 1)["chain.seed"] == 1
    sets = set_field(PLAN, 0, "prompts", "mine", everywhere=True)
    assert values(sets, 1)["prompts"] == "helpful"


def test_the_blanks_of_a_preset_are_filled_in_at_once() -> None:
    text = (RECIPES / "sl-cai-lora.yaml").read_text("utf-8")
    filled = set_field(text, 0, "model", "owner/name", everywhere=True)
    assert "MODEL-FOLDER-OR-HUB-ID" not in filled
    filled = set_field(set_field(filled, 0, "prompts", "redteam"), 1, "prompts", "helpful")
    faults = Faults("p.yaml")
    assert len(parse_plan(filled, "p.yaml", faults).runs) == 3
    assert comments(filled) == comments(text)


@pytest.mark.parametrize(
    "text",
    [
        "runs:\n  - name: a\n    kind: sft\n    base: |\n      two\n      lines\n",
        "runs:\n- kind: sft\n  base: 'it''s'\n  sources:\n  - run: x",
        "runs:\n- kind: sft\n  base:\n  sources: []\n",
        '{"runs": [{"kind": "sft", "base": "demo"}]}',
        "runs:\n- ? kind\n  : sft\n  base: demo\n",
        "runs:\n- kind: sft\n  base: plain text\n    over two lines\n  seed: 1 # last",
        "runs:\r\n- kind: sft\r\n  base: demo\r\n",
        "runs: [{kind: sft}]",
        "runs:\n- kind: sft\n  base: {a: 1}\n",
    ],
)
@pytest.mark.parametrize(("key", "value"), [("base", "new"), ("seed", 3), ("base", None)])
def test_odd_yaml_is_changed_too(text: str, key: str, value: Any) -> None:
    changed = set_field(text, 0, key, value)
    wanted = document(text)
    wanted["runs"][0].pop(key, None)
    if value is not None:
        wanted["runs"][0][key] = value
    assert document(changed) == wanted


@pytest.mark.parametrize("text", ["", "a: [", "runs: 5", "runs: []", "- a", "a: *b", *HOSTILE])
def test_a_text_that_is_no_plan_is_told(text: str) -> None:
    with pytest.raises(RecipeError, match="the plan: "):
        read_fields(text)
    with pytest.raises(RecipeError, match="the plan: "):
        set_field(text, 0, "prompts", "x")


def test_runs_that_are_none_have_no_fields() -> None:
    text = "runs: [5, {name: [], kind: {}}, {kind: sft, sources: 5}]"
    assert [(one.name, one.kind) for one in read_fields(text)] == [("", ""), ("", ""), ("", "sft")]
    with pytest.raises(RecipeError, match="no run number 4"):
        set_field(text, 3, "base", "x")


@pytest.mark.parametrize(
    "value", [1e-05, 3e-4, 0.001, 1.0, 5, True, "true", "1", "a: b", "é", "it's", "", "null", "1e5"]
)
def test_a_dumped_value_reads_back_as_itself(value: Any) -> None:
    for text in (f"k: {dump_value(value)}", f"k: {{k: {dump_value(value)}, b: 1}}"):
        read = document(text)["k"]
        read = read["k"] if isinstance(read, dict) else read
        assert (type(read), read) == (type(value), value)
        assert yaml.safe_load(text) == document(text)
