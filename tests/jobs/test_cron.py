"""Cron texts: what is due, against a second way of reckoning it, and what is refused."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cai_core.errors import RecipeError
from cai_core.jobs.cron import Cron, parse_cron

TIMES = st.integers(1_670_000_000, 1_890_000_000).map(lambda at: datetime.fromtimestamp(at, UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def is_due(cron: Cron, moment: datetime) -> bool:
    """By the fields alone, a minute at a time."""
    by_day = moment.day in cron.days
    by_weekday = (moment.weekday() + 1) % 7 in cron.weekdays
    day = (by_day or by_weekday) if cron.either else (by_day and by_weekday)
    return (
        moment.minute in cron.minutes
        and moment.hour in cron.hours
        and moment.month in cron.months
        and day
    )


@pytest.mark.parametrize(
    ("text", "after", "due"),
    [
        ("0 6 * * *", "2026-11-28T05:59", "2026-11-28T06:00"),
        ("0 6 * * *", "2026-11-28T06:00", "2026-11-29T06:00"),
        ("0 6 * * mon-fri", "2026-11-27T06:00", "2026-11-30T06:00"),
        ("*/20 8-9 * * *", "2026-11-28T08:41", "2026-11-28T09:00"),
        ("5/25 * * * *", "2026-11-28T08:31", "2026-11-28T08:55"),
        ("0 0 29 2 *", "2025-03-01T00:00", "2028-02-29T00:00"),
        ("0 0 29 2 */7", "2088-02-29T00:00", "2128-02-29T00:00"),
        ("0 0 31 * *", "2026-11-30T12:00", "2026-12-31T00:00"),
        # The 13th or a Friday, as cron has it; with a star before the step, both must hold.
        ("0 0 13 * fri", "2026-11-28T00:00", "2026-12-04T00:00"),
        ("0 0 */2 * sun", "2026-11-28T00:00", "2026-11-29T00:00"),
        ("0 0 * jan,jul 7", "2026-11-28T00:00", "2027-01-03T00:00"),
        ("0 0 * * fri-sun", "2026-11-30T00:00", "2026-12-04T00:00"),
        ("@weekly", "2026-11-28T00:00", "2026-11-29T00:00"),
        ("59 23 31 12 *", "2026-12-31T23:59", "2027-12-31T23:59"),
    ],
)
def test_the_next_time(text: str, after: str, due: str) -> None:
    cron = parse_cron(text)
    assert cron.find_next(at(after)) == at(due)
    assert cron.find_last(at(due)) == at(due)
    assert cron.find_last(at(due) - timedelta(minutes=1)) != at(due)


@pytest.mark.parametrize("seed", range(30))
def test_next_and_last_are_those_of_a_walk_through_every_minute(seed: int) -> None:
    rng = random.Random(seed)
    minute = rng.choice(["*/7", "3,58", "0-59/13", "*"])
    hour = rng.choice(["*", "*/6", "23", "8-10"])
    day = rng.choice(["*", "1,15", "*/9", "28-31"])
    weekday = rng.choice(["*", "mon-fri", "0", "6,7"])
    cron = parse_cron(f"{minute} {hour} {day} * {weekday}")
    start = at("2026-02-20T00:00") + timedelta(minutes=rng.randrange(60 * 24 * 20))
    due = cron.find_next(start)
    walked = start + timedelta(minutes=1)
    while not is_due(cron, walked):
        walked += timedelta(minutes=1)
    assert due == walked
    assert cron.find_last(due + timedelta(seconds=59)) == due
    back = cron.find_last(start)
    assert back is not None and is_due(cron, back) and cron.find_next(back) == due


@given(TIMES)
def test_no_due_time_lies_between_the_last_and_the_next(moment: datetime) -> None:
    cron = parse_cron("17 */5 1-20 * tue,sat")
    last, due = cron.find_last(moment), cron.find_next(moment)
    assert last is not None and last <= moment < due
    assert cron.count_due(last, moment, most=5) == 0
    assert cron.count_due(last, due, most=5) == 1


def test_every_clock_is_read_as_utc() -> None:
    cron = parse_cron("0 6 * * *")
    there = timezone(timedelta(hours=9))
    assert cron.find_next(datetime(2026, 11, 28, 14, 30, tzinfo=there)) == at("2026-11-28T06:00")


def test_many_due_times_are_counted_up_to_a_number() -> None:
    assert parse_cron("* * * * *").count_due(at("2020-01-01"), at("2026-01-01"), most=500) == 500


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "5 fields"),
        ("* * * *", "5 fields"),
        ("60 * * * *", "'60' is not from 0 to 59"),
        ("* 24 * * *", "hour: '24'"),
        ("* * 0 * *", "day of the month: '0'"),
        ("* * * 13 *", "or jan to dec"),
        ("* * * * 8", "or sun to sat"),
        ("* * * * mo", "day of the week: 'mo'"),
        ("5-1 * * * *", "holds nothing"),
        ("*/0 * * * *", "holds nothing"),
        ("1,,2 * * * *", "is no number"),
        ("*-5 * * * *", "is no number"),
        ("-1 * * * *", "is no number"),
        ("0 0 30 2 *", "no such day ever comes"),
        ("0 0 31 4,6,9,11 *", "no such day ever comes"),
        ("x" * 300, "300 characters"),
        ("１ * * * *", "is no number"),
    ],
)
def test_what_is_no_cron_text_is_refused_with_its_field(text: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told.replace("*", r"\*")):
        parse_cron(text)


def test_an_impossible_day_beside_a_weekday_is_due_by_the_weekday() -> None:
    assert parse_cron("0 0 31 2 mon").find_next(at("2026-02-01")) == at("2026-02-02")
