"""The patterns of the API's description, against what the checks take."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dcron_app.api import text
from dcron_common.schedule import ScheduleError, parse

PAIRS = [
    (text.line, text.LINE),
    (text.shown, text.SHOWN),
    (text.file_name, text.FILE_NAME),
    (text.folder, text.FOLDER),
    (text.os_user, text.OS_USER),
    (text.variable, text.VARIABLE),
    (text.label_name, text.LABEL),
]
ODD = st.text(st.sampled_from("aZ09_-./\\ \t\n\r\0\x1b\x7f\x85\xa0é夜\u2028\u2029\u3000\ufeff"))


@pytest.mark.parametrize(("check", "pattern"), PAIRS, ids=[check.__name__ for check, _ in PAIRS])
@given(value=st.one_of(ODD, st.text()).filter(bool))
@example(value="DCRON_X")
@example(value="x\n")
@example(value="/a/..")
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_what_is_taken_is_described_as_taken(
    check: Callable[[str], str], pattern: str, value: str
) -> None:
    with contextlib.suppress(ValueError):
        check(value)
        assert re.search(pattern.replace("$", r"\Z"), value), value


@pytest.mark.parametrize(("check", "pattern"), PAIRS, ids=[check.__name__ for check, _ in PAIRS])
@given(data=st.data())
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_what_is_described_as_taken_is_taken_but_for_what_cannot_be_printed(
    check: Callable[[str], str], pattern: str, data: st.DataObject
) -> None:
    value = data.draw(st.from_regex(pattern.replace("$", r"\Z"), fullmatch=True))
    if value.isprintable() and ".." not in value:
        assert check(value) == value


@pytest.mark.parametrize(
    "schedule",
    ["* * * * *", " 5\t*  * * * ", "0-10/2,30-40/5,59 * * jan,JUL mon-FRI", "@daily",
     "@at 2036-12-01T03:00:00+02:00"],
)  # fmt: skip
def test_schedules_are_described(schedule: str) -> None:
    parse(schedule)
    assert re.search(text.SCHEDULE, schedule)


@given(value=st.text(st.sampled_from("0*/,-@ajn 5\t\n?L#"), max_size=20))
@settings(max_examples=500, deadline=None, derandomize=True, database=None)
def test_what_is_a_schedule_is_described_as_one(value: str) -> None:
    with contextlib.suppress(ScheduleError):
        parse(value)
        assert re.search(text.SCHEDULE.replace("$", r"\Z"), value), value
