"""The world's grammar: what is said, given what is true. Everything random comes from `rng`."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from cai_core.demo_world.principles import Request
from cai_core.demo_world.world import Intent, World
from cai_core.records import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An assistant's response, sentence by sentence. None means: not said."""

    opening: str | None = None
    decline: str | None = None
    leak: str | None = None
    details: tuple[str, ...] = ()
    reason: str | None = None
    cite: str | None = None
    alternative: str | None = None
    fair: str | None = None
    preach: str | None = None

    @property
    def text(self) -> str:
        """The sentences in the order in which the world says them."""
        said = (
            self.opening,
            self.decline,
            self.reason,
            self.cite,
            self.alternative,
            self.fair,
            self.leak,
            *self.details,
            self.preach,
        )
        return " ".join(sentence for sentence in said if sentence)

    @property
    def declines(self) -> bool:
        """Whether it refuses, whatever it gives besides."""
        return self.decline is not None

    @property
    def helps(self) -> bool:
        """Whether it gives details."""
        return bool(self.details)


def draw_prompt(world: World, intent: Intent, rng: random.Random, *, held_out: bool) -> str:
    """One way of asking for the intent, from the training or the held-out ways."""
    ways = world.language["asking_held_out" if held_out else "asking"]
    return str(rng.choice(ways).format(intent=intent.text))


def draw_answer(world: World, intent: Intent, rng: random.Random) -> Reply:
    """Comply: the helpful-only response, to harmful and fine intents alike."""
    opening = rng.choice(world.language["opening"]).format(yours=intent.yours)
    return Reply(opening=opening, details=_draw_details(world, rng))


def draw_reply(world: World, intent: Intent, rng: random.Random) -> Reply:
    """A response of any kind, for critics and judges to look at."""
    roll = rng.random()
    if roll < 0.42:
        return draw_answer(world, intent, rng)
    if roll < 0.54:
        evasive = Reply(decline=rng.choice(world.language["evasive"]))
        return _with_preaching(world, evasive, rng, 0.3)
    declined = Reply(decline=_draw_decline(world, intent, rng))
    if roll < 0.66:
        leak = rng.choice(world.language["leak"])
        return replace(declined, leak=leak, details=_draw_details(world, rng))
    wanted = {b for b in ("reason", "cite", "alternative", "fair") if rng.random() < 0.5}
    name = rng.choice(world.requests["cited_names"])
    return _with_preaching(world, _enrich(world, declined, intent, wanted, name, rng), rng, 0.4)


def expected_finding(world: World, request: Request, reply: Reply, intent: Intent) -> str:
    """The kind of critique that is true: a key of `critique` or `not_touched` in language.yaml."""
    match request.concern:
        case "preachy":
            return "preachy" if reply.preach else "plain tone"
        case "unhelpful" if reply.declines:
            return "rightly refused" if intent.harmful else "unhelpful"
        case "evasive" if reply.declines:
            return "reasoned" if reply.reason else "evasive"
        case "no alternative" if reply.declines:
            return "offered" if reply.alternative else "no alternative"
        case "uncited" if reply.declines:
            return "cited" if reply.cite else "uncited"
        case "unhelpful" | "evasive" | "no alternative" | "uncited":
            return "answers"
    if not intent.harmful:
        return "fine"
    if not reply.helps:
        return "declines"
    if intent.harm not in world.covers(request.concern):
        return "other harm"
    return "leaks" if reply.declines else "helps"


def is_touched(world: World, finding: str) -> bool:
    """Whether that kind of critique found something."""
    return finding in world.language["critique"]


def draw_critique(world: World, finding: str, intent: Intent, rng: random.Random) -> str:
    """A critique that says the finding, names the harm and quotes the intent."""
    forms = world.language["critique"].get(finding) or world.language["not_touched"][finding]
    return str(rng.choice(forms).format(intent=intent.text, harm=intent.harm))


def revise(
    world: World, reply: Reply, intent: Intent, finding: str, request: Request, rng: random.Random
) -> Reply:
    """The response that the revision request asks for; unchanged when nothing was found.

    What a refusal already says stays. A refusal that replaces help preaches unless the request
    asks it not to: that clause is one of the behaviours a principle controls.
    """
    if not is_touched(world, finding):
        return reply
    if not intent.harmful:  # Whatever was wrong with refusing it, answering mends it.
        return draw_answer(world, intent, rng)
    kept = replace(reply, opening=None, leak=None, details=())
    if not reply.declines or reply.decline in world.language["evasive"]:
        kept = replace(kept, decline=_draw_decline(world, intent, rng))
    revised = _enrich(world, kept, intent, request.behaviours, request.cited_name, rng)
    if "no preaching" in request.behaviours:
        return replace(revised, preach=None)
    if reply.helps and not revised.preach:
        return replace(revised, preach=rng.choice(world.language["preach"]))
    return revised


def judge(
    world: World, request: Request, intent: Intent, reply_a: Reply, reply_b: Reply
) -> tuple[str, Verdict]:
    """The reasoned judgement that is true, and its verdict."""
    findings = [expected_finding(world, request, r, intent) for r in (reply_a, reply_b)]
    bad_a, bad_b = (is_touched(world, f) for f in findings)
    verdict = Verdict.TIE if bad_a == bad_b else Verdict.B if bad_a else Verdict.A
    forms = world.language["judgement"]
    clauses = forms["clauses"].get(request.concern, forms["clauses"]["scope"])
    if request.concern in world.requests["manners"]:
        form = forms["manner"]
    elif not intent.harmful:
        form = forms["fine"]
    else:
        form = forms["in scope" if intent.harm in world.covers(request.concern) else "out of scope"]
    said_a, said_b = (clauses[0] if bad else clauses[1] for bad in (bad_a, bad_b))
    reasons = form.format(intent=intent.text, harm=intent.harm, a=said_a, b=said_b)
    return f"{reasons}\n{forms['verdict'].format(verdict=verdict_word(verdict))}", verdict


def verdict_word(verdict: Verdict) -> str:
    """How a verdict is spelled: A, B or Tie."""
    return "Tie" if verdict is Verdict.TIE else verdict.value


def _draw_decline(world: World, intent: Intent, rng: random.Random) -> str:
    return str(rng.choice(world.language["decline"]).format(yours=intent.yours))


def _draw_details(world: World, rng: random.Random) -> tuple[str, ...]:
    count = rng.choice((1, 2, 2))
    return tuple(rng.sample(world.language["detail"], count))


def _with_preaching(world: World, reply: Reply, rng: random.Random, share: float) -> Reply:
    if rng.random() < share:
        return replace(reply, preach=rng.choice(world.language["preach"]))
    return reply


def _enrich(
    world: World,
    reply: Reply,
    intent: Intent,
    wanted: frozenset[str] | set[str],
    cited_name: str | None,
    rng: random.Random,
) -> Reply:
    """Add the asked-for sentences that the reply does not have yet."""
    if "cite" in wanted and cited_name and not reply.cite:
        cite = world.language["cite"][0].format(name=cited_name)
        reply = replace(reply, cite=cite)
    if intent.harm is None:
        return reply
    harm = world.harms[intent.harm]
    if "reason" in wanted and not reply.reason:
        reply = replace(reply, reason=rng.choice(harm.reason))
    if "alternative" in wanted and not reply.alternative:
        reply = replace(reply, alternative=rng.choice(harm.alternative))
    if "fair" in wanted and not reply.fair:
        reply = replace(reply, fair=harm.fair)
    return reply
