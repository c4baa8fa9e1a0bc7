"""Coverage: tags and citations are kept apart, and holes are told with a prompt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cai_core.constitution import find_constitution, list_constitutions, load_constitution
from cai_core.constitution.coverage import CATEGORIES, compute_coverage, suggest_prompt
from cai_core.constitution.requests import build_principle
from cai_core.records import Constitution
from tests.constitution.strategies import constitutions

RED_TEAM = Path(__file__).resolve().parents[2] / "data/prompts/redteam.jsonl"
CONSTITUTION = Constitution(
    name="c",
    description="",
    principles=(
        build_principle("money", "Keep money safe.", ("Harm:Fraud", "manner")),
        build_principle("homes", "Keep homes safe.", ("property",)),
        replace(build_principle("off", "Off.", ("weapons",)), enabled=False),
    ),
)


def test_tags_name_categories_or_speak_of_them() -> None:
    found = compute_coverage(CONSTITUTION, ["fraud", "harm:theft", "weapons", "fraud"])
    assert found.categories == ("fraud", "theft", "weapons")
    assert found.principles == ("money", "homes")
    tagged = [[cell.tagged for cell in row] for row in found.cells]
    assert tagged == [[True, False, False], [False, True, False]]
    assert [(hole.category, hole.why) for hole in found.holes] == [("weapons", "no principle")]
    assert (found.count_tagged("fraud"), found.count_cited("fraud")) == (1, 0)


def test_citations_fill_holes_and_their_absence_shows_others() -> None:
    cited = {"money": {"harm:weapons": 2, "fraud": 0}, "gone": {"fraud": 9}}
    found = compute_coverage(CONSTITUTION, ["fraud", "theft", "weapons"], cited)
    assert [(hole.category, hole.why) for hole in found.holes] == [
        ("fraud", "never cited"),
        ("theft", "never cited"),
    ]
    assert found.count_cited("weapons") == 2
    assert found.cells[0][2].tagged is False


def test_general_principles_cover_by_no_name() -> None:
    general = build_principle("all", "Do no harm.", ("harm", "general"))
    both = replace(CONSTITUTION, principles=(*CONSTITUTION.principles, general))
    found = compute_coverage(both, ["weapons", "fraud"])
    assert found.general == ("all",)
    assert [(hole.category, hole.why) for hole in found.holes] == [("weapons", "general only")]


def test_holes_without_any_principle_come_first() -> None:
    cited = {"money": {"theft": 1}}
    found = compute_coverage(CONSTITUTION, ["fraud", "weapons", "theft"], cited)
    assert [hole.why for hole in found.holes] == ["no principle", "never cited"]


def test_every_category_has_a_prompt_of_its_own() -> None:
    prompts = [suggest_prompt(category) for category in CATEGORIES]
    assert len(set(prompts)) == len(CATEGORIES)
    assert suggest_prompt("harm:Weapons") == suggest_prompt("weapons")
    assert "card tricks" in suggest_prompt("card tricks")


def test_the_shipped_red_team_prompts_use_these_categories() -> None:
    used = {
        tag.removeprefix("harm:")
        for line in RED_TEAM.read_text(encoding="utf-8").splitlines()
        for tag in json.loads(line)["tags"]
        if tag.startswith("harm:")
    }
    assert used <= set(CATEGORIES)
    # Nothing that is only held out of training is given away: a prompt here is none of those.
    lines = RED_TEAM.read_text(encoding="utf-8")
    assert not any(json.dumps(suggest_prompt(c)) in lines for c in CATEGORIES)


def test_shipped_constitutions_say_what_they_are_about() -> None:
    holes = {
        summary.name: len(compute_coverage(load_constitution(summary.path)).holes)
        for summary in list_constitutions()
    }
    assert len(holes) == 8
    fields = ("finance", "legal", "education-children", "customer-support")
    assert all(holes[name] < len(CATEGORIES) - 4 for name in fields), holes
    harmlessness = compute_coverage(find_constitution("harmlessness"))
    assert {hole.why for hole in harmlessness.holes} == {"general only"}


@settings(deadline=None)
@given(constitutions, st.lists(st.text(max_size=12), max_size=5))
def test_any_category_and_tag_will_do(constitution: Constitution, names: list[str]) -> None:
    found = compute_coverage(constitution, names, {constitution.principles[0].id: {"x": 1}})
    assert len(found.cells) == len(found.principles)
    assert all(len(row) == len(found.categories) for row in found.cells)
    assert {hole.category for hole in found.holes} <= set(found.categories)
