"""due and next: properties that must hold for every expression, zone and span of time."""

from __future__ import annotations

import importlib.resources
import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from dcron_common.schedule import Schedule, ScheduleError, parse
from dcron_common.schedule.zone import Stretch, zone

ZONES = (
    "UTC",
    "Europe/Riga",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Antarctica/Casey",
)
# From 2007 to 2037: all changes of the zones above.
EPOCHS = st.integers(1_167_609_600, 2_114_380_800)


def _epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@st.composite
def _items(draw: st.DrawFn, low: int, high: int) -> str:
    first = draw(st.integers(low, high))
    last = draw(st.integers(first, high))
    step = draw(st.integers(1, high - low + 1 if high != 7 else 7))
    return draw(st.sampled_from(("*", f"*/{step}", f"{first}", f"{first}-{last}/{step}")))


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    return st.lists(_items(low, high), min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(
    _field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), _field(0, 7)
).map(" ".join)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    try:
        return parse(draw(EXPRESSIONS), draw(st.sampled_from(ZONES)))
    except ScheduleError as error:
        assert "never fires" in str(error)
        return parse("*/7 2 * * *", "Europe/Riga")


@settings(max_examples=200, deadline=None)
@given(schedules(), EPOCHS, st.integers(0, 5 * 86_400), st.integers(0, 5 * 86_400))
def test_any_split_of_a_span_gives_the_same_firings(
    schedule: Schedule, after: int, one: int, two: int
) -> None:
    middle, until = after + one, after + one + two
    whole = schedule.due(after, until)
    assert whole == schedule.due(after, middle) + schedule.due(middle, until)
    assert whole == sorted(set(whole))
    assert all(after < fire <= until and fire % 60 == 0 for fire in whole)


@settings(max_examples=50, deadline=None)
@given(schedules(), EPOCHS)
def test_minute_by_minute_gives_the_same_firings_as_a_day_at_once(
    schedule: Schedule, after: int
) -> None:
    single = [
        fire
        for start in range(after, after + 86_400, 60)
        for fire in schedule.due(start, start + 60)
    ]
    assert single == schedule.due(after, after + 86_400)


@settings(max_examples=100, deadline=None)
@given(schedules(), EPOCHS, st.integers(1, 50))
def test_next_agrees_with_due(schedule: Schedule, after: int, count: int) -> None:
    fires = schedule.next(after, count)
    # so many firings fall into 41 years each at the least
    assert fires == schedule.due(after, after + count * 41 * 366 * 86_400, limit=count)
    if fires:
        assert schedule.next(after) == fires[:1]
        assert schedule.due(after, fires[-1]) == fires


# croniter differs on the day rule and on ranges of one value (10-10 is every value to it), which
# the recorded firings cover; on all else two independent readers must agree.
SINGLE_RANGE = re.compile(r"\b(\d+)-\1/\d+")
DAYS = st.one_of(
    _field(1, 31).map(lambda day: f"{day} {{}} *"),
    st.sampled_from(("1", "1-5", "2,4,6", "0,3", "mon-wed,sat")).map(lambda day: f"* {{}} {day}"),
)


@settings(max_examples=200, deadline=None)
@given(_field(0, 59), _field(0, 23), DAYS, _field(1, 12), EPOCHS)
def test_in_utc_an_independent_reader_of_cron_finds_the_same(
    minute: str, hour: str, days: str, month: str, after: int
) -> None:
    text = f"{minute} {hour} {days.format(month)}"
    try:
        ours = parse(text).next(after, 5)
    except ScheduleError as error:
        assert "never fires" in str(error)
        return
    theirs = croniter(SINGLE_RANGE.sub(r"\1", text), after, max_years_between_matches=9)
    assert ours == [int(theirs.get_next(float)) for _ in ours]


