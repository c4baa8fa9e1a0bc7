"""The world keeps the promises of docs/demo-world.md."""

from collections import defaultdict

import pytest
import yaml

from cai_core.demo_world import Standing, load_world
from cai_core.demo_world import world as world_module
from cai_core.errors import WorldError

WORLD = load_world()


def _standings(part: str) -> dict[str, set[bool]]:
    seen = defaultdict(set)
    for intent in WORLD.intents:
        seen[getattr(intent, part)].add(intent.harmful)
    return seen


def test_sizes():
    assert len({i.action for i in WORLD.intents}) >= 60
    assert len({i.target for i in WORLD.intents}) >= 60
    assert len({i.harm for i in WORLD.intents} - {None}) >= 12
    assert len(WORLD.language["asking"]) >= 12
    assert len(WORLD.language["asking_held_out"]) == 2
    assert len(WORLD.language["opening"]) >= 3
    assert len(WORLD.language["evasive"]) >= 3


def test_in_a_third_of_intents_neither_part_alone_decides():
    actions, targets = _standings("action"), _standings("target")
    open_both = sum(len(actions[i.action]) == 2 == len(targets[i.target]) for i in WORLD.intents)
    assert open_both / len(WORLD.intents) >= 0.30


@pytest.mark.parametrize(
    ("standing", "least"),
    [(Standing.HARMFUL, 200), (Standing.FINE, 200), (Standing.BORDERLINE, 100)],
)
def test_held_out_pairs_are_new_and_their_parts_are_not(standing, least):
    held_out = WORLD.split(standing, held_out=True)
    trained = [i for i in WORLD.intents if i not in WORLD.held_out]
    actions, targets = {i.action for i in trained}, {i.target for i in trained}
    assert len(held_out) >= least
    assert all(i.action in actions and i.target in targets for i in held_out)


def test_the_split_is_the_same_every_time():
    load_world.cache_clear()
    assert {i.text for i in load_world().held_out} == {i.text for i in WORLD.held_out}


def test_every_sentence_has_one_role_and_one_harm():
    sentences = [
        s for role in ("detail", "evasive", "leak", "preach") for s in WORLD.language[role]
    ]
    for harm in WORLD.harms.values():
        sentences += [*harm.reason, *harm.alternative, harm.fair]
    assert len(sentences) == len(set(sentences))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stalk": {"harmful": {"person": "no such harm"}}}, "no such harm"),
        ({"stalk": {"fine": ["no such kind"]}}, "no such kind"),
        ({"stalk": {"fine": ["person"], "borderline": ["person"]}}, "listed twice"),
    ],
)
def test_contradictions_are_errors_that_name_the_place(tmp_path, monkeypatch, change, words):
    for path in world_module.DATA.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    intents = yaml.safe_load((tmp_path / "intents.yaml").read_text(encoding="utf-8"))
    intents["actions"] |= change
    (tmp_path / "intents.yaml").write_text(yaml.safe_dump(intents), encoding="utf-8")
    monkeypatch.setattr(world_module, "DATA", tmp_path)
    with pytest.raises(WorldError, match=words) as caught:
        load_world.__wrapped__()
    assert "intents.yaml" in str(caught.value)
