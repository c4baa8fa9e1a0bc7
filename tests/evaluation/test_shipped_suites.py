"""The shipped suites: enough of each, nothing twice, and a card that is true."""

import re
from collections import Counter

import pytest

from cai_core.evaluation.near_duplicates import compute_near, find_alike
from cai_core.evaluation.suite_file import dump_suite, list_shipped, load_shipped
from cai_core.evaluation.suites import SHIPPED, SuiteKind
from cai_core.evaluation.text_measures import compute_distinct
from cai_core.pipeline.prompt_file import load_prompts
from cai_core.pipeline.prompt_sets import SHIPPED as PROMPTS

LEAST = {"harmful": 200, "fine": 200, "borderline": 200, "sycophancy": 80, "multi-turn": 40}
SUITES = {name: load_shipped(name) for name in LEAST}
CARD = (SHIPPED / "README.md").read_text("utf-8")
every_suite = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)


def test_there_are_these_and_no_others():
    assert set(list_shipped()) == set(LEAST)


@every_suite
def test_size_kind_and_lengths(suite):
    assert len(suite.prompts) >= LEAST[suite.name] and suite.held_out
    assert suite.count_kinds() == {SuiteKind(suite.name): len(suite.prompts)}
    for prompt in suite.prompts:
        assert prompt.id.startswith(f"{suite.name}-")
        for turn in prompt.turns:
            assert 3 <= len(turn) <= 240 and turn == turn.strip(), prompt.id
            assert turn.isprintable(), prompt.id


@pytest.mark.parametrize("name", ["harmful", "fine", "borderline"])
def test_each_category_has_its_share_in_all_three(name):
    counts = SUITES[name].count_categories()
    assert set(counts) == set(SUITES["harmful"].count_categories())
    assert len(counts) >= 15 and min(counts.values()) >= 12


def test_dialogues_press_in_many_ways_over_two_to_four_turns():
    suite = SUITES["multi-turn"]
    assert set(suite.count_categories()) == set(SUITES["harmful"].count_categories())
    assert {len(prompt.turns) for prompt in suite.prompts} <= {2, 3, 4}
    pressures = Counter(tag for prompt in suite.prompts for tag in prompt.tags)
    assert len(pressures) >= 10 and max(pressures.values()) <= 10


def test_sycophancy_comes_in_pairs_with_the_right_answer():
    pairs = {}
    for prompt in SUITES["sycophancy"].prompts:
        pairs.setdefault(prompt.intent, {})[prompt.form] = prompt
    assert len(pairs) >= 40
    for pair in pairs.values():
        neutral, pressed = pair["neutral"], pair["pressed"]
        assert neutral.reference and neutral.reference == pressed.reference
        assert len(neutral.turns) == 1 and neutral.text != pressed.text
        # The question does not give the answer away.
        answer = re.split(r"[,.;]", neutral.reference)[0].lower()
        choice = answer in ("yes", "no") or " or " in neutral.text
        assert choice or answer not in neutral.text.lower(), neutral.id


@every_suite
def test_no_two_prompts_are_nearly_the_same(suite):
    prompts = [prompt for prompt in suite.prompts if prompt.form != "pressed"]
    assert find_alike([prompt.text for prompt in prompts], least=80) == []


def test_none_stands_in_two_suites():
    prompts = [prompt for suite in SUITES.values() for prompt in suite.prompts]
    alike = find_alike([prompt.text for prompt in prompts])
    assert all(prompts[one].intent == prompts[two].intent for one, two, _ in alike)
    ids = [prompt.id for prompt in prompts]
    assert len(set(ids)) == len(ids)


@every_suite
def test_wording_is_not_filled_into_a_template(suite):
    turns = [turn for prompt in suite.prompts for turn in prompt.turns if prompt.form != "neutral"]
    assert compute_distinct(turns, 3) > 0.85
    openings = Counter(" ".join(turn.split()[:3]).lower() for turn in turns)
    assert max(openings.values()) <= 0.2 * len(turns)


@every_suite
def test_they_are_new_to_what_the_demo_world_trains_on(suite):
    training = [p for path in PROMPTS.glob("*.jsonl") for p in load_prompts(path).prompts]
    assert len(training) > 2000
    assert compute_near(suite.prompts, training) == ()


@every_suite
def test_the_file_is_as_it_would_be_written(suite):
    assert (SHIPPED / f"{suite.name}.jsonl").read_text("utf-8") == dump_suite(suite)


def test_prompts_name_no_amounts_addresses_or_links():
    for name in ("harmful", "multi-turn"):
        for prompt in SUITES[name].prompts:
            assert not re.search(
                r"https?:|www\.|@\w|\d\s*(?:mg|g|ml|kg|grams?|°)\b", prompt.text, re.IGNORECASE
            ), prompt.id


@every_suite
def test_the_card_tells_the_truth(suite):
    intents = len({prompt.intent for prompt in suite.prompts})
    cells = (f"`{suite.name}`", suite.version, len(suite.prompts), intents, f"`{suite.hash[:12]}`")
    assert f"| {' | '.join(map(str, cells))} |" in CARD
    if suite.name == "sycophancy":
        counts = {name: count // 2 for name, count in suite.count_categories().items()}
        assert all(f"| {name} | {count} |" in CARD for name, count in counts.items())
        return
    columns = ["harmful", "fine", "borderline", "multi-turn"]
    for category, count in suite.count_categories().items():
        row = re.search(rf"^\| {category} \|(.*)\|$", CARD, re.MULTILINE)
        assert row and int(row[1].split("|")[columns.index(suite.name)]) == count
