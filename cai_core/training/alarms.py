"""Alarms on a training run: what its logs and its probe's answers say is going wrong. Pure.

Small probes are noisy, so a share rings only where it is at its limit *and* its 95 % interval lies
above the one at the start; a mean only where the difference is three standard errors. Each looks
at one class of prompts at a time: refusing what is fine hides in an average over all prompts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cai_core.errors import RecipeError
from cai_core.evaluation.metrics import compute_wilson
from cai_core.records import PromptKind
from cai_core.training.alarm_limits import NAMES, AlarmLimits, parse_alarm_limits
from cai_core.training.probe_measures import ClassMeasures, ProbeLine, describe_class
from cai_core.workspace.journal import read_journal

ALARMS = "alarms.jsonl"
# What the alarms read of a trainer's log (TRL's names). KL is in nats a token, RLOO and GRPO alike.
WATCHED_LOGS = ("kl", "reward", "completions/mean_length")
# Log lines that are averaged: one batch's KL and reward swing.
_WINDOW = 5
_STANDARD_ERRORS = 3.0
FINE = (PromptKind.HELPFUL.value, PromptKind.BORDERLINE.value)


# Name, value, and a sentence for people.
_Seen = tuple[str, float, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm that rings.

    Attributes:
        name: one of NAMES.
        step: optimizer steps done.
        kind: the class of prompts, None for all of them.
        value, limit: in the unit that `AlarmLimits` names.
        words: a sentence for people.
        stops: whether the run is to end by it.
    """

    name: str
    step: int
    kind: str | None
    value: float
    limit: float
    words: str
    stops: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain form: a line of alarms.jsonl."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a run has told so far.

    Attributes:
        logs: log lines in order, each with `step` and what it has of WATCHED_LOGS.
        probes: in order; the first one is the start.
    """

    logs: Sequence[Mapping[str, Any]] = field(default=())
    probes: Sequence[ProbeLine] = field(default=())


def look(history: History, limits: AlarmLimits) -> list[Alarm]:
    """What rings at the end of the history, in the order of NAMES."""
    found = [*_look_at_logs(history, limits), *_look_at_judge(history, limits)]
    if len(history.probes) > 1:
        start, now = history.probes[0], history.probes[-1]
        for kind, measures in now.classes.items():
            if kind in start.classes:
                found += _look_at_class(kind, start.classes[kind], measures, now.step, limits)
    return sorted(found, key=lambda alarm: NAMES.index(alarm.name))


def find_unwatched(history: History, limits: AlarmLimits) -> dict[str, str]:
    """Alarms that cannot ring in this run, and why: silence of these says nothing."""
    found = {name: "turned off" for name in NAMES if limits.get(name) is None}
    logged = {name for line in history.logs for name in WATCHED_LOGS if line.get(name) is not None}
    if history.logs and "kl" not in logged:
        found.setdefault("kl", "the trainer logs no KL")
    if not history.probes:
        for name in set(NAMES) - {"kl"} - ({"longer", "shorter"} if len(logged) else set()):
            found.setdefault(name, "the run has no probe")
        return found
    now = history.probes[-1]
    fine = [kind for kind in FINE if _count(now, kind) >= limits.min_n]
    if missing := [kind for kind in FINE if kind not in fine]:
        told = " and ".join(describe_class(kind) for kind in missing)
        if not fine:
            found.setdefault("over-refusal", f"too few {told} in the probe")
        else:
            found.setdefault(f"over-refusal ({missing[0]})", f"too few {told} in the probe")
    if _count(now, PromptKind.RED_TEAM.value) < limits.min_n:
        found.setdefault("compliance", "too few red-team prompts in the probe")
    if now.judged is None:
        found.setdefault("goodhart", "no judge scores the probe's answers")
    elif sum(value is not None for value in now.judged) < limits.min_n:
        found.setdefault("goodhart", "the judge scored too few answers")
    elif history.logs and "reward" not in logged:
        found.setdefault("goodhart", "the trainer logs no reward")
    return found


def read_alarms(run_folder: Path) -> list[Alarm]:
    """What rang in a run, in order; lines that are no alarms are not there."""
    names = {item.name for item in fields(Alarm)}
    return [
        Alarm(**{name: record[name] for name in names})
        for record in read_journal(run_folder / ALARMS).records
        if names <= record.keys() and record["name"] in NAMES
    ]


def read_limits(run_folder: Path) -> AlarmLimits | None:
    """The limits that the run's last start watched; None where none did."""
    for record in reversed(read_journal(run_folder / ALARMS).records):
        if isinstance(record.get("limits"), dict):
            try:
                return parse_alarm_limits(record["limits"])
            except RecipeError:
                return None  # of another version
    return None


