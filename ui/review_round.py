"""One round of critique and revision as a reviewer sees it, and what is told when. As HTML."""

from __future__ import annotations

from dataclasses import dataclass

from cai_core.records import Finding, StepKind
from cai_core.workspace.index.views import ChainView, StepView
from cai_core.workspace.review_critiques import CritiqueVote
from cai_core.workspace.review_queues import QueuedRound
from ui.chain_reviews import VERDICTS
from ui.diff import build_diff
from ui.explorer_filter import WORDS
from ui.explorer_held import find_held
from ui.explorer_list import FINDING_BADGES
from ui.harm import HeldBack, hold_back, hold_removed
from ui.look import build_badge, build_card, escape
from ui.review_data import QueueView
from ui.review_words import build_votes

_FINDINGS = {Finding.FOUND: "a problem found", Finding.NOT_TOUCHED: "not touched"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundShown:
    """A round of a chain.

    Attributes:
        draft: the text that was criticised. revision: empty where the chain ended before it.
        held: which of its texts stay blurred. harmful: whether any does.
    """

    critique: StepView
    draft: str
    revision: str
    principle: str
    held: HeldBack
    harmful: bool


def find_round(chain: ChainView, number: int) -> RoundShown | None:
    """The round of that number; None where it has no critique."""
    draft, critique, revision = "", None, ""
    for step in chain.steps:
        if step.error is not None:
            continue
        if step.kind is StepKind.CRITIQUE:
            critique = step if step.round == number else critique
        elif step.round < number:
            draft = step.text
        elif step.round == number and step.kind is StepKind.REVISION:
            revision = step.text
    if critique is None:
        return None
    held = find_held(chain)
    return RoundShown(
        critique=critique,
        draft=draft,
        revision=revision,
        principle=critique.principle or "",
        held=held,
        harmful=held.holds(draft) or held.holds(revision),
    )


def build_round(
    chain: ChainView, shown: RoundShown, *, told: bool, blurred: bool, with_diff: bool
) -> str:
    """The prompt, the text that was criticised, the critique and the revision.

    Args:
        told: whether to say what the critique found, and under which principle.
        blurred: whether harmful texts stay so.
    """
    kind = build_badge(WORDS["kind"].get(chain.kind, chain.kind), quiet=True)
    last = len(chain.conversation) - 1
    cards = []
    for number, turn in enumerate(chain.conversation):
        title = {"assistant": "Earlier answer", "system": "System prompt"}.get(turn.role, "Prompt")
        thing = "response" if turn.role == "assistant" else "prompt"
        badges = kind if number == last else ""
        cards.append(build_card(thing, title, escape(turn.content), badges=badges))
    if told:
        cards.append(_build_principle(chain, shown))
    title = "Response" if shown.critique.round == 1 else "Text that was criticised"
    cards.append(build_card("response", title, _blur(shown.draft, shown.held, blurred)))
    badges = FINDING_BADGES[shown.critique.finding or Finding.UNPARSED] if told else ""
    cards.append(build_card("critique", "Critique", escape(shown.critique.text), badges=badges))
    cards.append(_build_revision(shown, blurred=blurred, with_diff=with_diff))
    return f'<div class="cai-transcript">{"".join(cards)}</div>'


def build_round_told(
    view: QueueView, item: str, shown: RoundShown, *, me: str, blurred: bool
) -> str:
    """What is told after a vote, and in an open queue before it: who wrote it, and the votes."""
    place = view.queue.by_item[item]
    votes = [vote for vote in view.votes if vote.item == item]
    words = f"Critique by {place.model or 'an unknown model'}, of the run {place.run}."
    model = "" if blurred and shown.held.holds(shown.revision) else shown.revision
    own = "".join(_build_own(vote, model) for vote in votes if vote.revision)
    return (
        f'<div class="cai-transcript"><div class="cai-last">{escape(words)}</div>'
        f"{build_votes(votes, me=me)}{own}</div>"
    )


def build_last_round(place: QueuedRound | None, vote: CritiqueVote) -> str:
    """The vote that was just given: `You: Right · under harm, by model-a: a problem found`."""
    said = "Put aside" if vote.verdict is None else VERDICTS[vote.verdict]
    own = build_badge("with your revision", quiet=True) if vote.revision else ""
    told = ""
    if place is not None:
        found = {one.value: words for one, words in _FINDINGS.items()}.get(place.finding, "")
        told = f" · under {place.principle}, by {place.model}" + (f": {found}" if found else "")
    return (
        f'<div class="cai-last" role="status"><b>You: {escape(said)}</b>{escape(told)} {own}</div>'
    )


def _build_principle(chain: ChainView, shown: RoundShown) -> str:
    text = chain.principle_texts.get(shown.principle, "")
    body = escape(text) or '<span class="cai-quiet">The run kept no text of it.</span>'
    badge = f'<span class="cai-quiet">{escape(shown.principle)}</span>'
    return build_card("principle", "Principle", body, badges=badge, slim=True)


def _build_revision(shown: RoundShown, *, blurred: bool, with_diff: bool) -> str:
    if not shown.revision:
        return build_card("revision", "Revision", '<span class="cai-quiet">There is none.</span>')
    if shown.revision == shown.draft:
        body = _blur(shown.revision, shown.held, blurred)
        return build_card("revision", "Revision", body, badges=build_badge("unchanged", quiet=True))
    body = _blur(shown.revision, shown.held, blurred)
    if with_diff and not (blurred and shown.held.holds(shown.revision)):
        body = build_diff(shown.draft, shown.revision)
        if blurred and shown.held.holds_removed(shown.draft):
            body = hold_removed(body)
    return build_card("revision", "Revision", body)


def _build_own(vote: CritiqueVote, model: str) -> str:
    """A person's revision, with what it changed of the model's where that may be read."""
    badge = f'<span class="cai-quiet">{escape(vote.reviewer)}</span>'
    body = build_diff(model, vote.revision) if model else escape(vote.revision)
    return build_card("revision", "A person’s revision", body, badges=badge)


def _blur(text: str, held: HeldBack, blurred: bool) -> str:
    body = escape(text)
    return hold_back(body) if blurred and held.holds(text) else body
