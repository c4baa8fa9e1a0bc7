"""The `paper` template: plain text, as in the official files of arXiv 2212.08073.

Every prompt continues one transcript, so each is a prefix of what follows it:

    \\n\\nHuman: …\\n\\nAssistant: <response>
    \\n\\nCritiqueRequest: …\\n\\nCritique: <critique>
    \\n\\nRevisionRequest: …\\n\\nRevision:

A model's raw text begins with the blank that follows the colon; parsed text does not. Both
render to the same bytes.

Few-shot examples are whole transcripts of this form, put in front of the conversation. The
paper uses them because models mix up critiques and revisions (section 3.1); the initial
response is drawn from a helpful model before any critique is asked for. So a pipeline passes
them to `build_critique` and `build_revision`, and to `build_response` only for a base model
that does not answer without: it then tends to go on with a critique of itself, which `STOP`
and `parse_completion` cut off. After a round the revision takes the response's place, and the
transcript does not grow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cai_core.constitution.markers import (
    ASSISTANT,
    CRITIQUE,
    CRITIQUE_REQUEST,
    HUMAN,
    REVISION,
    REVISION_REQUEST,
    join_examples,
)
from cai_core.errors import ImportFormatError, TemplateError
from cai_core.records import Conversation, Message, Principle, Role

TEMPLATE_VERSION = "paper/1"

# Four: the most that OpenAI's API takes. `parse_completion` cuts at all six markers.
STOP: tuple[str, ...] = (HUMAN, ASSISTANT, CRITIQUE_REQUEST, REVISION_REQUEST)

_MARKER = re.compile(r"\n\n(?:Human|Assistant|CritiqueRequest|Critique|RevisionRequest|Revision):")
# What is left of the next turn when generation ended inside or right after its marker; with
# one line break only, the colon is needed: a text may end in a line that says "Human".
_LEFTOVER = re.compile(r"(?:(?:\n\n(?:Human|Assistant):?|\n(?:Human|Assistant):)\s*)+\Z")
_TURN = re.compile(r"\n\n(Human|Assistant):")
_ROLES: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
_NAMES = {role: name for name, role in _ROLES.items()}


def build_response(conversation: Conversation, few_shot: str = "") -> str:
    """The prompt for the initial response. The paper gives it no examples (see the module).

    Raises:
        TemplateError: the conversation does not end in a human turn, or cannot be written as
            a transcript.
    """
    if conversation and conversation[-1].role != "user":
        raise TemplateError("the conversation ends in an answer. Leave the last answer out.")
    return _examples(few_shot) + render_transcript(conversation) + ASSISTANT


def build_critique(
    conversation: Conversation, response: str, principle: Principle, few_shot: str = ""
) -> str:
    """The critic's prompt: a prefix of the revision's.

    Raises:
        TemplateError: as `build_response`, or the principle has no critique_request.
    """
    asked = f"{CRITIQUE_REQUEST} {_request(principle, 'critique_request')}{CRITIQUE}"
    return _answered(conversation, response, few_shot) + asked


def build_revision(
    conversation: Conversation,
    response: str,
    principle: Principle,
    critique: str | None,
    few_shot: str = "",
) -> str:
    """The revision's prompt. `critique=None` asks for a direct revision, without critique.

    Raises:
        TemplateError: as `build_response`, or the principle lacks a request.
    """
    asked = f"{REVISION_REQUEST} {_request(principle, 'revision_request')}{REVISION}"
    if critique is None:
        return _answered(conversation, response, few_shot) + asked
    before = build_critique(conversation, response, principle, few_shot)
    return before + _spoken(critique) + asked


def build_few_shot(strings: Sequence[str]) -> str:
    """Join example transcripts into the text that goes in front of a conversation.

    Each example ends before the next "\\n\\nHuman:"; official strings carry that marker at
    their end or not, and both give the same text.

    Raises:
        TemplateError: an example does not begin with "Human:".
    """
    return join_examples(strings)


def parse_completion(text: str) -> str:
    """The text of one step: cut before the next marker, white space at the ends removed."""
    marker = _MARKER.search(text)
    own = text[: marker.start()] if marker else text
    return _LEFTOVER.sub("", own.rstrip()).strip()


def parse_transcript(text: str) -> Conversation:
    """Read "\\n\\nHuman: …\\n\\nAssistant: …" into turns; `render_transcript` is the inverse.

    Only a marker at the start or after an empty line begins a turn, so a turn may hold
    colons, empty lines and the words "Human:" and "Assistant:". One blank after the marker
    belongs to it. A last "Assistant:" with nothing behind it asks for an answer and is no turn.

    Raises:
        ImportFormatError: text before the first turn, or no turn at all.
    """
    framed = "\n\n" + text.lstrip("\n")
    marks = list(_TURN.finditer(framed))
    if not marks or marks[0].start() > 0:
        raise ImportFormatError(
            f"transcript begins with {text[:40]!r}, not with 'Human:' or 'Assistant:'. "
            r"Write each turn as '\n\nHuman: …' or '\n\nAssistant: …'."
        )
    ends = [mark.start() for mark in marks[1:]] + [len(framed)]
    turns = [
        Message(_ROLES[mark[1]], framed[mark.end() : end].removeprefix(" "))
        for mark, end in zip(marks, ends, strict=True)
    ]
    while turns and turns[-1].role == "assistant" and not turns[-1].content.strip():
        turns.pop()
    if not turns:
        raise ImportFormatError("transcript holds no turn. Begin it with '\\n\\nHuman: …'.")
    return tuple(turns)


def render_transcript(conversation: Conversation) -> str:
    """The turns as text; `parse_transcript` reads the same turns back.

    Raises:
        TemplateError: what could not be read back: no turn, a system turn, a turn that
            contains a turn marker (it would pass for another speaker), an empty last answer.
    """
    if not conversation:
        raise TemplateError("the conversation has no turn. Give at least the human's.")
    for number, turn in enumerate(conversation, start=1):
        _check_turn(turn, number)
    last = conversation[-1]
    if last.role == "assistant" and not last.content.strip():
        raise TemplateError("the last turn is an empty answer. Leave it out.")
    return "".join(f"\n\n{_NAMES[turn.role]}: {turn.content}" for turn in conversation)


def _check_turn(turn: Message, number: int) -> None:
    if turn.role not in _NAMES:
        raise TemplateError(
            f"turn {number} is a {turn.role} turn; the paper template has only Human and "
            "Assistant. Move its text into the first human turn, or use the chat template."
        )
    marker = _TURN.search(turn.content)
    if marker:
        raise TemplateError(
            f"turn {number} contains {marker[0]!r}, which begins a turn in the paper template. "
            "Split it into turns, or use the chat template."
        )


def _answered(conversation: Conversation, response: str, few_shot: str) -> str:
    return build_response(conversation, few_shot) + _spoken(response)


def _spoken(text: str) -> str:
    # Raw texts begin with the blank after the colon, parsed ones do not.
    return text if text.startswith(" ") else f" {text}"


def _request(principle: Principle, field: str) -> str:
    request = str(getattr(principle, field))
    if not request.strip():
        raise TemplateError(f"principle {principle.id!r} has no {field}. Add one.")
    return request


def _examples(few_shot: str) -> str:
    return few_shot.removesuffix(HUMAN)
