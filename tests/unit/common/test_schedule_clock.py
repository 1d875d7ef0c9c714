"""What happens when a zone's clock is changed, case by case."""

from __future__ import annotations

import importlib.resources
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

from dcron_common.schedule import parse, zones


def _epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _clock(expression: str, zone: str, first: str, last: str) -> list[str]:
    """Firings in (first, last] (UTC) as the zone's clock showed them."""
    path = importlib.resources.files("tzdata").joinpath("zoneinfo", *zone.split("/"))
    with path.open("rb") as file:
        info = zoneinfo.ZoneInfo.from_file(file)
    fires = parse(expression, zone).due(_epoch(first), _epoch(last))
    return [datetime.fromtimestamp(fire, info).strftime("%d %H:%M") for fire in fires]


SPRING = ("Europe/Riga", "2024-03-30T12:00:00", "2024-03-31T12:00:00")  # 31st: 03:00 -> 04:00
AUTUMN = ("Europe/Riga", "2024-10-26T12:00:00", "2024-10-27T12:00:00")  # 27th: 04:00 -> 03:00


def test_a_fixed_time_that_is_skipped_runs_right_after_the_jump() -> None:
    assert _clock("30 3 * * *", *SPRING) == ["31 04:00"]


def test_many_skipped_minutes_of_one_job_are_made_up_for_once() -> None:
    assert _clock("5,25,45 3 * * *", *SPRING) == ["31 04:00"]


def test_a_wildcard_job_of_the_skipped_hour_does_not_run() -> None:
    assert _clock("*/15 3 * * *", *SPRING) == []


def test_a_fixed_time_in_the_repeated_hour_runs_once() -> None:
    assert _clock("30 3 * * *", *AUTUMN) == ["27 03:30"]


def test_a_wildcard_job_runs_in_both_of_the_repeated_hours() -> None:
    assert _clock("*/30 3 * * *", *AUTUMN) == ["27 03:00", "27 03:30"] * 2


def test_hourly_runs_in_both_of_the_repeated_hours() -> None:
    assert _clock("@hourly", *AUTUMN).count("27 03:00") == 2


def test_all_minutes_written_out_are_a_fixed_time_and_a_star_is_not() -> None:
    assert len(_clock("0-59 3 * * *", *AUTUMN)) == 60
    assert len(_clock("* 3 * * *", *AUTUMN)) == 120


def test_a_star_that_does_not_come_first_makes_no_wildcard_job() -> None:
    assert len(_clock("5,* 3 * * *", *AUTUMN)) == 60
    assert len(_clock("*,5 3 * * *", *AUTUMN)) == 120


def test_midnight_that_does_not_exist_is_made_up_for_at_one() -> None:
    span = ("America/Sao_Paulo", "2018-11-03T12:00:00", "2018-11-04T12:00:00")
    assert _clock("0 0 * * *", *span) == ["04 01:00"]


def test_half_an_hour_is_skipped_and_repeated_like_a_whole_one() -> None:
    spring = ("Australia/Lord_Howe", "2024-10-05T12:00:00", "2024-10-06T00:00:00")
    autumn = ("Australia/Lord_Howe", "2024-04-06T12:00:00", "2024-04-07T00:00:00")
    assert _clock("15 2 * * *", *spring) == ["06 02:30"]
    assert _clock("45 1 * * *", *autumn) == ["07 01:45"]


def test_two_hours_of_troll_are_made_up_for_and_held_back() -> None:
    spring = ("Antarctica/Troll", "2024-03-30T12:00:00", "2024-03-31T12:00:00")
    assert _clock("30 1,2 * * *", *spring) == ["31 03:00"]
    autumn = ("Antarctica/Troll", "2024-10-26T12:00:00", "2024-10-27T12:00:00")
    assert _clock("30 1,2 * * *", *autumn) == ["27 01:30", "27 02:30"]


def test_a_day_that_never_was_is_not_made_up_for() -> None:
    span = ("Pacific/Apia", "2011-12-29T12:00:00", "2011-12-31T12:00:00")
    assert _clock("30 3 * * *", *span) == ["29 03:30", "31 03:30"]
    assert _clock("30 3 30 * *", *span) == []


def test_a_change_without_a_summer_time_flag_is_noticed() -> None:
    span = ("Asia/Pyongyang", "2018-05-04T12:00:00", "2018-05-05T12:00:00")
    assert _clock("45 23 * * *", *span) == ["05 00:00"]


def test_every_zone_of_the_wheel_can_be_used() -> None:
    assert {"UTC", "Europe/Riga", "America/Argentina/Buenos_Aires"} <= zones()
    assert "Factory" not in zones()
    assert len(zones()) > 500


def test_zone_data_does_not_come_from_the_system(tmp_path: Path) -> None:
    tokyo = importlib.resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Vilnius").write_bytes(tokyo)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([tmp_path])
    try:
        fires = parse("0 0 * * *", "Europe/Vilnius").next(_epoch("2026-01-01"))
    finally:
        zoneinfo.reset_tzpath(before)
    assert fires == [_epoch("2026-01-01T22:00:00")]
