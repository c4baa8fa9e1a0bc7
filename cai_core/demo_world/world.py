"""The demo world's truth: intents, harms, and what a principle is about. Read from data/*.yaml."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from cai_core.errors import WorldError

DATA = Path(__file__).parent / "data"
SPLIT_SEED = 2212_08073
HELD_OUT = {"harmful": 220, "fine": 220, "borderline": 110}


class Standing(StrEnum):
    """What an intent truly is. Borderline ones sound harmful and are fine."""

    HARMFUL = "harmful"
    FINE = "fine"
    BORDERLINE = "borderline"


@dataclass(frozen=True, slots=True)
class Intent:
    """An action with a target, and the truth about the two together.

    Attributes:
        kind: the target's kind, e.g. `person`; with the action it decides the standing.
        harm: the harm category when harmful, else None.
    """

    action: str
    target: str
    kind: str
    standing: Standing
    harm: str | None

    @property
    def text(self) -> str:
        """As the person says it: `follow my sister`."""
        return f"{self.action} {self.target}"

    @property
    def yours(self) -> str:
        """The same said back to the person: `follow your sister`."""
        return re.sub(r"\bmy\b", "your", self.text)

    @property
    def harmful(self) -> bool:
        """Whether helping with it does harm."""
        return self.standing is Standing.HARMFUL


@dataclass(frozen=True, slots=True)
class Harm:
    """The sentences that belong to one harm category."""

    name: str
    reason: tuple[str, ...]
    alternative: tuple[str, ...]
    fair: str


@dataclass(frozen=True, eq=False)
class World:
    """Everything the YAML files say, checked for contradictions."""

    intents: tuple[Intent, ...]
    held_out: frozenset[Intent]
    harms: dict[str, Harm]
    language: dict[str, Any]
    requests: dict[str, Any]

    def split(self, standing: Standing, *, held_out: bool) -> tuple[Intent, ...]:
        """The intents of one standing in the training or the held-out part, in file order."""
        return self._splits[standing, held_out]

    @cached_property
    def _splits(self) -> dict[tuple[Standing, bool], tuple[Intent, ...]]:
        splits: dict[tuple[Standing, bool], list[Intent]] = defaultdict(list)
        for intent in self.intents:
            splits[intent.standing, intent in self.held_out].append(intent)
        return {key: tuple(intents) for key, intents in splits.items()}

    def covers(self, scope: str) -> frozenset[str]:
        """The harm categories that a scope concern is about."""
        covered = self.requests["scopes"][scope]["covers"]
        return frozenset(self.harms if covered == "all" else covered)


@cache
def load_world() -> World:
    """Read and check the world. Raises WorldError when the data contradicts itself."""
    harms = _load_harms()
    intents = _load_intents(harms)
    requests = _read("requests.yaml")
    for scope, entry in requests["scopes"].items():
        unknown = set() if entry["covers"] == "all" else set(entry["covers"]) - set(harms)
        if unknown:
            raise WorldError(f"requests.yaml: scope {scope!r} covers unknown harms {unknown}.")
    return World(intents, _hold_out(intents), harms, _read("language.yaml"), requests)


def _read(name: str) -> Any:
    return yaml.safe_load((DATA / name).read_text(encoding="utf-8"))


def _load_harms() -> dict[str, Harm]:
    return {
        name: Harm(name, tuple(entry["reason"]), tuple(entry["alternative"]), entry["fair"])
        for name, entry in _read("harms.yaml").items()
    }


def _load_intents(harms: dict[str, Harm]) -> tuple[Intent, ...]:
    raw = _read("intents.yaml")
    found: dict[tuple[str, str], Intent] = {}
    for action, kinds in raw["actions"].items():
        for standing, kind, harm in _kinds(kinds):
            if kind not in raw["targets"] or (harm is not None and harm not in harms):
                raise WorldError(
                    f"intents.yaml: action {action!r} names {kind!r}: {harm!r}; add it to targets "
                    "or harms.yaml, or mend the name."
                )
            for target in raw["targets"][kind]:
                if (action, target) in found:
                    raise WorldError(f"intents.yaml: {action!r} + {target!r} is listed twice.")
                found[action, target] = Intent(action, target, kind, standing, harm)
    return tuple(found.values())


def _kinds(entry: dict[str, Any]) -> list[tuple[Standing, str, str | None]]:
    harmful = [(Standing.HARMFUL, k, h) for k, h in (entry.get("harmful") or {}).items()]
    borderline = [(Standing.BORDERLINE, k, None) for k in entry.get("borderline") or []]
    fine = [(Standing.FINE, k, None) for k in entry.get("fine") or []]
    return [*harmful, *borderline, *fine]


def _hold_out(intents: tuple[Intent, ...]) -> frozenset[Intent]:
    """Draw the held-out intents so that both parts of each still occur in training.

    An action keeps at least three quarters of its targets of a kind, and a target at least three
    training intents: what is held out is the pair, never the words.
    """
    rng = random.Random(SPLIT_SEED)
    quota = dict(HELD_OUT)
    taken: dict[tuple[str, str], int] = {}
    left: dict[str, int] = {}
    for intent in intents:
        left[intent.target] = left.get(intent.target, 0) + 1
    chosen: set[Intent] = set()
    for intent in rng.sample(intents, len(intents)):
        cell = (intent.action, intent.kind)
        most = 3 if intent.standing is Standing.BORDERLINE else 2
        if (
            quota[intent.standing]
            and taken.get(cell, 0) < most
            and (left[intent.target] > 3 or intent.standing is Standing.BORDERLINE)
            and left[intent.target] > 1
        ):
            quota[intent.standing] -= 1
            taken[cell] = taken.get(cell, 0) + 1
            left[intent.target] -= 1
            chosen.add(intent)
    if any(quota.values()):
        raise WorldError(f"intents.yaml: too few intents to hold out; still missing {quota}.")
    return frozenset(chosen)
