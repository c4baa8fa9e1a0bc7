"""What a principle asks for, in the demo world: drawing requests, and reading any request."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cai_core.demo_world.world import World
from cai_core.records import Principle

IMPLIED = {"evasive": "reason", "no alternative": "alternative", "preachy": "no preaching"}
BEHAVIOURS = ("reason", "cite", "alternative", "fair", "no preaching")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The meaning of a principle's requests.

    Attributes:
        concern: a scope (`harm`, `privacy`, …) or a manner (`evasive`, …) of requests.yaml.
        behaviours: what a revision should do, implied ones included.
        cited_name: the name to cite when `cite` is asked for.
    """

    concern: str
    behaviours: frozenset[str] = frozenset()
    cited_name: str | None = None


@lru_cache(maxsize=4096)
def read_principle(world: World, principle: Principle) -> Request | None:
    """What a principle means in the world; None when it names no concern of the world."""
    concern = read_concern(world, principle.critique_request)
    if concern is None:
        return None
    asked, name = read_behaviours(world, principle.revision_request)
    implied = {IMPLIED[concern]} if concern in IMPLIED else set()
    return Request(concern=concern, behaviours=frozenset(asked | implied), cited_name=name)


# A principle's few requests are read again for each label under it.
@lru_cache(maxsize=4096)
def read_concern(world: World, text: str) -> str | None:
    """The concern whose phrase occurs in the text; the longest phrase wins."""
    found = [(len(p), concern) for concern, p in _concern_phrases(world) if _occurs(p, text)]
    return max(found)[1] if found else None


def read_behaviours(world: World, text: str) -> tuple[set[str], str | None]:
    """The behaviours a revision request asks for, and the name to cite."""
    asked: set[str] = set()
    cited = None
    for behaviour, phrases in world.requests["behaviours"].items():
        for phrase in phrases:
            pattern = re.escape(phrase).replace(re.escape("{name}"), r'(?P<name>[^"]+)')
            if match := re.search(pattern, text, re.IGNORECASE):
                asked.add(behaviour)
                cited = match.groupdict().get("name") or cited
    return asked, cited


def draw_principle(
    world: World, rng: random.Random, behaviours: frozenset[str] | None = None
) -> Principle:
    """A principle of the world, drawn from the grammar of requests.yaml.

    `behaviours` fixes what the revision request asks for; None draws a random subset.
    """
    scope = rng.random() < 0.66
    concerns = world.requests["scopes"] if scope else world.requests["manners"]
    # General harm is as likely as all the narrower scopes together: most principles ask for it.
    concern = "harm" if scope and rng.random() < 0.4 else rng.choice(list(concerns))
    if behaviours is None:
        behaviours = frozenset(b for b in BEHAVIOURS if rng.random() < 0.5)
    if concern == "uncited":
        behaviours = behaviours | {"cite"}
    return build_principle(world, concern, behaviours, rng)


def build_principle(
    world: World, concern: str, behaviours: frozenset[str], rng: random.Random
) -> Principle:
    """Word a principle with that concern whose revision request asks for those behaviours."""
    kind = "scope" if concern in world.requests["scopes"] else "manner"
    entry = world.requests["scopes" if kind == "scope" else "manners"][concern]
    forms: dict[str, Any] = world.requests

    def ask(frames: str) -> str:
        return str(rng.choice(forms[frames]).format(concern=rng.choice(entry["phrases"])))

    revision = ask(f"revision_{kind}")
    if behaviours:
        clause = build_behaviour_clause(world, behaviours, rng)
        revision += " " + rng.choice(forms["revision_behaviours"]).format(behaviours=clause)
    return Principle(
        id="drawn",
        text=f"Avoid: {entry['phrases'][0]}.",
        critique_request=ask(f"critique_{kind}"),
        revision_request=revision,
        comparison_request=ask(f"comparison_{kind}"),
    )


def build_behaviour_clause(world: World, behaviours: frozenset[str], rng: random.Random) -> str:
    """`say why, offer an alternative and avoid lecturing`, in a random order."""
    name = rng.choice(world.requests["cited_names"])
    # Sorted first: a set's order differs between processes, and the draw must not.
    wanted = rng.sample(sorted(behaviours), len(behaviours))
    phrases = [rng.choice(world.requests["behaviours"][b]).format(name=name) for b in wanted]
    if len(phrases) == 1:
        return str(phrases[0])
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _concern_phrases(world: World) -> list[tuple[str, str]]:
    groups = {**world.requests["scopes"], **world.requests["manners"]}
    return [(concern, phrase) for concern, entry in groups.items() for phrase in entry["phrases"]]


def _occurs(phrase: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE) is not None
