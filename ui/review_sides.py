"""One comparison as a reviewer sees it: the conversation, two responses, and what is told when."""

from __future__ import annotations

from cai_core.evaluation.label_traits import ExaminedLabel
from cai_core.jobs.label_study import LabelStudy
from cai_core.records import Verdict
from cai_core.workspace.review_votes import Vote, VoteChoice
from ui.explorer_filter import WORDS
from ui.harm import hold_back
from ui.look import build_badge, build_card, escape
from ui.review_data import QueueView
from ui.review_words import build_votes, describe_ai, describe_choice


def build_conversation(one: ExaminedLabel) -> str:
    """What was asked, as HTML."""
    titles = {"system": "System prompt", "assistant": "Earlier answer"}
    kind = WORDS["kind"][one.label.prompt_kind]
    last = len(one.label.conversation) - 1
    cards = [
        build_card(
            "response" if turn.role == "assistant" else "prompt",
            titles.get(turn.role, "Prompt"),
            escape(turn.content),
            badges=build_badge(kind, quiet=True) if number == last else "",
        )
        for number, turn in enumerate(one.label.conversation)
    ]
    return f'<div class="cai-transcript">{"".join(cards)}</div>'


def build_pair(one: ExaminedLabel, first: str, *, told: bool, blurred: bool) -> str:
    """Both responses side by side, below each other where there is no room.

    Args:
        first: `A` or `B`, the record's response on the left.
        told: whether to say which is which and what the AI label prefers.
        blurred: whether their texts stay blurred.
    """
    texts = {"A": one.label.response_a, "B": one.label.response_b}
    sides = []
    for side, name in (("Left", first), ("Right", "B" if first == "A" else "A")):
        body = escape(texts[name])
        badges = ""
        if told:
            badges += build_badge(f"response {name}", quiet=True)
            if one.label.verdict is Verdict(name):
                badges += build_badge("the AI label prefers it")
        sides.append(
            build_card("response", side, hold_back(body) if blurred else body, badges=badges)
        )
    return f'<div class="cai-pair">{"".join(sides)}</div>'


def build_told(study: LabelStudy, one: ExaminedLabel, view: QueueView, *, me: str) -> str:
    """What is told after a vote, and in an open queue before it: principle, AI label, votes."""
    label = one.label
    texts = {principle.id: principle for principle in study.constitution.principles}
    cards = []
    for name in label.principle_ids:
        principle = texts.get(name)
        text = principle.comparison_request or principle.text if principle is not None else ""
        badge = f'<span class="cai-quiet">{escape(name)}</span>'
        body = escape(text) or '<span class="cai-quiet">The run kept no text of it.</span>'
        cards.append(build_card("principle", "Principle", body, badges=badge, slim=True))
    who = label.feedback_model or label.reviewer or label.label_source
    votes = [vote for vote in view.votes if vote.comparison == label.comparison_id]
    return (
        f'<div class="cai-transcript">{"".join(cards)}'
        f'<div class="cai-last">AI label by {escape(who)}: {escape(describe_ai(one))}</div>'
        f"{build_votes(votes, me=me)}</div>"
    )


def build_last(vote: Vote, one: ExaminedLabel | None) -> str:
    """The vote that was just given, beside the AI label: `You: A (left) · AI: B with …`."""
    said = describe_choice(vote)
    if vote.choice in (VoteChoice.A, VoteChoice.B):
        said += " (left)" if vote.choice.value == vote.shown_first else " (right)"
    ai = "" if one is None else f" · AI: {escape(describe_ai(one))}"
    sign = ""
    if one is not None and vote.verdict is not None and one.label.verdict is not Verdict.UNPARSED:
        sign = build_badge("agrees" if vote.verdict is one.label.verdict else "differs", quiet=True)
    return f'<div class="cai-last" role="status"><b>You: {escape(said)}</b>{ai} {sign}</div>'