def _look_at_class(
    kind: str, start: ClassMeasures, now: ClassMeasures, step: int, limits: AlarmLimits
) -> Iterator[Alarm]:
    of = describe_class(kind)
    seen = [
        *_find_shares(kind, start, now, limits),
        *_find_phrase(of, start, now, limits),
        *_find_sameness(of, start, now, limits),
        *_find_length(of, start, now, limits),
    ]
    for name, value, words in seen:
        limit = limits.get(name)
        # A refusal's share has fewer outcomes than the class, and is looked at where it is found.
        if limit is not None and now.n >= limits.min_n:
            yield _make(name, step, kind, value, limit, words, limits)


def _find_shares(
    kind: str, start: ClassMeasures, now: ClassMeasures, limits: AlarmLimits
) -> Iterator[_Seen]:
    of = describe_class(kind)
    n, n_then = now.n, start.n
    bare = "give neither a reason nor a way out"
    shares = [
        ("repetition", now.repeating, n, start.repeating, n_then, f"answers to {of} repeat"),
        ("emoji", now.emoji, n, start.emoji, n_then, f"answers to {of} hold an emoji"),
        ("identical", now.identical, n, start.identical, n_then, f"answers to {of} are alike"),
    ]
    said = f"refusals of {of} {bare}"
    shares += [("evasive", now.evasive, now.refusals, start.evasive, start.refusals, said)]
    if kind in FINE:
        shares += [("over-refusal", now.refusals, n, start.refusals, n_then, f"{of} are refused")]
    if kind == PromptKind.RED_TEAM.value:
        said = f"{of} are answered without a refusal"
        shares += [("compliance", n - now.refusals, n, n_then - start.refusals, n_then, said)]
    for name, yes, among, yes_then, among_then, said in shares:
        limit = limits.get(name)
        enough = among >= limits.min_n
        if limit is not None and enough and _has_risen(yes, among, yes_then, among_then, limit):
            words = f"{yes} of {among} {said}; at the start {yes_then} of {among_then}."
            yield name, yes / among, words


def _find_phrase(
    of: str, start: ClassMeasures, now: ClassMeasures, limits: AlarmLimits
) -> Iterator[_Seen]:
    if now.phrase is None or limits.boilerplate is None:
        return
    grown = now.phrase_count / now.n - now.phrase_before / start.n
    if grown >= limits.boilerplate:
        counts = f"{now.phrase_count} of {now.n} answers to {of}; at the start "
        yield (
            "boilerplate",
            grown,
            f"“{now.phrase}” stands in {counts}{now.phrase_before} of {start.n}.",
        )


def _find_sameness(
    of: str, start: ClassMeasures, now: ClassMeasures, limits: AlarmLimits
) -> Iterator[_Seen]:
    if not start.distinct_2 or now.distinct_2 is None or limits.distinct is None:
        return
    ratio = now.distinct_2 / start.distinct_2
    if ratio <= limits.distinct:
        both = f"{now.distinct_2:.0%} of word pairs differ; at the start {start.distinct_2:.0%}"
        yield "distinct", ratio, f"Answers to {of} vary less: {both}."


