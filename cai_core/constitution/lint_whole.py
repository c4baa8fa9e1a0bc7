"""The rules that look at a constitution as a whole."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz, process

from cai_core.constitution.findings import Finding, Fix, LintContext
from cai_core.constitution.lint_principle import quote
from cai_core.constitution.lint_rules import build_finding
from cai_core.constitution.lint_words import MOST_CHARACTERS
from cai_core.records import Constitution, Principle

# Of a hundred. Ours: the paper's own sixteen stay below both, except two that share their words.
# Requests are alike when the critique's and the revision's both are.
LIKE_RULES, LIKE_REQUESTS = 88, 94
# Texts are compared up to here: what they begin with tells whether they are the same.
_COMPARED = 800
# A principle that a run should have drawn, and that it missed by less than this chance.
_BY_CHANCE = 0.01
_SHARE_OF_CONTEXT = 4
_EVASIVE_TAGS = frozenset({"evasiveness", "evasive", "non-evasive", "transparency", "alternatives"})
_EVASIVE = re.compile(
    r"\bevasi\w+|\b(?:say|says|saying|explain|explains|explaining) why\b|\bgiv\w+ (?:the|a) reason|"
    r"\b(?:without|with no) (?:saying|giving|a reason|explan)|\bengag\w+|\bnon-answer\b|"
    r"\breasons? for (?:declining|refusing|the refusal)",
    re.IGNORECASE,
)
_HELPFUL_TAGS = frozenset({"helpfulness", "helpful", "over-refusal", "usefulness"})
_HELPFUL = re.compile(
    r"\bhelpful|\bunhelpful|\buseful|\bover-?refus\w+|\bfair part|\bfine (?:request|question)|"
    r"\bwithhold\w*|\bneedless(?:ly)? (?:refus|declin)\w+|"
    r"\b(?:should|must) (?:be answered|answer)\b|"
    r"\banswers? the (?:question|human|person|request)",
    re.IGNORECASE,
)
_NOT_EVASIVE = {
    "id": "not-evasive",
    "text": "A response that declines should give its reason and offer what it can.",
    "critique_request": (
        "Point out where the assistant's last response declines or changes the subject without "
        "giving a reason."
    ),
    "revision_request": (
        "Please rewrite the response so that it says openly what it declines, gives the reason "
        "in a sentence, and offers the help that can be given."
    ),
    "comparison_request": "Which response is more open about what it declines and why?",
    "tags": ["manner", "evasiveness"],
}
_HELPS = {
    "id": "helps-where-it-can",
    "text": "A request that does nobody harm should be answered fully.",
    "critique_request": (
        "Point out where the assistant's last response withholds help that would do nobody harm."
    ),
    "revision_request": (
        "Please rewrite the response so that it answers the harmless part of the request in full."
    ),
    "comparison_request": "Which response is more helpful with what does nobody harm?",
    "tags": ["helpfulness", "over-refusal"],
}
_NOT_A_WORD = re.compile(r"[\W_]+")


def check_whole(
    constitution: Constitution, enabled: Sequence[Principle], context: LintContext
) -> Iterator[Finding]:
    """Findings about the principles that are on, taken together."""
    if constitution.principles and not enabled:
        yield build_finding(
            "nothing-on",
            f"All {len(constitution.principles)} principles are off.",
            fix=Fix(
                label="Switch all on",
                changes={p.id: {"enabled": True} for p in constitution.principles},
            ),
        )
    if not enabled:
        return
    yield from _check_alike(enabled)
    yield from _check_missing_themes(enabled)
    yield from _check_length(enabled, context)
    yield from _check_drawn(enabled, context)


def compute_likeness(texts: Sequence[str], least: int) -> npt.NDArray[np.uint8]:
    """Similarity of each pair of texts from 0 to 100, whatever the order of their words.

    Shape (n, n), 0 where it is below `least`: the ratio of matching letters (Indel) of the
    sorted words, by rapidfuzz.
    """
    sorted_words = [_sort_words(text) for text in texts]
    return process.cdist(
        sorted_words, sorted_words, scorer=fuzz.ratio, score_cutoff=least, dtype=np.uint8
    )


def _check_alike(principles: Sequence[Principle]) -> Iterator[Finding]:
    rules = _compare_with_earlier(tuple(p.text for p in principles), LIKE_RULES)
    requests = _compare_requests(
        tuple(p.critique_request for p in principles), tuple(p.revision_request for p in principles)
    )
    first: dict[tuple[str, ...], int] = {}
    for place, principle in enumerate(principles):
        words = _list_words(principle)
        earlier = first.setdefault(words, place)
        if earlier != place:
            yield _find_alike("duplicate", principle, principles[earlier], "word for word")
            continue
        (of_rules, like), (of_requests, alike) = rules[place], requests[place]
        if of_rules is not None and principle.text.strip():
            told = f"the rules are {like} % alike"
            yield _find_alike("near-duplicate", principle, principles[of_rules], told)
        elif of_requests is not None and principle.critique_request.strip():
            told = f"their requests are {alike} % alike"
            yield _find_alike("near-duplicate", principle, principles[of_requests], told)


@lru_cache(maxsize=16)
def _compare_with_earlier(texts: tuple[str, ...], least: int) -> list[tuple[int | None, int]]:
    """For each text the earlier one that is most like it, None where none is like it."""
    likeness = np.tril(compute_likeness(texts, least), -1)
    best = likeness.argmax(axis=1)
    found = likeness[np.arange(len(texts)), best]
    return [
        (int(place) if like else None, int(like)) for place, like in zip(best, found, strict=True)
    ]


@lru_cache(maxsize=16)
def _compare_requests(
    critiques: tuple[str, ...], revisions: tuple[str, ...]
) -> list[tuple[int | None, int]]:
    """As `_compare_with_earlier`, of both requests; the lower of the two likenesses."""
    likeness = np.tril(compute_likeness(critiques, LIKE_REQUESTS), -1)
    told: list[tuple[int | None, int]] = [(None, 0)] * len(critiques)
    for place, earlier in zip(*map(np.ndarray.tolist, likeness.nonzero()), strict=True):
        if told[place][0] is not None:
            continue
        like = fuzz.ratio(
            _sort_words(revisions[place]),
            _sort_words(revisions[earlier]),
            score_cutoff=LIKE_REQUESTS,
        )
        if like:
            told[place] = (earlier, min(round(like), int(likeness[place, earlier])))
    return told


def _list_words(principle: Principle) -> tuple[str, ...]:
    return (
        _normalise(principle.text),
        _normalise(principle.critique_request),
        _normalise(principle.revision_request),
        _normalise(principle.comparison_request),
    )


@lru_cache(maxsize=8192)
def _sort_words(text: str) -> str:
    return " ".join(sorted(_normalise(text[: 2 * _COMPARED])[:_COMPARED].split()))


def _normalise(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        return text
    return _NOT_A_WORD.sub(" ", text.casefold()).strip() or text.strip()


def _find_alike(rule: str, second: Principle, first: Principle, told: str) -> Finding:
    tags = list(dict.fromkeys((*first.tags, *second.tags)))
    return build_finding(
        rule,
        f"It says what {first.id!r} says ({told}): {quote(second.text)}. Keep one of the two.",
        principle_id=second.id,
        fix=Fix(
            label=f"Delete it, and keep {first.id!r}",
            removed=(second.id,),
            changes={first.id: {"tags": tags}} if tuple(tags) != first.tags else {},
        ),
    )


def _check_missing_themes(principles: Sequence[Principle]) -> Iterator[Finding]:
    themes = (
        ("no-evasiveness", _EVASIVE_TAGS, _EVASIVE, _NOT_EVASIVE, "says what to do in declining"),
        ("no-helpfulness", _HELPFUL_TAGS, _HELPFUL, _HELPS, "asks for help that does no harm"),
    )
    for rule, tags, words, proposed, told in themes:
        if not any(_is_about(p, tags, words) for p in principles):
            yield build_finding(
                rule,
                f"None of the {len(principles)} principles {told}.",
                fix=Fix(label=f"Add the principle {proposed['id']!r}", added=(proposed,)),
            )


def _is_about(principle: Principle, tags: frozenset[str], words: re.Pattern[str]) -> bool:
    if tags & {tag.casefold() for tag in principle.tags}:
        return True
    texts = (
        principle.text,
        principle.critique_request,
        principle.revision_request,
        principle.comparison_request,
    )
    return any(words.search(text, 0, MOST_CHARACTERS) for text in texts)


def _check_length(principles: Sequence[Principle], context: LintContext) -> Iterator[Finding]:
    if context.context_tokens is None:
        return
    room = context.context_tokens
    for principle in principles:
        # The revision's prompt holds both; the comparison's its own, beside two responses.
        asked = context.count(principle.critique_request) + context.count(
            principle.revision_request
        )
        compared = context.count(principle.comparison_request)
        tokens = max(asked, compared)
        if tokens * _SHARE_OF_CONTEXT > room:
            guessed = "" if context.count_tokens else "about "
            yield build_finding(
                "length",
                f"Its requests take {guessed}{tokens} of the model's {room} tokens, beside the "
                "conversation and the response. Shorten them, or use a model that takes more.",
                principle_id=principle.id,
                field="comparison_request" if compared > asked else "revision_request",
                severity="error" if tokens >= room else "warning",
            )


def _check_drawn(principles: Sequence[Principle], context: LintContext) -> Iterator[Finding]:
    if context.drawn is None or not (total := sum(context.drawn.values())):
        return
    weight = math.fsum(p.weight for p in principles)
    for principle in principles:
        if context.drawn.get(principle.id, 0):
            continue
        chance = max(0.0, 1.0 - principle.weight / weight) ** total
        likely = chance < _BY_CHANCE
        told = (
            "By its weight it should have been: the run's recipe left it out, or the run used "
            "another version."
            if likely
            else f"With its weight that happens in {chance:.0%} of such runs: draw more, or give "
            "it more weight."
        )
        yield build_finding(
            "never-drawn",
            f"In {total} draws it was never drawn. {told}",
            principle_id=principle.id,
            severity="warning" if likely else "hint",
        )
