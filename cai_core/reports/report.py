"""Everything a report tells, frozen: `load` reads it, `sections` puts it into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cai_core.evaluation.drift import Drift
from cai_core.evaluation.drift_side import Side
from cai_core.evaluation.label_quality import LabelQuality
from cai_core.evaluation.review_agreement import Agreement
from cai_core.evaluation.suites import Suite
from cai_core.jobs.calibration_study import CalibratedJudge
from cai_core.jobs.forecast_usage import Usage
from cai_core.records import Constitution


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """One evaluation.

    Attributes:
        label: how the report calls it; no two are alike.
        metrics: the content of its metrics.json.
        maker: the run of this workspace that made its model; None where it came from elsewhere.
        suite: None where its file cannot be read.
    """

    label: str
    side: Side
    metrics: Mapping[str, Any]
    maker: str | None
    suite: Suite | None

    @property
    def run(self) -> str:
        """The evaluation's id."""
        return self.side.run


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageRun:
    """A run that the evaluations rest on, or one of them.

    Attributes:
        kind, state: empty where the run is not here any more.
        recipe_hash, weights_hash: SHA-256 (hex) of the recipe, and of the model that it made (of an
            evaluation: that it asked); None where nothing tells it.
    """

    run: str
    kind: str
    state: str
    parents: tuple[str, ...]
    recipe_hash: str | None
    weights_hash: str | None
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedConstitution:
    """A version, and the runs that went by it."""

    constitution: Constitution
    runs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What somebody wrote about a model or data: Markdown, shown as it is."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A baseline and its candidates, with all that is known of how they came about.

    Attributes:
        made: when (ISO 8601). version: of this code.
        sides: the baseline, then the candidates. drifts: one for each candidate.
        lineage: children before parents, the evaluations first.
        calibrations: judge's name → what people say of its judgements; empty where nobody did.
        labels: `label` run → what its labels are like. agreements: queue's name, its run → votes.
        synthetic: whether the demo model has a part in it.
        unread: what could not be read and is left out, in words.
    """

    made: str
    version: str
    sides: tuple[Evaluated, ...]
    drifts: tuple[Drift, ...]
    lineage: tuple[LineageRun, ...]
    constitutions: tuple[UsedConstitution, ...]
    cards: tuple[Card, ...]
    labels: Mapping[str, LabelQuality]
    agreements: Mapping[tuple[str, str], Agreement]
    synthetic: bool
    unread: tuple[str, ...] = ()
    calibrations: Mapping[str, tuple[CalibratedJudge, ...]] = field(default_factory=dict)