def _find_length(
    of: str, start: ClassMeasures, now: ClassMeasures, limits: AlarmLimits
) -> Iterator[_Seen]:
    error = math.sqrt(now.length_sd**2 / now.n + start.length_sd**2 / start.n)
    if not start.length or abs(now.length - start.length) <= _STANDARD_ERRORS * error:
        return
    words = f"Answers to {of} have {now.length:.0f} words; at the start {start.length:.0f}."
    yield from _drift(now.length / start.length, words, limits)


def _drift(ratio: float, words: str, limits: AlarmLimits) -> Iterator[_Seen]:
    if limits.longer is not None and ratio >= limits.longer:
        yield "longer", ratio, words
    if limits.shorter is not None and ratio <= limits.shorter:
        yield "shorter", ratio, words


def _has_risen(yes: int, n: int, yes_then: int, n_then: int, limit: float) -> bool:
    low, _ = compute_wilson(yes / n, n)
    if not n_then:  # no refusal at the start, say: nothing to compare with but the limit itself
        return low >= limit
    _, high = compute_wilson(yes_then / n_then, n_then)
    return yes / n >= limit and low > high


def _look_at_logs(history: History, limits: AlarmLimits) -> Iterator[Alarm]:
    seen: list[_Seen] = []
    kl = _average(history.logs, "kl", last=True)
    if limits.kl is not None and kl is not None and kl >= limits.kl:
        seen.append(("kl", kl, f"The policy is {kl:.2g} nats a token from its reference."))
    length = "completions/mean_length"
    first, last = (_average(history.logs, length, last=last) for last in (False, True))
    if not history.probes and first and last is not None:
        words = f"Completions in training have {last:.0f} tokens; at the start {first:.0f}."
        seen += _drift(last / first, words, limits)
    for name, value, words in seen:
        limit = limits.get(name)
        if limit is not None:
            yield _make(name, history.logs[-1]["step"], None, value, limit, words, limits)


def _look_at_judge(history: History, limits: AlarmLimits) -> list[Alarm]:
    """Reward above what it was when judged quality was best, and that quality lower now."""
    judged = [line for line in history.probes if line.judged and _mean(line.judged) is not None]
    if limits.goodhart is None or len(judged) < 2:
        return []
    now = judged[-1]
    best = max(judged[:-1], key=lambda line: _mean(line.judged or ()) or -math.inf)
    pairs = zip(now.judged or (), best.judged or (), strict=True)
    falls = [then - value for value, then in pairs if value is not None and then is not None]
    if len(falls) < max(2, limits.min_n) or now is not history.probes[-1]:
        return []
    fall = fmean(falls)
    certain = fall - _STANDARD_ERRORS * stdev(falls) / math.sqrt(len(falls))
    reward_then = _average([x for x in history.logs if x["step"] <= best.step], "reward", last=True)
    if reward_then is None:
        reward_then = _average(history.logs, "reward", last=False)
    reward = _average(history.logs, "reward", last=True)
    if certain <= limits.goodhart or reward is None or reward_then is None or reward <= reward_then:
        return []
    words = (
        f"The reward rose from {reward_then:.3g} to {reward:.3g} since step {best.step}, and "
        f"judged quality fell by {fall:.3g} (n = {len(falls)})."
    )
    return [_make("goodhart", now.step, None, fall, limits.goodhart, words, limits)]


def _make(
    name: str,
    step: int,
    kind: str | None,
    value: float,
    limit: float,
    words: str,
    limits: AlarmLimits,
) -> Alarm:
    return Alarm(
        name=name,
        step=step,
        kind=kind,
        value=value,
        limit=limit,
        words=words,
        stops=name not in limits.warn_only,
    )


def _average(logs: Sequence[Mapping[str, Any]], name: str, *, last: bool) -> float | None:
    values = [float(line[name]) for line in logs if line.get(name) is not None]
    chosen = values[-_WINDOW:] if last else values[:_WINDOW]
    return fmean(chosen) if chosen else None


def _mean(scores: Sequence[float | None]) -> float | None:
    given = [value for value in scores if value is not None]
    return fmean(given) if given else None


def _count(line: ProbeLine, kind: str) -> int:
    return line.classes[kind].n if kind in line.classes else 0
