"""What can be counted in a set of answers: length, variety, repetition, stock phrases, emoji. Pure.

Words are runs of letters and digits, lower case; an n-gram is n of them in a row within one answer.
An empty denominator is None, never 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# Pictographs, flags, dingbats and the older symbols that are drawn as pictures.
_EMOJI = re.compile(
    "[\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u26ff\u2705-\u27bf\u2b50\u2b55\u2764]"
)
# Stock phrases: shorter n-grams are grammar, longer ones are found by their parts.
SHORTEST_PHRASE, LONGEST_PHRASE = 4, 8
# Two answers share four words by accident.
_FEWEST_HOLDERS = 3
_MOST_LOOP_WORDS = 20
_LOOP_TIMES = 4


def split_words(text: str) -> list[str]:
    """Its words, lower case."""
    return _WORD.findall(text.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """Words an answer.

    Attributes:
        mean: ≥ 0. sd: standard deviation, 0 for one answer. n: answers.
    """

    mean: float
    sd: float
    n: int


def compute_length(texts: Sequence[str]) -> Length | None:
    """Words an answer; None without answers. An empty answer has none, and counts."""
    counts = [len(split_words(text)) for text in texts]
    if not counts:
        return None
    sd = stdev(counts) if len(counts) > 1 else 0.0
    return Length(mean=fmean(counts), sd=sd, n=len(counts))


def compute_distinct(texts: Sequence[str], n: int, *, words: int | None = None) -> float | None:
    """Different n-grams as a share of all answers' n-grams (Li et al. 2016, arXiv 1510.03055).

    In (0, 1]; None where there is no n-gram. It falls with the amount of text, so compare equal
    numbers of answers, and give `words` where their lengths differ.

    Args:
        words: look at so many words of each answer, from its beginning.
    """
    grams = [gram for text in texts for gram in _grams(split_words(text)[:words], n)]
    return len(set(grams)) / len(grams) if grams else None


def compute_identical(texts: Sequence[str]) -> float | None:
    """Answers that are, word for word, also another's: a share in [0, 1]; None without answers."""
    counts = Counter(" ".join(split_words(text)) for text in texts)
    if not texts:
        return None
    return sum(count for count in counts.values() if count > 1) / len(texts)


def has_emoji(text: str) -> bool:
    """Whether there is one in it."""
    return _EMOJI.search(text) is not None


def compute_longest_repeat(text: str) -> float | None:
    """The longest run of words that stands in the text twice, without overlap, by its length.

    In [0, 0.5]: 0.5 says the same thing twice and nothing else. None for a text without words.
    """
    words = split_words(text)
    if not words:
        return None
    low, high = 0, len(words) // 2
    while low < high:  # Where n words repeat, so do n − 1.
        middle = (low + high + 1) // 2
        if _repeats(words, middle):
            low = middle
        else:
            high = middle - 1
    return low / len(words)


def is_loop(text: str) -> bool:
    """Whether some run of up to 20 words stands in it four times on end."""
    words = split_words(text)
    for period in range(1, min(_MOST_LOOP_WORDS, len(words) // _LOOP_TIMES) + 1):
        same = 0
        for at in range(period, len(words)):
            same = same + 1 if words[at] == words[at - period] else 0
            if same >= period * (_LOOP_TIMES - 1):
                return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """A run of 4 to 8 words that more answers hold than before.

    Attributes:
        count: answers that hold it, of those now; `before`: of those of the baseline.
    """

    words: str
    count: int
    before: int


def find_phrases(texts: Sequence[str], baseline: Sequence[str], *, most: int = 5) -> list[Phrase]:
    """Phrases whose share of answers grew most over the baseline's, the most grown first.

    Of phrases that lie in one another, with equal counts, the longest is named. Phrases that only
    one answer holds are left out.
    """
    if not texts:
        return []
    now, then = _count_holders(texts), _count_holders(baseline)

    def growth(gram: tuple[str, ...]) -> float:
        return now[gram] / len(texts) - (then[gram] / len(baseline) if baseline else 0.0)

    grown = [gram for gram in now if now[gram] > 1 and growth(gram) > 0]
    grown.sort(key=lambda gram: (-growth(gram), -len(gram), gram))
    found: list[tuple[str, ...]] = []
    for gram in grown:
        if not any(_overlap(gram, other) for other in found):
            found.append(gram)
        if len(found) == most:
            break
    return [Phrase(words=" ".join(g), count=now[g], before=then[g]) for g in found]


def flag_boilerplate(texts: Sequence[str], *, least: float = 0.1) -> list[bool]:
    """Whether each answer holds a stock phrase: four words in a row that many of them hold.

    Take sentences that refuse out before (`refusals.drop_refusals`): they are alike by nature. As a
    rate it depends on the prompts, so compare models on the same ones.

    Args:
        least: share of the answers, in (0, 1], that make a phrase a stock phrase; three at least.
    """
    held = [set(_grams(split_words(text), SHORTEST_PHRASE)) for text in texts]
    counts = Counter(gram for grams in held for gram in grams)
    enough = max(_FEWEST_HOLDERS, least * len(texts))
    stock = {gram for gram, count in counts.items() if count >= enough}
    return [not grams.isdisjoint(stock) for grams in held]


def _grams(words: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def _count_holders(texts: Sequence[str]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = split_words(text)
        sizes = range(SHORTEST_PHRASE, LONGEST_PHRASE + 1)
        counts.update({gram for n in sizes for gram in _grams(words, n)})
    return counts


def _overlap(gram: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether three words in a row are in both: two windows on one phrase."""
    return not set(_grams(gram, 3)).isdisjoint(_grams(other, 3))


def _repeats(words: Sequence[str], n: int) -> bool:
    first: dict[tuple[str, ...], int] = {}
    return any(at - first.setdefault(gram, at) >= n for at, gram in enumerate(_grams(words, n)))
