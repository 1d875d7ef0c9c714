"""What is accepted, and how each refusal names the field."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dcron_common.errors import DcronError
from dcron_common.schedule import ScheduleError, parse

NOW = int(datetime(2026, 6, 1, 12, 0, tzinfo=UTC).timestamp())

ACCEPTED = {
    "*/5 * * * *": "*/5 * * * *",
    " \t0 \t 3  * * * \t": "0 3 * * *",
    "0005 08 * * *": "5 8 * * *",
    "0 0 * * 7": "0 0 * * 0",
    "0 0 * * 0-7": "0 0 * * *",
    "0 0 * * sat-7": "0 0 * * 0,6",
    "0 0 * * MON-fri": "0 0 * * 1-5",
    "0 0 * Jan-mar/2,DEC *": "0 0 * 1,3,12 *",
    "0 0 * 1-jan *": "0 0 * 1 *",
    "*/60 */24 */31 */12 */7": "*/60 0 */31 1 0",
    "0-59 * * * *": "* * * * *",
    "0-59 3 * * *": "0-29,30-59 3 * * *",
    "0 0 1-31 * 1": "0 0 * * *",
    "0 0 */2 * 1": "0 0 */2 * 1",
    "0 0 1-31/2 * 1": "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * 1",
    "0 0 30 2 1": "0 0 30 2 1",
    "0 0 31 2,3 *": "0 0 31 2,3 *",
    "0 0 29 2 *": "0 0 29 2 *",
    "3-7/60 * * * *": "3 * * * *",
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    " @daily ": "0 0 * * *",
}

REFUSED = {
    "1#2 * * * *": "minute",
    "*5 * * * *": "minute",
    "5/10 * * * *": "minute",
    "5-1 * * * *": "minute",
    "*/0 * * * *": "minute",
    "*/90 * * * *": "minute",
    "*/ * * * *": "minute",
    "*/x * * * *": "minute",
    "*-5 * * * *": "minute",
    "** * * * *": "minute",
    "1-5/0 * * * *": "minute",
    "1-5-7 * * * *": "minute",
    "1-5/2/3 * * * *": "minute",
    "1-5/99999999999 * * * *": "minute",
    "60 * * * *": "minute",
    "5-64/30 * * * *": "minute",
    "4294967301 * * * *": "minute",
    "-5 * * * *": "minute",
    "5- * * * *": "minute",
    "/5 * * * *": "minute",
    "+5 * * * *": "minute",
    "1.5 * * * *": "minute",
    "5;6 * * * *": "minute",
    "5x * * * *": "minute",
    "5,,6 * * * *": "minute",
    ",5 * * * *": "minute",
    "5, * * * *": "minute",
    "5~10 * * * *": "minute",
    "H * * * *": "minute",
    "jan * * * *": "minute",
    "# * * * *": "minute",
    "* 24 * * *": "hour",
    "* mon * * *": "hour",
    "* * 0 * *": "day of month",
    "* * 32 * *": "day of month",
    "* * ? * *": "day of month",
    "* * L * *": "day of month",
    "* * 15W * *": "day of month",
    "* * mon * *": "day of month",
    "0 0 30 2 *": "day of month",
    "0 0 31 2,4,6,9,11 *": "day of month",
    "* * * 0 *": "month",
    "* * * 13 *": "month",
    "* * * monday *": "month",
    "* * * january *": "month",
    "* * * jan/2 *": "month",
    "* * * 1/jan *": "month",
    "* * * * 8": "day of week",
    "* * * * fri-sun": "day of week",
    "* * * * 6-0": "day of week",
    "* * * * wednesday": "day of week",
    "* * * * mon-sun": "day of week",
    "* * * * mon#2": "day of week",
    "* * * * 5L": "day of week",
    "* * * * jan": "day of week",
    "* * * * */8": "day of week",
    "": "schedule",
    " \t ": "schedule",
    "* * * *": "schedule",
    "* * * * * *": "schedule",
    "0 0 * * * root rm -rf /": "schedule",
    "0 0 * * *\n* * * * *": "schedule",
    "0 0 * * *\n": "schedule",
    "0 0 * * *\r": "schedule",
    "0 0\x00 * * *": "schedule",
    "0\x0b0 * * * *": "schedule",
    "0\u00a00 * * * *": "schedule",
    "\u0665 * * * *": "schedule",
    "\uff10 * * * *": "schedule",
    "1," * 100 + "1 * * * *": "schedule",
    "@": "schedule",
    "@Hourly": "schedule",
    "@daily 5": "schedule",
    "@fortnightly": "schedule",
    "@reboot": "schedule",
    "@every 5m": "schedule",
    "@at": "schedule",
    "@AT 2026-12-01T03:00:00Z": "schedule",
    "@attic": "schedule",
    "@at 2026-12-01T03:00:00Z 2027-12-01T03:00:00Z": "schedule",
    "@at 2026-12-01 03:00:00Z": "schedule",
    "@at tomorrow": "schedule",
    "@at 2026-12-01": "schedule",
    "@at 2026-12-01T03:00:00": "schedule",
    "@at 2026-12-01T03:00:01Z": "schedule",
    "@at 2026-12-01T03:00:00.5Z": "schedule",
    "@at 2026-02-30T03:00:00Z": "schedule",
    "@at 2026-12-01T24:00:00Z": "schedule",
    "@at 2026-12-01T03:00:00+24:00": "schedule",
    "@at 2026-12-01T03:00:00+01:60": "schedule",
    "@at 0001-01-01T00:00:00+23:00": "schedule",
    "@at 9999-12-31T23:59:00-23:00": "schedule",
    "@at 1969-12-31T23:59:00Z": "schedule",
    "@at 2026-06-01T12:00:00Z": "schedule",
    "@at 2020-01-01T00:00:00Z": "schedule",
}


@pytest.mark.parametrize(("expression", "canonical"), ACCEPTED.items())
def test_an_accepted_expression_has_this_canonical_form(expression: str, canonical: str) -> None:
    schedule = parse(expression)
    assert schedule.expression == expression
    assert not schedule.one_shot
    assert schedule.crontab == canonical
    assert schedule.key == f"{canonical} UTC"


@pytest.mark.parametrize(("expression", "field"), REFUSED.items())
def test_a_refusal_names_the_field_in_one_plain_line(expression: str, field: str) -> None:
    with pytest.raises(ScheduleError) as refusal:
        parse(expression, now=NOW)
    message = str(refusal.value)
    assert message.startswith(f"{field}: ")
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 300
    assert refusal.value.field == "schedule"
    assert isinstance(refusal.value, DcronError)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "europe/riga", "../UTC", "UTC\n", "Factory"])
def test_an_unknown_zone_is_refused_under_its_own_field(zone: str) -> None:
    with pytest.raises(ScheduleError, match="^timezone: ") as refusal:
        parse("* * * * *", zone)
    assert refusal.value.field == "timezone"
    with pytest.raises(ScheduleError, match="^timezone: "):
        parse("@at 2026-12-01T03:00:00Z", zone)


def test_a_zone_in_wrong_letters_is_put_right() -> None:
    with pytest.raises(ScheduleError, match="did you mean Europe/Riga"):
        parse("* * * * *", "europe/riga")


def test_what_is_not_text_is_refused() -> None:
    with pytest.raises(ScheduleError, match="^schedule: must be a text"):
        parse(5)  # type: ignore[arg-type]  # what a careless caller may pass on from JSON
    with pytest.raises(ScheduleError, match="^timezone: must be a text"):
        parse("* * * * *", None)  # type: ignore[arg-type]  # likewise


def test_a_hint_for_the_backward_range_to_sunday() -> None:
    with pytest.raises(ScheduleError, match="Sunday is 7; write fri-7"):
        parse("0 0 * * fri-sun")


def test_the_reason_against_reboot_and_every_is_told() -> None:
    with pytest.raises(ScheduleError, match="not to the start of one machine"):
        parse("@reboot")
    with pytest.raises(ScheduleError, match="counts by the clock"):
        parse("@every 5m")


def test_one_shot_fires_once_and_has_no_crontab_line() -> None:
    schedule = parse("@at 2026-12-01T03:00:00+02:00", "Europe/Riga", now=NOW)
    at = int(datetime(2026, 12, 1, 1, 0, tzinfo=UTC).timestamp())
    assert schedule.one_shot
    assert schedule.crontab is None
    assert schedule.key == "@at 2026-12-01T01:00:00Z"
    assert schedule.due(at - 60, at) == [at]
    assert schedule.due(at, at + 10**6) == []
    assert schedule.next(NOW, 5) == [at]


@pytest.mark.parametrize(
    "text", ["2026-12-01T03:00Z", "2026-12-01t03:00:00z", "2026-12-01T03:00:00.000+00:00",
             "2026-12-01T05:30+0230", "2026-11-30T22:00:00-05"],
)  # fmt: skip
def test_one_shot_takes_the_usual_spellings_of_iso_8601(text: str) -> None:
    assert parse(f"@at {text}", now=NOW).key == "@at 2026-12-01T03:00:00Z"


def test_a_past_one_shot_can_be_read_back_without_now() -> None:
    assert parse("@at 2020-01-01T00:00:00Z").next(0) == [1_577_836_800]


def test_same_meaning_same_key_other_meaning_other_key() -> None:
    assert parse("*/20 * * * *").key == parse("0,20,40 */1 * * 0-6").key
    assert parse("0 0 * * *").key != parse("0 0 * * *", "Europe/Riga").key
    # Equal minutes, but these two differ when a clock is changed, and on the day rule.
    assert parse("0-59 3 * * *").key != parse("* 3 * * *").key
    assert parse("0 0 1-31/2 * 1").key != parse("0 0 */2 * 1").key


def test_schedules_are_hashable_values() -> None:
    assert parse("0 0 * * *") == parse("0 0 * * *")
    assert len({parse("0 0 * * *"), parse("0 0 * * *"), parse("@daily")}) == 2
    with pytest.raises(AttributeError):
        parse("0 0 * * *").key = "x"  # type: ignore[misc]  # that it fails is the subject
