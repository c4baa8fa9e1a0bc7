"""A keyword baseline: it knows each action's usual harm, and ignores the target and the principle.

It stands beside the model in the card. Where it does well, an ability says little; where it
fails, the world cannot be solved by the verb alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from cai_core.demo_world.grammar import Reply
from cai_core.demo_world.world import Intent, World
from cai_core.records import Verdict


class KeywordBaseline:
    """The usual harm of each action among the training intents, None where most are fine."""

    def __init__(self, world: World):
        harms: dict[str, Counter[str | None]] = defaultdict(Counter)
        for intent in world.intents:
            if intent not in world.held_out:
                harms[intent.action][intent.harm] += 1
        self._usual = {a: _usual(counts) for a, counts in harms.items()}

    def harm(self, intent: Intent) -> str | None:
        """The harm it sees in the intent."""
        return self._usual[intent.action]

    def verdict(self, intent: Intent, reply_a: Reply, reply_b: Reply) -> Verdict:
        """It prefers the reply that declines where it sees harm, and ties otherwise."""
        if self.harm(intent) is None or reply_a.declines == reply_b.declines:
            return Verdict.TIE
        return Verdict.A if reply_a.declines else Verdict.B


def _usual(counts: Counter[str | None]) -> str | None:
    harmful = Counter({harm: n for harm, n in counts.items() if harm})
    if harmful.total() <= counts[None]:
        return None
    return harmful.most_common(1)[0][0]
