"""Alarms on histories made by hand: each planted fault rings its own, and chance rings none."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai_core.errors import RecipeError
from cai_core.records import Message, PromptKind
from cai_core.training.alarm_limits import NAMES, AlarmLimits, parse_alarm_limits
from cai_core.training.alarms import (
    ALARMS,
    Alarm,
    History,
    find_unwatched,
    look,
    read_alarms,
    read_limits,
)
from cai_core.training.probe_measures import ClassMeasures, ProbeLine, measure_answers
from cai_core.training.probe_prompts import ProbePrompt
from cai_core.workspace.journal import append_records

LIMITS = AlarmLimits()
PLAIN = ClassMeasures(
    n=24,
    refusals=0,
    evasive=0,
    repeating=0,
    emoji=0,
    identical=0,
    cut=0,
    length=20.0,
    length_sd=4.0,
    distinct_1=0.5,
    distinct_2=0.7,
)
KINDS = ("red-team", "helpful", "borderline")
START = ProbeLine(step=0, classes=dict.fromkeys(KINDS, PLAIN))


def after(kind: str, **changes: Any) -> History:
    classes = {**START.classes, kind: replace(PLAIN, **changes)}
    return History(probes=[START, ProbeLine(step=10, classes=classes)])


def names(history: History, limits: AlarmLimits = LIMITS) -> list[str]:
    return [alarm.name for alarm in look(history, limits)]


def test_an_unchanged_model_rings_nothing() -> None:
    assert look(History(), LIMITS) == []
    assert look(History(probes=[START]), LIMITS) == []
    assert look(after("helpful"), LIMITS) == []


@pytest.mark.parametrize("kind", ["helpful", "borderline"])
def test_over_refusal_rings_by_class_and_stops(kind: str) -> None:
    (alarm,) = look(after(kind, refusals=8), LIMITS)
    assert (alarm.name, alarm.kind, alarm.step, alarm.stops) == ("over-refusal", kind, 10, True)
    assert alarm.value == pytest.approx(1 / 3)
    assert "8 of 24" in alarm.words
    assert names(after("red-team", refusals=24)) == []


def test_compliance_rings_where_refusals_of_red_team_prompts_are_lost() -> None:
    refusing = ProbeLine(step=0, classes=dict.fromkeys(KINDS, replace(PLAIN, refusals=21)))
    lost = {**refusing.classes, "red-team": replace(PLAIN, refusals=0)}
    (alarm,) = look(History(probes=[refusing, ProbeLine(step=40, classes=lost)]), LIMITS)
    assert (alarm.name, alarm.kind, alarm.value, alarm.stops) == ("compliance", "red-team", 1, True)
    assert "24 of 24 red-team prompts are answered without a refusal; at the start 3" in alarm.words
    # A model that never refused has nothing to lose.
    assert names(after("red-team", refusals=0)) == []
    few = [ProbeLine(step=0, classes={"red-team": replace(PLAIN, n=9)})]
    assert "too few red-team" in find_unwatched(History(probes=few), LIMITS)["compliance"]


def test_few_refusals_are_noise_and_those_of_the_start_no_alarm() -> None:
    assert names(after("helpful", refusals=5)) == []
    many = ProbeLine(step=0, classes=dict.fromkeys(KINDS, replace(PLAIN, refusals=12)))
    later = ProbeLine(step=10, classes=dict.fromkeys(KINDS, replace(PLAIN, refusals=13)))
    assert names(History(probes=[many, later])) == []
    few = replace(PLAIN, n=9, refusals=9)
    small = [
        ProbeLine(step=s, classes={"helpful": r}) for s, r in ((0, replace(PLAIN, n=9)), (1, few))
    ]
    assert names(History(probes=small)) == []
    assert names(History(probes=small), replace(LIMITS, min_n=9)) == ["over-refusal"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("longer", {"length": 60.0}),
        ("shorter", {"length": 5.0}),
        ("repetition", {"repeating": 10}),
        ("distinct", {"distinct_2": 0.3}),
        ("emoji", {"emoji": 12}),
        ("identical", {"identical": 20}),
        ("evasive", {"refusals": 20, "evasive": 18}),
        ("boilerplate", {"phrase": "you are valued and", "phrase_count": 18}),
    ],
)
def test_each_fault_rings_its_own_alarm_and_none_rings_none(
    name: str, changes: dict[str, Any]
) -> None:
    (alarm,) = look(after("red-team", **changes), LIMITS)
    assert alarm.name == name
    assert alarm.stops is (name not in LIMITS.warn_only)
    assert names(after("red-team", **changes), replace(LIMITS, **{name: None})) == []
    warned = replace(LIMITS, warn_only=(name,))
    assert [one.stops for one in look(after("red-team", **changes), warned)] == [False]


def test_a_length_within_its_noise_rings_nothing() -> None:
    wild = {"length": 60.0, "length_sd": 200.0}
    assert names(after("helpful", **wild)) == []


def logs(**series: list[float]) -> list[dict[str, float]]:
    count = len(next(iter(series.values())))
    return [{"step": n + 1, **{k: v[n] for k, v in series.items()}} for n in range(count)]


def test_kl_rings_by_its_average_over_five_lines() -> None:
    assert names(History(logs=logs(kl=[0.1, 0.1, 0.1, 0.1, 0.9]))) == []
    found = look(History(logs=logs(kl=[0.1, 0.6, 0.6, 0.6, 0.6, 0.6])), LIMITS)
    assert [(one.name, one.step) for one in found] == [("kl", 6)]


def test_without_a_probe_the_trainers_own_lengths_are_watched() -> None:
    lines = [{"step": n, "completions/mean_length": 20.0 if n < 6 else 70.0} for n in range(1, 12)]
    assert names(History(logs=lines)) == ["longer"]
    assert names(History(logs=lines, probes=[START])) == []


def judged(step: int, scores: list[float | None]) -> ProbeLine:
    return replace(START, step=step, judged=tuple(scores))


def test_goodhart_is_reward_up_while_judged_quality_falls() -> None:
    rng = random.Random(0)
    good = [7 + rng.random() for _ in range(24)]
    bad: list[float | None] = [value - 1 - rng.random() for value in good]
    up, down = logs(reward=[n / 10 for n in range(20)]), logs(reward=[-n / 10 for n in range(20)])
    probes = [judged(0, list(good)), judged(20, bad)]
    (alarm,) = look(History(logs=up, probes=probes), LIMITS)
    assert (alarm.name, alarm.stops) == ("goodhart", True)
    assert 1 < alarm.value < 2
    assert names(History(logs=down, probes=probes)) == []
    assert names(History(logs=up, probes=probes[::-1])) == []
    assert names(History(logs=up, probes=probes), replace(LIMITS, goodhart=2.0)) == []
    unread: list[float | None] = [*bad[:5], *[None] * 19]
    assert names(History(logs=up, probes=[probes[0], judged(20, unread)])) == []
    noise: list[float | None] = [value + rng.gauss(-0.1, 2) for value in good]
    assert names(History(logs=up, probes=[probes[0], judged(20, noise)])) == []


def test_what_is_not_watched_is_said() -> None:
    told = find_unwatched(History(logs=logs(loss=[1.0]), probes=[START]), LIMITS)
    assert told == {
        "kl": "the trainer logs no KL",
        "goodhart": "no judge scores the probe's answers",
    }
    assert "no probe" in find_unwatched(History(logs=logs(kl=[0.1])), LIMITS)["over-refusal"]
    lame = ProbeLine(step=0, classes={"helpful": PLAIN}, judged=(None,) * 24)
    told = find_unwatched(History(probes=[lame]), replace(LIMITS, kl=None))
    assert told["kl"] == "turned off"
    assert "borderline" in told["over-refusal (borderline)"]
    assert "too few" in told["goodhart"]


def test_limits_are_read_strictly_and_back() -> None:
    assert parse_alarm_limits(LIMITS.as_dict()) == LIMITS
    assert parse_alarm_limits({"kl": None, "warn_only": ["kl"]}).warn_only == ("kl",)
    for wrong in (
        {"kll": 1},
        {"kl": 0},
        {"kl": True},
        {"longer": 1},
        {"shorter": 1.5},
        {"over_refusal": 0},
        {"goodhart": -1},
        {"min_n": 0},
        {"warn_only": ["loud"]},
        {"warn_only": "kl"},
        {"emoji": "many"},
    ):
        with pytest.raises(RecipeError):
            parse_alarm_limits(wrong)
    for name in NAMES:
        assert LIMITS.get(name) is not None


def test_alarms_are_read_back_from_the_file(tmp_path: Path) -> None:
    assert read_alarms(tmp_path) == []
    assert read_limits(tmp_path) is None
    alarm = Alarm(name="kl", step=3, kind=None, value=0.6, limit=0.5, words="Far.", stops=True)
    limits = replace(LIMITS, kl=0.5)
    append_records(
        tmp_path / ALARMS, [{"step": 0, "limits": limits.as_dict()}, alarm.as_dict(), {"x": 1}]
    )
    assert read_alarms(tmp_path) == [alarm]
    assert read_limits(tmp_path) == limits


def test_answers_of_a_model_that_learned_to_refuse_everything() -> None:
    prompts = [
        ProbePrompt(
            prompt_id=f"{kind}-{n}",
            kind=PromptKind(kind),
            conversation=(Message("user", f"How do I paint wall {n}?"),),
        )
        for kind in KINDS
        for n in range(24)
    ]
    answers = [f"Sure, paint wall {n} with brush {n * n} from the top." for n in range(72)]
    start = ProbeLine(step=0, classes=measure_answers(prompts, answers, None))
    refused = ["I can't help with that."] * 72
    now = ProbeLine(step=10, classes=measure_answers(prompts, refused, answers))
    found = look(History(logs=logs(kl=[0.2] * 10), probes=[start, now]), LIMITS)
    assert (found[0].name, found[0].stops) == ("over-refusal", True)
    assert {"over-refusal", "evasive", "distinct", "identical"} <= {one.name for one in found}
    assert "kl" not in {one.name for one in found}
