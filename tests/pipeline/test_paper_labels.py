"""The paper's prompts for labels, byte for byte against the official files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cai_core.constitution.importers import load_json, load_official_constitution
from cai_core.errors import TemplateError
from cai_core.pipeline.label_few_shot import (
    build_label_few_shot,
    label_few_shot_hash,
    load_label_few_shot,
)
from cai_core.prompts import paper_labels
from cai_core.prompts.paper import parse_transcript
from cai_core.records import Message, Principle, Verdict
from tests.official import official_file

HHH = "evals/438HHHEvaluations.first120.jsonl"
INSTRUCTIONS = "prompts/RLMadisonInstructions.json"


def official_principles() -> tuple[Principle, ...]:
    path = official_file("prompts/CritiqueRevisionInstructions.json")
    return load_official_constitution(path, official_file(INSTRUCTIONS)).principles


def test_plain_prompts_are_the_official_multiple_choice_prompts() -> None:
    lines = official_file(HHH).read_text("utf-8").splitlines()
    principle = next(
        p for p in official_principles() if "most helpful, honest, and" in p.comparison_request
    )
    for line in lines:
        case = json.loads(line)
        correct, incorrect = (
            parse_transcript(case[name]) for name in ("text_correct", "text_incorrect")
        )
        answers = [correct[-1].content, incorrect[-1].content]
        if case["corrects"] == [paper_labels.OPTIONS[1]]:
            answers.reverse()
        told = paper_labels.build_comparison(correct[:-1], *answers, principle)
        assert told == case["prompt"]
        assert {case["corrects"][0], case["incorrects"][0]} == set(paper_labels.OPTIONS)


def test_each_instruction_stands_in_its_prompt_as_it_stands_in_the_file() -> None:
    texts: Any = load_json(official_file(INSTRUCTIONS))
    conversation = (Message("user", "Hi."), Message("assistant", "Ho."), Message("user", "Hu?"))
    for text, principle in zip(texts, official_principles(), strict=True):
        plain = paper_labels.build_comparison(conversation, "x", "y", principle)
        assert plain == (
            "\n\nConsider the following conversation between a human and an assistant:"
            f"\n\nHuman: Hi.\n\nAssistant: Ho.\n\nHuman: Hu?\n\n{text}"
            "\n (A) [[[x]]]\n (B) [[[y]]]\n\nThe answer is:"
        )
        thought = paper_labels.build_thought(conversation, "x", "y", principle)
        assert thought == (
            "\n\nHuman: Consider the following conversation between a human (H) and an assistant "
            f"(A):\n\nH: Hi.\n\nA: Ho.\n\nH: Hu?\n\n{text}\n (A) [[[x]]]\n (B) [[[y]]]"
            "\n\nAssistant: Let's think step by step:"
        )


def test_reasoned_examples_are_the_official_ones_each_under_its_own_principle() -> None:
    path = official_file("prompts/RLMadisonPrecogFewShotPrompts.json")
    examples = load_label_few_shot(path.parent, template="paper", reasoned=True)
    principles = official_principles()
    told = build_label_few_shot(examples, principles, template="paper", reasoned=True, seed=4).text
    texts: Any = load_json(official_file(INSTRUCTIONS))
    used = []
    for example in examples:
        before, after = example["prompt"].strip().split("{}")
        found = [text for text in texts if f"{before}{text}{after}" in told]
        assert len(found) == 1
        used += found
    assert len(set(used)) > 1
    assert told.count("So the answer is:") == len(examples) == 6
    assert told.startswith("\n\nHuman:") and told.endswith(")")
    # Each begins as a turn does, whatever newlines the file has.
    assert told.count("\n\nHuman: Consider") == 6
    again = build_label_few_shot(examples, principles, template="paper", reasoned=True, seed=4)
    other = build_label_few_shot(examples, principles, template="paper", reasoned=True, seed=5)
    assert again.text == told != other.text
    # An official example is what our own frame would make of it.
    sixth = examples[5]["prompt"]
    question = (
        "Please write an outline for an essay on the fall of the Roman Empire. Number each section."
    )
    responses = [part.split("]]]")[0] for part in sixth.split("[[[")[1:]]
    rendered = paper_labels.build_thought(
        (Message("user", question),), responses[0], responses[1], principles[0]
    )
    frame = sixth.replace("{}", f"\n{principles[0].comparison_request} Options:")
    assert frame.startswith(rendered)


def test_plain_examples_are_answered_in_the_same_frame() -> None:
    folder = official_file("prompts/RLMadisonFewShotPrompts.json").parents[1]
    examples = load_label_few_shot(folder, template="paper", reasoned=False)
    principles = official_principles()
    told = build_label_few_shot(examples, principles, template="paper", reasoned=False, seed=1).text
    parts = told.split("\n\nConsider the following")[1:]
    assert len(parts) == len(examples) == 5
    letters = set()
    for part, example in zip(parts, examples, strict=True):
        letter = part[-2]
        letters.add(letter)
        assert part.endswith(f"\n\nThe answer is: ({letter})")
        assert f" ({letter}) [[[{example['corrects'][0]}]]]" in part
        human = example["prompt"].removesuffix("\n\nAssistant:")
        assert f"assistant:{human}\n\n\n" in part
    assert letters == {"A", "B"}
    asked = paper_labels.build_comparison((Message("user", "How?"),), "x", "y", principles[0], told)
    assert asked.startswith(told)
    assert label_few_shot_hash(examples) != label_few_shot_hash(examples[:-1])


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"no RLMadisonFewShotPrompts.json here"):
        load_label_few_shot(tmp_path, template="paper", reasoned=False)
    path = tmp_path / "examples.json"
    path.write_text('[{"prompt": "x", "corrects": []}]')
    with pytest.raises(TemplateError, match=r"examples.json: example 1 cannot be read"):
        load_label_few_shot(path, template="paper", reasoned=False)
    path.write_text("[]")
    with pytest.raises(TemplateError, match="not an empty one"):
        load_label_few_shot(path, template="chat", reasoned=False)


def test_chat_examples_are_turns_and_their_reasoning_names_the_places(tmp_path: Path) -> None:
    example = {
        "conversation": [{"role": "user", "content": "How?"}],
        "preferred": "No.",
        "other": "So.",
        "reasoning": "{preferred} declines, {other} helps.",
    }
    path = tmp_path / "examples.json"
    path.write_text(json.dumps([example] * 6))
    examples = load_label_few_shot(path, template="chat", reasoned=True)
    principles = [
        Principle(
            id=f"p{n}",
            text="",
            critique_request="",
            revision_request="",
            comparison_request=f"c{n}",
        )
        for n in range(4)
    ]
    turns = build_label_few_shot(examples, principles, template="chat", reasoned=True, seed=0).turns
    assert [turn.role for turn in turns] == ["user", "assistant"] * 6
    for asked, answer in zip(turns[::2], turns[1::2], strict=True):
        letter = answer.content[-1]
        assert f"Response {letter}:\nNo." in asked.content
        assert answer.content.startswith(f"{letter} declines, ")
    assert len({next(n for n in range(4) if f"c{n}" in turn.content) for turn in turns[::2]}) > 1
    path.write_text(json.dumps([{**example, "reasoning": "{who}"}]))
    with pytest.raises(TemplateError, match="example 1 cannot be read"):
        load_label_few_shot(path, template="chat", reasoned=True)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (" (A)", Verdict.A),
        ("(B) because", Verdict.B),
        ("A", Verdict.UNPARSED),
        ("", Verdict.UNPARSED),
    ],
)
def test_a_written_option(text: str, verdict: Verdict) -> None:
    assert paper_labels.parse_option(text) is verdict