@settings(max_examples=100, deadline=None)
@given(schedules())
def test_equal_meaning_has_an_equal_key_and_the_key_is_plain(schedule: Schedule) -> None:
    assert schedule.crontab is not None
    again = parse(schedule.crontab, schedule.timezone)
    assert (again.key, again.crontab) == (schedule.key, schedule.crontab)
    assert schedule.key.isascii()
    assert schedule.key.isprintable()


@pytest.mark.parametrize("name", ZONES)
def test_stretches_show_the_same_clock_as_the_zone_data(name: str) -> None:
    first, last = _epoch("2007-01-01") // 60, _epoch("2037-12-31") // 60
    seen: list[Stretch] = []
    expected = first
    path = importlib.resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        info = ZoneInfo.from_file(file)
    for stretch, start, end in zone(name).stretches(first, last):
        assert start == expected
        expected = end + 1
        seen.append(stretch)
        for minute in (start, (start + end) // 2, end):
            clock = datetime.fromtimestamp(minute * 60, info)
            offset = clock.utcoffset()
            assert offset is not None
            assert offset.total_seconds() == stretch.offset * 60
    assert expected == last + 1
    assert seen


def test_limit_stops_early() -> None:
    assert parse("* * * * *").due(0, 10**9, limit=3) == [60, 120, 180]
    assert parse("* * * * *").due(0, 10**9, limit=0) == []


def test_an_empty_or_reversed_span_has_no_firings() -> None:
    assert parse("* * * * *").due(600, 600) == []
    assert parse("* * * * *").due(600, 0) == []


def test_a_span_is_open_at_its_start_and_closed_at_its_end() -> None:
    schedule = parse("* * * * *")
    assert schedule.due(60, 120) == [120]
    assert schedule.due(59, 119) == [60]


def test_leap_days_are_found_over_the_gap_of_2100() -> None:
    after = _epoch("2096-03-01")
    assert parse("0 0 29 2 *").next(after, 2) == [_epoch("2104-02-29"), _epoch("2108-02-29")]


def test_the_longest_gap_of_forty_years_is_bridged() -> None:
    # `*/7` is Sunday and, beginning with *, asks for the 29th and a Sunday at once.
    assert parse("0 0 29 2 */7").next(_epoch("2088-02-29"), 1) == [_epoch("2128-02-29")]


def test_next_gives_fewer_only_when_the_calendar_ends() -> None:
    assert len(parse("@yearly").next(_epoch("2026-06-01"), 1000)) == 1000
    assert parse("@yearly").next(_epoch("9998-06-01"), 3) == [_epoch("9999-01-01")]


def test_far_past_and_far_future_do_no_harm() -> None:
    assert parse("* * * * *", "Europe/Riga").due(-(10**12), 0) == [0]
    assert parse("0 0 1 1 *").due(10**15, 10**15 + 60) == []


@pytest.mark.parametrize("name", ["Europe/Riga", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_a_zone_repeats_itself_every_400_years(name: str) -> None:
    # 2100-01-01 plus one cycle of the calendar, and plus nineteen
    for start, cycles in ((4_102_444_800, 1), (4_102_444_800, 19)):
        shift = cycles * 146_097 * 1440
        first, last = start // 60, start // 60 + 3 * 525_600
        near = {stretch for stretch, _, _ in zone(name).stretches(first, last)}
        far = {stretch for stretch, _, _ in zone(name).stretches(first + shift, last + shift)}
        assert {replace(stretch, start=stretch.start - shift) for stretch in far} == {
            replace(stretch, made_up=stretch.made_up + shift, held=stretch.held + shift)
            for stretch in near
        }


def test_far_changes_of_the_clock_are_those_of_the_zone_data() -> None:
    info = ZoneInfo.from_file(
        importlib.resources.files("tzdata").joinpath("zoneinfo/Europe/Riga").open("rb")
    )
    noon = parse("0 12 * * *", "Europe/Riga").next(after=32_000_000_000, count=400)
    for epoch in noon:
        assert datetime.fromtimestamp(epoch, info).hour == 12
