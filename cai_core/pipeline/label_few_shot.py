"""Few-shot examples for a feedback model, each shown under a principle of its own.

    chat     a JSON list of {conversation, preferred, other, reasoning}: rendered as turns
    paper    the official RLMadisonFewShotPrompts.json, or with chains of thought
             RLMadisonPrecogFewShotPrompts.json

Which principle an example gets, and which of its responses is shown first, is drawn by the run's
seed: the same for every comparison, so that a server's prefix cache reads the examples once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cai_core.constitution.draw import choose_principle
from cai_core.constitution.importers import load_json
from cai_core.errors import TemplateError
from cai_core.pipeline.prompt_file import parse_conversation
from cai_core.pipeline.recipe import TemplateName
from cai_core.prompts import chat, paper_labels
from cai_core.records import Conversation, Message, Principle, content_hash

PLAIN_FILE = "RLMadisonFewShotPrompts.json"
REASONED_FILE = "RLMadisonPrecogFewShotPrompts.json"

Documents = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFewShot:
    """Rendered examples: turns for `chat`, a text for `paper`; the other one is empty."""

    turns: Conversation = ()
    text: str = ""


NO_FEW_SHOT = LabelFewShot()


def load_label_few_shot(
    path: Path, *, template: TemplateName, reasoned: bool
) -> tuple[dict[str, Any], ...]:
    """The examples as they stand in a file, checked.

    Args:
        path: a JSON file; with `paper` also the folder of the official files, or the `prompts`
            folder in it.

    Raises:
        TemplateError: there is no such file, or an example lacks a part; it is named.
        ImportFormatError: it is no JSON.
    """
    if template == "paper" and path.is_dir():
        name = REASONED_FILE if reasoned else PLAIN_FILE
        found = [place for place in (path / name, path / "prompts" / name) if place.is_file()]
        if not found:
            raise TemplateError(
                f"{path}: no {name} here nor in its prompts folder. Give the folder of the "
                "paper's supplementary files."
            )
        path = found[0]
    document = load_json(path)
    if not isinstance(document, list) or not document:
        raise TemplateError(f"{path}: must be a list of examples, and not an empty one.")
    try:
        check_label_few_shot(document, template=template, reasoned=reasoned)
    except TemplateError as error:
        raise TemplateError(f"{path}: {error}") from error
    return tuple(document)


def check_label_few_shot(examples: Documents, *, template: TemplateName, reasoned: bool) -> None:
    """Raise TemplateError for an example that cannot be rendered."""
    for number, example in enumerate(examples, start=1):
        try:
            if template == "chat":
                _parse_chat(example, reasoned=reasoned)
            elif reasoned:
                _text(example["prompt"])
            else:
                _parse_plain(example)
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise TemplateError(
                f"example {number} cannot be read ({error}). {_SHAPES[template, reasoned]}"
            ) from error


def label_few_shot_hash(examples: Documents) -> str | None:
    """Hash of the examples; None without any."""
    return content_hash([dict(example) for example in examples]) if examples else None


def build_label_few_shot(
    examples: Documents,
    principles: Sequence[Principle],
    *,
    template: TemplateName,
    reasoned: bool,
    seed: int,
) -> LabelFewShot:
    """Render the examples, each under a principle that is drawn for it.

    Args:
        principles: those that the run's comparisons draw from.

    Raises:
        TemplateError: an example cannot be rendered.
    """
    if not examples:
        return NO_FEW_SHOT
    check_label_few_shot(examples, template=template, reasoned=reasoned)
    rng = random.Random(f"few-shot:{seed}")
    drawn = [(choose_principle(principles, rng), rng.random() < 0.5) for _ in examples]
    chosen = [principle for principle, _ in drawn]
    if template == "chat":
        turns = [
            turn
            for example, (principle, first) in zip(examples, drawn, strict=True)
            for turn in _render_chat(example, principle, first, reasoned=reasoned)
        ]
        return LabelFewShot(turns=tuple(turns))
    if reasoned:
        texts = [_text(example["prompt"]) for example in examples]
        return LabelFewShot(text=paper_labels.build_reasoned_few_shot(texts, chosen))
    plain = [_parse_plain(example) for example in examples]
    firsts = [first for _, first in drawn]
    return LabelFewShot(text=paper_labels.build_plain_few_shot(plain, chosen, firsts))


def _render_chat(
    example: Mapping[str, Any], principle: Principle, first: bool, *, reasoned: bool
) -> Conversation:
    conversation, preferred, other, reasoning = _parse_chat(example, reasoned=reasoned)
    responses = (preferred, other) if first else (other, preferred)
    asked = chat.build_comparison(conversation, *responses, principle, reasoned=reasoned)
    word = "A" if first else "B"
    named = reasoning.format(preferred=word, other="B" if first else "A")
    answer = f"{named}\nVerdict: {word}" if reasoned else word
    return (*asked, Message("assistant", answer))


def _parse_chat(
    example: Mapping[str, Any], *, reasoned: bool
) -> tuple[Conversation, str, str, str]:
    if unknown := sorted(example.keys() - {"conversation", "preferred", "other", "reasoning"}):
        raise ValueError(f"unknown keys {', '.join(unknown)}")
    reasoning = _text(example["reasoning"]) if reasoned else ""
    reasoning.format(preferred="A", other="B")
    conversation = parse_conversation(example["conversation"])
    return conversation, _text(example["preferred"]), _text(example["other"]), reasoning


def _parse_plain(example: Mapping[str, Any]) -> paper_labels.PlainExample:
    return paper_labels.PlainExample(
        transcript=_text(example["prompt"]),
        preferred=_text(example["corrects"][0]),
        other=_text(example["incorrects"][0]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{value!r:.40} is no text")
    return value


_CHAT = "Write conversation (a list of turns), preferred and other"
_SHAPES = {
    ("chat", False): f"{_CHAT}.",
    ("chat", True): f"{_CHAT}, and reasoning, in which {{preferred}} and {{other}} name the two.",
    ("paper", False): f"Give {PLAIN_FILE}, whose entries hold prompt, corrects and incorrects.",
    ("paper", True): f"Give {REASONED_FILE}, whose entries hold prompt.",
}
