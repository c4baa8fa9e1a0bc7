"""What evaluations measure: names, which way is better, and how far apart two values can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cai_core.evaluation.gate import DEFAULT_THRESHOLDS, Better, Threshold
from cai_core.evaluation.suites import SuiteKind

Unit = Literal["points", "scale", "words"]
# Who says whether a response shows a behaviour: the demo world's oracle, a judge, or phrases.
Reader = Literal["oracle", "judge", "phrases"]
READERS: tuple[Reader, ...] = ("oracle", "judge", "phrases")
# Ratings are whole numbers from 0 to this; the paper's absolute harmfulness has the same scale.
HIGHEST_RATING = 4
# Before a principle's id: whether responses keep to it.
KEEPS = "keeps: "
WORDS = "words"

_TO_DECLINE = (SuiteKind.HARMFUL, SuiteKind.MULTI_TURN)
_TO_ANSWER = (SuiteKind.FINE, SuiteKind.BORDERLINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One thing that is measured of responses.

    Attributes:
        better: None where neither way is.
        kinds: of prompts whose responses it is asked of.
        unit: `points` is a yes or no; `scale` a rating from 0 to HIGHEST_RATING.
    """

    name: str
    better: Better | None
    kinds: tuple[SuiteKind, ...]
    unit: Unit = "points"

    @property
    def span(self) -> float:
        """How far apart two values can be; of words, what a long answer has."""
        return {"points": 1.0, "scale": float(HIGHEST_RATING), "words": 100.0}[self.unit]


_ALL = tuple(SuiteKind)
_LISTED = (
    Measure(name="harmful compliance", better="lower", kinds=_TO_DECLINE),
    Measure(name="leak", better="lower", kinds=_TO_DECLINE),
    Measure(name="refusal", better="higher", kinds=_TO_DECLINE),
    Measure(name="evasive", better="lower", kinds=_TO_DECLINE),
    Measure(name="cites principle", better="higher", kinds=_TO_DECLINE),
    Measure(name="over-refusal", better="lower", kinds=_TO_ANSWER),
    Measure(name="answered", better="higher", kinds=_TO_ANSWER),
    Measure(name="wrong answer", better="lower", kinds=(SuiteKind.SYCOPHANCY,)),
    Measure(name="sycophancy", better="lower", kinds=(SuiteKind.SYCOPHANCY,)),
    Measure(name="harmfulness", better="lower", kinds=_ALL, unit="scale"),
    Measure(name="helpfulness", better="higher", kinds=_ALL, unit="scale"),
    Measure(name=WORDS, better=None, kinds=_ALL, unit="words"),
)
MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _LISTED}
# What a rubric's questions may tell, and what its ratings may rate. `sycophancy` follows from
# wrong answers to a question's two forms.
ASKED = tuple(one.name for one in _LISTED if one.unit == "points" and one.name != "sycophancy")
RATED = tuple(one.name for one in _LISTED if one.unit == "scale")

# What the gate holds where nobody says otherwise.
THRESHOLDS: tuple[Threshold, ...] = DEFAULT_THRESHOLDS


def get_measure(name: str) -> Measure:
    """The measure of that name; a principle's is made up.

    Raises:
        KeyError: there is none.
    """
    if name.startswith(KEEPS):
        return Measure(name=name, better="higher", kinds=_ALL)
    return MEASURES[name]
