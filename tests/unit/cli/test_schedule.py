"""`dcron schedule explain`: without a cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.cluster import Script, Terminal


@pytest.fixture
def offline(tmp_path: Path) -> Terminal:
    return Terminal(Script({}), tmp_path, token=None, url=None)


def explained(offline: Terminal, *arguments: str) -> list[str]:
    told = offline("schedule", "explain", *arguments)
    assert told.exit_code == 0, told.output
    return told.stdout.splitlines()


def test_meaning_and_next_times_with_weekday_and_offset(offline: Terminal) -> None:
    lines = explained(offline, "*/5 9-17 * * mon-fri", "--tz", "Europe/Riga", "--count", "2")
    assert lines == [
        "Every 5 minutes of hour 9 to 17 on Monday to Friday, by the clock of Europe/Riga.",
        "  Fri 2027-01-15 10:05+02:00",
        "  Fri 2027-01-15 10:10+02:00",
    ]


def test_times_that_spring_skips_are_named_between_the_occurrences(offline: Terminal) -> None:
    after = "2027-03-27T00:00:00+02:00"
    assert explained(
        offline, "30 3 * * *", "--tz", "Europe/Riga", "--count", "3", "--after", after
    )[1:] == [
        "  Sat 2027-03-27 03:30+02:00",
        "  -- 2027-03-28: clocks go from 03:00 +02:00 to 04:00 +03:00; "
        "local times 03:00 to 03:59 are skipped",
        "  Sun 2027-03-28 04:00+03:00",
        "  Mon 2027-03-29 03:30+03:00",
    ]


def test_times_that_autumn_repeats_are_named_and_told_apart(offline: Terminal) -> None:
    after = "2027-10-31T03:00:00+03:00"
    assert explained(
        offline, "*/30 * * * *", "--tz", "Europe/Riga", "--count", "4", "--after", after
    )[1:] == [
        "  Sun 2027-10-31 03:30+03:00",
        "  -- 2027-10-31: clocks go from 04:00 +03:00 to 03:00 +02:00; "
        "local times 03:00 to 03:59 come twice",
        "  Sun 2027-10-31 03:00+02:00  (the second time that the clock shows this)",
        "  Sun 2027-10-31 03:30+02:00  (the second time that the clock shows this)",
        "  Sun 2027-10-31 04:00+02:00",
    ]


def test_a_change_of_half_an_hour_is_told_as_it_is(offline: Terminal) -> None:
    after = "2027-04-03T00:00:00+11:00"
    lines = explained(
        offline, "0 12 * * *", "--tz", "Australia/Lord_Howe", "--count", "2", "--after", after
    )
    assert lines[2] == (
        "  -- 2027-04-04: clocks go from 02:00 +11:00 to 01:30 +10:30; "
        "local times 01:30 to 01:59 come twice"
    )


def test_a_yearly_job_is_not_told_of_changes_that_cancel_out(offline: Terminal) -> None:
    lines = explained(offline, "@yearly", "--tz", "Europe/Riga", "--count", "3")
    assert len(lines) == 4


def test_programs_get_the_api_s_shape_and_the_changes(offline: Terminal) -> None:
    told = offline(
        *("schedule", "explain", "30 3 * * *", "--tz", "Europe/Riga", "--count", "1"),
        *("--after", "2027-03-27T12:00:00+02:00", "--json"),
    )
    assert json.loads(told.stdout) == {
        "expression": "30 3 * * *",
        "timezone": "Europe/Riga",
        "description": "At 03:30 every day, by the clock of Europe/Riga.",
        "next": ["2027-03-28T04:00:00+03:00"],
        "changes": [
            {
                "at": "2027-03-28T04:00:00+03:00",
                "from_offset": "+02:00",
                "to_offset": "+03:00",
                "local_times": "skipped",
                "first": "03:00",
                "last": "03:59",
            }
        ],
    }


def test_a_time_that_is_over_never_comes_again(offline: Terminal) -> None:
    assert explained(offline, "@at 2020-01-01T00:00:00Z")[-1] == "  never again"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["1 2 3"], "has 3 of the five fields"),
        (["@daily", "--tz", "Europe/Rigga"], "did you mean Europe/Riga?"),
        (["@daily", "--after", "tomorrow"], "2027-03-28T00:00:00+02:00"),
        (["@daily", "--after", "2027-03-28T00:00:00"], "2027-03-28T00:00:00+02:00"),
        (["@daily", "--count", "0"], "1<=x<=1000"),
        (["\x1b[2J"], "'\\x1b'"),
    ],
)
def test_what_is_refused_is_a_usage_error(
    offline: Terminal, arguments: list[str], told: str
) -> None:
    shown = offline("schedule", "explain", *arguments)
    assert shown.exit_code == 2
    assert told in shown.stderr
