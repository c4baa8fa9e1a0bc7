"""Cron texts: five fields that say at which minutes something is due. Pure; all times are UTC.

    minute hour day-of-month month day-of-week
    0 6 * * mon-fri        at 06:00 from Monday to Friday
    */30 8-18 1,15 * *     every half hour from 8 to 18, on the 1st and the 15th

Fields are `*`, numbers, ranges, lists and steps; months and weekdays may be named by their first
three letters; Sunday is 0 and 7. As in cron, a day is due by either field where both the day of
the month and the day of the week are restricted, that is, do not begin with `*`.
"""

from __future__ import annotations

import calendar
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cai_core.errors import RecipeError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SHORTS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}
_PART = re.compile(r"(?P<first>\*|[a-z0-9]+)(?:-(?P<last>[a-z0-9]+))?(?:/(?P<step>[0-9]+))?")
# 29 February comes again on one weekday after 28 years, across a century's end after 40.
_DAYS_AHEAD = 40 * 366
MAX_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Minutes that are due.

    Attributes:
        text: as it was written, its spaces made single.
        minutes, hours, days, months, weekdays: sorted; weekdays from 0, a Sunday, to 6.
        either: a day is due by its day of the month or by its weekday; else by both.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool

    def find_next(self, after: datetime) -> datetime:
        """The first due minute later than `after`."""
        moment = _as_minute(after) + timedelta(minutes=1)
        found = self._search(moment, forwards=True)
        assert found is not None, "parse_cron refuses what is never due"
        return found

    def find_last(self, until: datetime) -> datetime | None:
        """The last due minute that is not later than `until`; None before the calendar begins."""
        return self._search(_as_minute(until), forwards=False)

    def count_due(self, after: datetime, until: datetime, *, most: int) -> int:
        """Due minutes later than `after` and not later than `until`, at most `most`."""
        count, moment = 0, after
        while count < most and (moment := self.find_next(moment)) <= until:
            count += 1
        return count

    def _search(self, moment: datetime, *, forwards: bool) -> datetime | None:
        for day in _walk(moment.date(), forwards=forwards):
            if not self._has(day):
                continue
            minute_of_day = moment.hour * 60 + moment.minute
            if day != moment.date():
                minute_of_day = 0 if forwards else 24 * 60 - 1
            found = self._find_minute(minute_of_day, forwards=forwards)
            if found is not None:
                return datetime(day.year, day.month, day.day, *divmod(found, 60), tzinfo=UTC)
        return None

    def _has(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return (by_day or by_weekday) if self.either else (by_day and by_weekday)

    def _find_minute(self, minute_of_day: int, *, forwards: bool) -> int | None:
        """The due minute of a day that is nearest to this one, itself included."""
        due = [hour * 60 + minute for hour in self.hours for minute in self.minutes]
        place = bisect_left(due, minute_of_day) if forwards else bisect_right(due, minute_of_day)
        if forwards:
            return due[place] if place < len(due) else None
        return due[place - 1] if place else None


def parse_cron(text: str) -> Cron:
    """Read a cron text.

    Raises:
        RecipeError: it is none, or of a day that never comes; the message says which field.
    """
    told = " ".join(text.split())
    if len(text) > MAX_CHARS:
        raise RecipeError(f"the cron text has {len(text)} characters. Use at most {MAX_CHARS}.")
    fields = _SHORTS.get(told.lower(), told).lower().split(" ")
    if len(fields) != 5:
        raise RecipeError(
            f"{told!r}: a cron text has 5 fields (minute hour day month weekday), this one "
            f"{len(fields) if told else 0}. Write `0 6 * * *`, say: every day at 06:00 UTC."
        )
    minute, hour, day, month, weekday = fields
    cron = Cron(
        text=told,
        minutes=_parse("minute", minute, 0, 59),
        hours=_parse("hour", hour, 0, 23),
        days=_parse("day of the month", day, 1, 31),
        months=_parse("month", month, 1, 12, _MONTHS),
        weekdays=tuple(sorted({n % 7 for n in _parse("day of the week", weekday, 0, 7, _DAYS)})),
        either=not day.startswith("*") and not weekday.startswith("*"),
    )
    longest = max(calendar.monthrange(2024, number)[1] for number in cron.months)
    if not cron.either and min(cron.days) > longest:
        raise RecipeError(f"{told!r}: no such day ever comes. Change the day, or the month.")
    return cron


def _parse(
    name: str, field: str, least: int, most: int, names: tuple[str, ...] = ()
) -> tuple[int, ...]:
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None or (match["first"] == "*" and match["last"]):
            raise RecipeError(
                f"cron, {name}: {part!r} is no number, range (1-5), step (*/2) or `*`."
            )
        step = 1 if match["step"] is None else int(match["step"])
        if match["first"] == "*":
            first, last = least, most
        else:
            first = _read(name, match["first"], least, most, names)
            # As in cron: `5/15` begins at 5 and goes on to the end.
            last = first if match["step"] is None else most
            if match["last"] is not None:
                last = _read(name, match["last"], least, most, names)
                if names == _DAYS and last == 0 < first:
                    last = 7  # `fri-sun`
        if first > last or step < 1:
            raise RecipeError(
                f"cron, {name}: {part!r} holds nothing. Write the lower end first, steps from 1."
            )
        found.update(range(first, last + 1, step))
    return tuple(sorted(found))


def _read(name: str, text: str, least: int, most: int, names: tuple[str, ...]) -> int:
    if text in names:
        return names.index(text) + (1 if least == 1 else 0)
    if not text.isdecimal() or not least <= int(text) <= most:
        named = f", or {names[0]} to {names[-1]}" if names else ""
        raise RecipeError(f"cron, {name}: {text!r} is not from {least} to {most}{named}.")
    return int(text)


def _walk(day: date, *, forwards: bool) -> Iterator[date]:
    step = timedelta(days=1 if forwards else -1)
    for _ in range(_DAYS_AHEAD):
        yield day
        try:
            day += step
        except OverflowError:
            return


def _as_minute(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
