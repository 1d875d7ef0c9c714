"""Firings recorded from Debian's own cron 3.0pl1 under a clock that a test harness drove.

cron_golden.jsonl: expressions of all shapes in nine zones. cron_clock_changes.jsonl: four days
around odd changes of the clock (half an hour, two hours, three hours, at midnight, a whole day,
without a summer time flag). Each line: expression, timezone, all `fires` in (after, until].
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dcron_common.schedule import parse

_DATA = Path(__file__).parents[2] / "data"


def _cases(name: str) -> list[Any]:
    return [json.loads(line) for line in (_DATA / name).read_text().splitlines()]


def _wrong(case: dict[str, Any], text: str) -> str | None:
    got = parse(text, case["timezone"]).due(case["after"], case["until"])
    if got == case["fires"]:
        return None
    missing = sorted(set(case["fires"]) - set(got))[:3]
    extra = sorted(set(got) - set(case["fires"]))[:3]
    return f"{text} in {case['timezone']}: missing {missing}, extra {extra}"


@pytest.mark.parametrize(
    ("name", "count"), [("cron_golden.jsonl", 600), ("cron_clock_changes.jsonl", 212)]
)
def test_every_firing_of_debians_cron_is_found_and_no_other(name: str, count: int) -> None:
    cases = _cases(name)
    assert len(cases) == count
    assert [wrong for case in cases if (wrong := _wrong(case, case["expression"]))] == []


@pytest.mark.parametrize("name", ["cron_golden.jsonl", "cron_clock_changes.jsonl"])
def test_the_canonical_crontab_text_means_the_same(name: str) -> None:
    for case in _cases(name):
        schedule = parse(case["expression"], case["timezone"])
        assert schedule.crontab is not None
        assert _wrong(case, schedule.crontab) is None
        assert parse(schedule.crontab, case["timezone"]).key == schedule.key
