"""The section markers of the paper's plain-text transcripts (official files, arXiv 2212.08073).

They stand below the templates because the importers of official files need them too.
"""

from __future__ import annotations

from collections.abc import Sequence

from cai_core.errors import TemplateError

HUMAN = "\n\nHuman:"
ASSISTANT = "\n\nAssistant:"
CRITIQUE_REQUEST = "\n\nCritiqueRequest:"
CRITIQUE = "\n\nCritique:"
REVISION_REQUEST = "\n\nRevisionRequest:"
REVISION = "\n\nRevision:"


def join_examples(strings: Sequence[str]) -> str:
    """Join example transcripts into the text that goes in front of a conversation.

    Each example ends before the next "\\n\\nHuman:"; official strings carry that marker at
    their end or not, and both give the same text.

    Raises:
        TemplateError: an example does not begin with "Human:".
    """
    return "".join(_example(text, number) for number, text in enumerate(strings, start=1))


def _example(text: str, number: int) -> str:
    body = text.strip("\n")
    if not body.startswith("Human:"):
        raise TemplateError(
            f"few-shot example {number} begins with {text[:40]!r}. "
            "Begin it with 'Human:' and end it after its last revision."
        )
    return "\n\n" + body.rstrip().removesuffix(HUMAN)
