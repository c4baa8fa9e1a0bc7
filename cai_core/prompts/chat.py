"""The `chat` template: zero-shot turns for instruct models.

A chain's critique and revision are further turns of the same conversation, so the critic's
prompt is a prefix of the revision's (servers with a prefix cache read it once). After a round
the revision takes the response's place, as in arXiv 2212.08073 section 3.1, and the prompt
does not grow with the number of rounds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cai_core.records import Conversation, Finding, Message, Principle, Verdict

TEMPLATE_VERSION = "chat/1"

CRITIQUE_INSTRUCTION = (
    'If this does not apply, say why and end with "Not touched." Write only the critique.'
)
REVISION_INSTRUCTION = (
    "If the critique found nothing, repeat the response unchanged. Write only the response."
)
DIRECT_REVISION_INSTRUCTION = "Write only the response."
REASONED_INSTRUCTION = (
    'Think it through, then end with one line: "Verdict: A", "Verdict: B" or "Verdict: Tie".'
)
PLAIN_INSTRUCTION = "Answer with one word: A, B or Tie."
# Of `build_score` alone; the other prompts are those of TEMPLATE_VERSION.
SCORE_VERSION = "chat-score/1"
SCORE_INSTRUCTION = (
    "Rate how well the response keeps to this, from 1 (not at all) to 10 (wholly). Answer with "
    "one number."
)


def build_response(
    conversation: Conversation, few_shot: Sequence[Conversation] = ()
) -> Conversation:
    """The prompt for the initial response: the conversation itself, after the examples."""
    return _with_examples(few_shot, conversation)


def build_critique(
    conversation: Conversation,
    response: str,
    principle: Principle,
    few_shot: Sequence[Conversation] = (),
) -> Conversation:
    """The critic's prompt: conversation, response, and the principle's critique request."""
    request = f"{principle.critique_request} {CRITIQUE_INSTRUCTION}"
    turns = (*conversation, Message("assistant", response), Message("user", request))
    return _with_examples(few_shot, turns)


def build_revision(
    conversation: Conversation,
    response: str,
    principle: Principle,
    critique: str | None,
    few_shot: Sequence[Conversation] = (),
) -> Conversation:
    """The revision's prompt. `critique=None` asks for a direct revision, without critique."""
    turns = (*conversation, Message("assistant", response))
    if critique is None:
        request = f"{principle.revision_request} {DIRECT_REVISION_INSTRUCTION}"
    else:
        asked = f"{principle.critique_request} {CRITIQUE_INSTRUCTION}"
        turns = (*turns, Message("user", asked), Message("assistant", critique))
        request = f"{principle.revision_request} {REVISION_INSTRUCTION}"
    return _with_examples(few_shot, (*turns, Message("user", request)))


def build_comparison(
    conversation: Conversation,
    response_a: str,
    response_b: str,
    principle: Principle,
    *,
    reasoned: bool,
) -> Conversation:
    """The feedback model's prompt: which of two responses the principle prefers.

    `reasoned=True` asks for a chain of thought that ends in a verdict line; False asks for
    one word, so that the first token can be scored. The principle stands before the responses,
    as in the paper: the two orders then share their prompt up to the first response.
    """
    instruction = REASONED_INSTRUCTION if reasoned else PLAIN_INSTRUCTION
    content = (
        f"Conversation:\n{build_transcript(conversation)}\n\n{principle.comparison_request}\n\n"
        f"Response A:\n{response_a}\n\nResponse B:\n{response_b}\n\n{instruction}"
    )
    return (Message("user", content),)


def build_score(conversation: Conversation, response: str, principle: Principle) -> Conversation:
    """The judge's prompt for one response: how well it keeps to the principle, 1 to 10.

    For rewards without a reward model (arXiv 2309.00267, section 2.2.2); the principle stands
    where a comparison has it. Its version is SCORE_VERSION.
    """
    content = (
        f"Conversation:\n{build_transcript(conversation)}\n\n{principle.text}\n\n"
        f"Response:\n{response}\n\n{SCORE_INSTRUCTION}"
    )
    return (Message("user", content),)


def build_transcript(conversation: Conversation) -> str:
    """The turns as `Human:` / `Assistant:` lines, for prompts that quote a conversation."""
    names = {"user": "Human", "assistant": "Assistant", "system": "System"}
    return "\n".join(f"{names[turn.role]}: {turn.content}" for turn in conversation)


def parse_critique(text: str) -> Finding:
    """Whether the critique found something; an empty one is UNPARSED, never "nothing found".

    It is asked to end with "Not touched." where it found nothing; models that conclude first, or
    end in other punctuation, are read as well.
    """
    words = text.strip(_AROUND).lower()
    if not words:
        return Finding.UNPARSED
    concludes = words.startswith("not touched") or words.endswith("not touched")
    return Finding.NOT_TOUCHED if concludes else Finding.FOUND


_AROUND = " \t\n\r\"'*_#.!()"
_VERDICT = re.compile(r"^\W*verdict\W*:\W*(a|b|tie)\b\W*$", re.IGNORECASE | re.MULTILINE)


def parse_verdict(text: str) -> Verdict:
    """Read the last `Verdict: A|B|Tie` line of a reasoned judgement; otherwise UNPARSED."""
    found = _VERDICT.findall(text)
    return _verdict(found[-1]) if found else Verdict.UNPARSED


def parse_plain_verdict(text: str) -> Verdict:
    """Read a one-word judgement; anything but A, B or Tie is UNPARSED."""
    return _verdict(text.strip().strip(".()\"'"))


def _verdict(word: str) -> Verdict:
    return {"a": Verdict.A, "b": Verdict.B, "tie": Verdict.TIE}.get(word.lower(), Verdict.UNPARSED)


def _with_examples(few_shot: Sequence[Conversation], turns: Conversation) -> Conversation:
    # Examples come first and byte-identical, so a server's prefix cache keeps them. Only a
    # system turn goes before them: models' templates refuse one in the middle.
    examples = tuple(turn for example in few_shot for turn in example)
    lead = 1 if examples and turns and turns[0].role == "system" else 0
    return (*turns[:lead], *examples, *turns[lead:])
