"""The review page's words and style."""

from __future__ import annotations

from collections.abc import Iterable

from cai_core.evaluation.kappa import Kappa
from cai_core.evaluation.label_traits import ExaminedLabel
from cai_core.evaluation.review_queue import Standing, count_done
from cai_core.records import Verdict
from cai_core.workspace.review_queues import ReviewQueue
from cai_core.workspace.review_votes import AnyVote, Vote, VoteChoice
from ui.chain_reviews import VERDICTS
from ui.look import build_badge, escape

# The colour of human review, in both themes; in charts too.
BLUE_LIGHT, BLUE_DARK = "#2f5db8", "#8ab4f8"
CHOICES = {
    VoteChoice.A: "A",
    VoteChoice.B: "B",
    VoteChoice.TIE: "tie",
    VoteChoice.BOTH_BAD: "both bad",
    VoteChoice.DISCARDED: "discarded",
}
STYLE = """<style>
.cai-human { --cai: light-dark(#2f5db8, #8ab4f8); }
.cai-queue { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0.2rem 0.6rem;
  overflow-wrap: anywhere; }
.cai-queue b { font-size: 1.05rem; }
.cai-queue > span, .cai-queue > b { min-width: 0; }
[class*="st-key-queue_row"] { border: 1px solid light-dark(#d6dae3, #343948);
  border-left: 4px solid light-dark(#2f5db8, #8ab4f8); border-radius: 0.5rem;
  padding: 0.7rem 1rem 0.8rem; background: light-dark(#ffffff, #171a23); }
.cai-bar { height: 0.4rem; margin: 0.35rem 0 0.25rem; border-radius: 999px; overflow: hidden;
  background: light-dark(#e6e9f0, #2a2f3d); }
.cai-bar > div { height: 100%; background: light-dark(#2f5db8, #8ab4f8); }
.cai-last { border-left: 4px solid light-dark(#2f5db8, #8ab4f8); padding: 0.15rem 0 0.15rem 0.8rem;
  font-size: 0.9rem; overflow-wrap: anywhere; }
.cai-last b { color: light-dark(#2f5db8, #8ab4f8); }
.cai-numbers { display: grid; gap: 0.75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 12.5rem), 1fr)); }
.cai-numbers > * { min-width: 0; border: 1px solid light-dark(#d6dae3, #343948);
  border-radius: 0.5rem; padding: 0.6rem 0.9rem; background: light-dark(#ffffff, #171a23); }
.st-key-review_picks > *, .st-key-review_moves > * { flex: 1 1 9rem; min-width: 0; }
.st-key-review_picks button, .st-key-review_moves button { width: 100%; }
.st-key-review_charts > * { flex: 1 1 20rem; min-width: 0; }
.st-key-review_fields > *, .st-key-review_how_fields > * { flex: 1 1 11rem; min-width: 0; }
</style>"""


def describe_kappa(kappa: Kappa | None) -> str:
    """`0.62 (0.41 to 0.83, n = 40)`; a dash where it is not defined."""
    if kappa is None:
        return "–"
    return f"{kappa.kappa:.2f} ({kappa.low:.2f} to {kappa.high:.2f}, n = {kappa.n:,})"


def build_bar(done: int, wanted: int) -> str:
    """How far something has come, as HTML; the words beside it say the same."""
    share = 100 * done / wanted if wanted else 0
    return f'<div class="cai-bar" aria-hidden="true"><div style="width: {share:.1f}%"></div></div>'


def describe_progress(queue: ReviewQueue, standing: Standing) -> str:
    """Votes there are, of those wanted."""
    done = count_done(queue.items, standing, queue.overlap)
    return f"{done:,} of {len(queue.items) * queue.overlap:,} votes"


def get_thing(queue: ReviewQueue) -> str:
    """What a queue is made of, in the singular."""
    return queue.kind.removesuffix("s")


def build_queue_head(queue: ReviewQueue, *, told: bool = False) -> str:
    """A queue's name, and how it is reviewed, as badges.

    Args:
        told: say what a blind queue was chosen by, too: a principle or an AI label, perhaps.
    """
    badges = [build_badge(queue.kind), build_badge("blind" if queue.blind else "open", quiet=True)]
    if queue.width is not None:
        words = f"sample of {len(queue.items):,} of {queue.population:,}"
        badges.append(build_badge(words, quiet=True))
    if queue.overlap > 1:
        badges.append(build_badge(f"{queue.overlap} reviewers each", quiet=True))
    if queue.selection and (told or not queue.blind):
        badges.append(f'<span class="cai-quiet">{escape(queue.selection)}</span>')
    of = f"of the run {queue.run}" if queue.run else "of several runs"
    return (
        f'<div class="cai-queue"><b>{escape(queue.name)}</b>{"".join(badges)}'
        f'<span class="cai-quiet">{escape(of)}</span></div>'
    )


def describe_ai(one: ExaminedLabel) -> str:
    """`B with 0.71 under helpful`: the AI label, how sure it is, and its principles."""
    label = one.label
    told = {Verdict.TIE: "a tie", Verdict.UNPARSED: "nothing readable"}
    words = told.get(label.verdict, label.verdict.value)
    if label.prob_a is not None:
        words += f" with {max(label.prob_a, 1 - label.prob_a):.2f}"
    if label.principle_ids:
        words += f" under {', '.join(label.principle_ids)}"
    return words


def describe_choice(vote: AnyVote) -> str:
    """What a vote says, in a word or two."""
    if isinstance(vote, Vote):
        return CHOICES[vote.choice]
    return "discarded" if vote.verdict is None else VERDICTS[vote.verdict].lower()


def build_votes(votes: Iterable[AnyVote], *, me: str = "") -> str:
    """Who says what, and why, as HTML."""
    return "".join(_build_vote(vote, me) for vote in votes)


def _build_vote(vote: AnyVote, me: str) -> str:
    who = "You" if vote.reviewer == me else vote.reviewer
    badges = build_badge("not blind", quiet=True) if not vote.blind else ""
    if vote.imported_by is not None:
        badges += build_badge(f"imported by {vote.imported_by}", quiet=True)
    why = f'<p class="cai-wrap">{escape(vote.reason)}</p>' if vote.reason else ""
    return (
        f'<div class="cai-last"><b>{escape(who)}</b>: {escape(describe_choice(vote))} '
        f"{badges}{why}</div>"
    )
