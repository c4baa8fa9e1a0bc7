"""Rubrics: strict files, hashes of what is asked, and phrases that read the world's critiques."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from cai_core.demo_world import grammar, load_oracle
from cai_core.demo_world.principles import read_principle
from cai_core.errors import RecipeError
from cai_core.evaluation.measures import ASKED, get_measure
from cai_core.evaluation.suites import SuiteKind
from cai_core.jobs.evaluate_truth import read_truth
from cai_core.pipeline.judge_rubric import (
    dump_rubric,
    find_rubric,
    list_shipped_rubrics,
    load_rubric,
    parse_rubric,
)
from cai_core.pipeline.judge_template import parse_judgement, read_measure


def plain(**changes: Any) -> dict[str, Any]:
    question = {
        "id": "harm",
        "kinds": ["harmful"],
        "critique_request": "Does it help with harm?",
        "measures": {"harmful compliance": "found"},
    }
    return {
        "format": 1,
        "name": "mine",
        "template": "verdict",
        "questions": [question],
        "ratings": [],
        **changes,
    }


@pytest.mark.parametrize("name", list_shipped_rubrics())
def test_shipped_ones_come_back_as_they_are(name: str, tmp_path: Path) -> None:
    rubric = find_rubric(name)
    (tmp_path / "mine.yaml").write_text(dump_rubric(rubric), "utf-8")
    again = load_rubric(tmp_path / "mine.yaml")
    assert again == rubric
    assert again.hash == rubric.hash


def test_the_general_one_asks_for_every_measure_of_its_kinds() -> None:
    rubric = find_rubric("general")
    for name in ASKED:
        for kind in get_measure(name).kinds:
            told = [q for q in rubric.list_questions(kind) if name in q.measures]
            assert len(told) == 1, (name, kind)


def test_the_hash_is_of_what_is_asked() -> None:
    rubric = parse_rubric(plain())
    assert parse_rubric(plain(name="other", description="x")).hash == rubric.hash
    assert parse_rubric(plain(template="critique")).hash != rubric.hash


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("text", "holds no mapping"),
        (plain(extra=1), "unknown keys extra"),
        (plain(format=2), "format is 2"),
        (plain(template="chat"), "template is 'chat'"),
        (plain(questions=[]), "Give one at least"),
        (plain(questions=plain()["questions"] * 2), "each its own"),
        (plain(questions=[{**plain()["questions"][0], "kinds": ["evil"]}]), "kinds is"),
        (
            plain(questions=[{**plain()["questions"][0], "measures": {"charm": "found"}}]),
            "measure is 'charm'",
        ),
        (
            plain(questions=[{**plain()["questions"][0], "measures": {"leak": "yes"}}]),
            "leak is told by 'yes'",
        ),
        (
            plain(questions=[{**plain()["questions"][0], "measures": {"answered": "found"}}]),
            "answered is not a question of harmful",
        ),
        (plain(questions=[{**plain()["questions"][0], "critique_request": " "}]), "what is asked"),
        (
            plain(ratings=[{"measure": "leak", "kinds": ["harmful"], "request": "?"}]),
            "Use one of harmfulness, helpfulness",
        ),
    ],
)
def test_what_is_wrong_is_said(document: Any, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        parse_rubric(document)


def test_a_file_says_where(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(plain(format=0)))
    with pytest.raises(RecipeError, match=r"r\.yaml: format is 0"):
        find_rubric(str(tmp_path / "r.yaml"))
    with pytest.raises(RecipeError, match="There is: demo-world, general"):
        find_rubric("nothing")


def test_true_critiques_tell_what_the_oracle_says() -> None:
    """Drawn replies, criticised by the world's own grammar, read by the rubric's phrases."""
    oracle, rubric, rng = load_oracle(), find_rubric("demo-world"), random.Random(3)
    seen: dict[tuple[str, bool], int] = {}
    for number in range(600):
        intent = rng.choice(oracle.world.intents)
        prompt = grammar.draw_prompt(oracle.world, intent, rng, held_out=True)
        reply = grammar.draw_reply(oracle.world, intent, rng)
        kind = SuiteKind.HARMFUL if intent.harmful else SuiteKind.FINE
        truth = read_truth(kind, prompt, reply.text)
        assert truth is not None and truth.inside
        told: dict[str, list[bool | None]] = {}
        for question in rubric.list_questions(kind):
            request = read_principle(oracle.world, question.build_principle())
            assert request is not None, question.id
            finding = grammar.expected_finding(oracle.world, request, reply, intent)
            text = grammar.draw_critique(oracle.world, finding, intent, rng)
            found = parse_judgement("critique", text, "stop")
            for measure, tells in question.measures.items():
                told.setdefault(measure, []).append(read_measure(found, text, tells))
        for measure, shown in told.items():
            assert None not in shown
            says, true = all(shown), truth.shown[measure]
            if measure == "evasive" and says and not true:
                # The critic is not asked about the fair part, and a leak says enough.
                assert reply.fair or reply.leak, reply
            else:
                assert says is true, (number, measure, reply.text)
            seen[measure, true] = seen.get((measure, true), 0) + 1
    assert {name for name, _ in seen} == {
        "harmful compliance",
        "leak",
        "refusal",
        "evasive",
        "cites principle",
        "over-refusal",
    }
    assert min(seen.values()) >= 20, seen
