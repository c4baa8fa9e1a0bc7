"""The paper's prompts for preference labels, as plain text (arXiv 2212.08073, section 4.1).

Plain, the frame of the official multiple-choice files; examples come before it, answered:

    \\n\\nConsider the following conversation between a human and an assistant:
    \\n\\nHuman: …\\n\\n\\n<principle> Options:\\n (A) [[[…]]]\\n (B) [[[…]]]\\n\\nThe answer is:

With a chain of thought, the frame of RLMadisonPrecogFewShotPrompts.json:

    \\n\\nHuman: Consider the following conversation between a human (H) and an assistant (A):
    \\n\\nH: …\\n\\n\\n<principle> Options:\\n (A) [[[…]]]\\n (B) [[[…]]]
    \\n\\nAssistant: Let's think step by step: <thought>\\n\\nHuman:\\nSo the answer is:
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cai_core.constitution.markers import ASSISTANT, HUMAN
from cai_core.errors import TemplateError
from cai_core.prompts.paper import render_transcript
from cai_core.records import Conversation, Principle, Verdict

TEMPLATE_VERSION = "paper-labels/1"
# What a scored answer is one of: there is no word for ties.
OPTIONS = (" (A)", " (B)")
# Ends a chain of thought; the verdict is asked for in a turn of its own.
STOP: tuple[str, ...] = (HUMAN,)

_PLAIN = "\n\nConsider the following conversation between a human and an assistant:"
_REASONED = "Consider the following conversation between a human (H) and an assistant (A):"
_ANSWER = "\n\nThe answer is:"
_THINK = f"{ASSISTANT} Let's think step by step:"
_CONCLUDE = f"{HUMAN}\nSo the answer is:"
_LETTERS = {"user": "H", "assistant": "A"}
_OPTION = re.compile(r"\(([AB])\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainExample:
    """A labelled comparison to show first: a transcript that ends in a human turn."""

    transcript: str
    preferred: str
    other: str


def build_comparison(
    conversation: Conversation,
    response_a: str,
    response_b: str,
    principle: Principle,
    few_shot: str = "",
) -> str:
    """The prompt that ` (A)` or ` (B)` goes on with.

    Raises:
        TemplateError: the conversation cannot be written as a transcript, or the principle has
            no comparison_request.
    """
    asked = _build_question(render_transcript(conversation), response_a, response_b, principle)
    return few_shot + asked


def build_thought(
    conversation: Conversation,
    response_a: str,
    response_b: str,
    principle: Principle,
    few_shot: str = "",
) -> str:
    """The prompt that a chain of thought goes on with.

    Raises:
        TemplateError: as `build_comparison`.
    """
    render_transcript(conversation)  # for its checks: these turns could not be told apart either
    turns = "".join(f"\n\n{_LETTERS[turn.role]}: {turn.content}" for turn in conversation)
    options = _build_options(response_a, response_b)
    return f"{few_shot}{HUMAN} {_REASONED}{turns}\n\n{_request(principle)}{options}{_THINK}"


def build_conclusion(thought: str) -> str:
    """What follows `build_thought`'s prompt, so that ` (A)` or ` (B)` goes on with it."""
    return f" {thought.strip()}{_CONCLUDE}"


def build_plain_few_shot(
    examples: Sequence[PlainExample], principles: Sequence[Principle], a_first: Sequence[bool]
) -> str:
    """Answered examples, each under a principle of its own.

    Args:
        principles, a_first: one for each example; whether its preferred response is A.
    """
    told = []
    for example, principle, first in zip(examples, principles, a_first, strict=True):
        pair = (example.preferred, example.other)
        responses = pair if first else pair[::-1]
        transcript = "\n\n" + example.transcript.strip().removesuffix(ASSISTANT.strip()).rstrip()
        answer = OPTIONS[0] if first else OPTIONS[1]
        told.append(_build_question(transcript, *responses, principle) + answer)
    return "".join(told)


def build_reasoned_few_shot(examples: Sequence[str], principles: Sequence[Principle]) -> str:
    """Official examples with `{}` in the principle's place, each under one of its own.

    Raises:
        TemplateError: an example has no `{}`, or no answer at its end.
    """
    told = []
    for number, (text, principle) in enumerate(zip(examples, principles, strict=True), start=1):
        if text.count("{}") != 1 or not text.rstrip().endswith(tuple(o.strip() for o in OPTIONS)):
            raise TemplateError(
                f"example {number} must hold {{}} once, where its principle goes, and end in "
                "'So the answer is: (A)' or (B). Fetch the file again."
            )
        # Leading newlines differ in the official file.
        told.append("\n\n" + text.strip().replace("{}", _request(principle)))
    return "".join(told)


def parse_option(text: str) -> Verdict:
    """Read a generated answer that begins with (A) or (B); anything else is UNPARSED."""
    found = _OPTION.match(text.strip())
    return Verdict(found[1]) if found else Verdict.UNPARSED


def _build_question(transcript: str, a: str, b: str, principle: Principle) -> str:
    options = _build_options(a, b)
    return f"{_PLAIN}{transcript}\n\n{_request(principle)}{options}{_ANSWER}"


def _build_options(response_a: str, response_b: str) -> str:
    return f"\n (A) [[[{response_a}]]]\n (B) [[[{response_b}]]]"


def _request(principle: Principle) -> str:
    """The comparison request in the frame of RLMadisonInstructions.json."""
    if not principle.comparison_request.strip():
        raise TemplateError(f"principle {principle.id!r} has no comparison_request. Add one.")
    return f"\n{principle.comparison_request} Options:"
