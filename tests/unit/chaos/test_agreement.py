"""The judge compares crontabs, the API and ZooKeeper when all is healed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from chaos.checker import judge
from chaos.main import main, minima
from chaos.model import Details, Fault, Final, How, Record
from tests.unit.chaos.records import BEGIN, STANDS, M, healthy, on_all, whole


def rules(record: Record) -> list[str]:
    return [violation.rule for violation in judge(record).violations]


def removed(record: Record) -> Final:
    record.jobs[0].delete_sent = record.jobs[0].deleted = M + 100.0
    record.final = Final()
    return record.final


def another_holder(record: Record) -> None:
    record.final.fences["1"] = "b"


def no_holder(record: Record) -> None:
    record.final.fences["1"] = None


def no_fence(record: Record) -> None:
    record.final.fences.clear()


def a_fence_of_a_host(record: Record) -> None:
    record.final.fences["1@b"] = "b"


def assigned_twice(record: Record) -> None:
    record.final.assignments["b"] = {"1"}


def assigned_to_nobody(record: Record) -> None:
    record.final.assignments["a"] = set()


def a_fence_of_a_removed_job(record: Record) -> None:
    removed(record).fences = {"1": None}


def an_assignment_of_a_removed_job(record: Record) -> None:
    removed(record).assignments = {"b": {"1@b"}}


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (another_holder, "fence"),
        (no_holder, "fence"),
        (no_fence, "fence"),
        (a_fence_of_a_host, "fence"),
        (assigned_twice, "assignment"),
        (assigned_to_nobody, "assignment"),
        (a_fence_of_a_removed_job, "stale"),
        (an_assignment_of_a_removed_job, "stale"),
    ],
)
def test_zookeeper_agrees_with_the_api(spoil: Callable[[Record], None], rule: str) -> None:
    record = healthy()
    spoil(record)
    assert rules(record) == [rule]


def test_a_job_on_all_has_a_fence_and_an_assignment_a_host() -> None:
    record = on_all("a", "b")
    assert rules(record) == []
    record.final.fences["1@b"] = None
    record.final.assignments["b"] = set()
    assert rules(record) == ["fence", "assignment"]


def test_a_removed_job_leaves_nothing() -> None:
    record = healthy()
    removed(record)
    assert rules(record) == []


def test_a_run_with_one_kind_of_fault_was_too_idle() -> None:
    record = healthy()
    record.faults = [Fault("kill dcron-api", ("a",), M, M + 1.0) for _ in range(20)]
    idle = " ".join(judge(record, minima(15)).idle)
    for name in ("kinds of faults: 1", "retries: 0", "pauses: 0", "kills: 0", "deletions: 0"):
        assert name in idle


def test_minima_are_in_proportion_and_know_what_was_aimed_at() -> None:
    assert minima(15)["kinds of faults"] == 4
    assert minima(30)["deletions"] == 2 * minima(15)["deletions"]
    assert minima(15, ["power"])["kinds of faults"] == 1
    assert minima(3)["kinds of faults"] == 1
    assert minima(5)["kills"] == 0 < minima(15)["kills"]


def stale_fence(details: Details) -> None:
    details.fences["1"] = How(0, "active")


def paused_fence(details: Details) -> None:
    details.fences["1"] = How(1, "paused")


def stale_assignment(details: Details) -> None:
    details.assignments["a"]["1"] = [replace(STANDS, revision=0)]


def paused_assignment(details: Details) -> None:
    details.assignments["a"]["1"] = [replace(STANDS, state="paused")]


def assignment_of_another_schedule(details: Details) -> None:
    details.assignments["a"]["1"] = [replace(STANDS, schedule="*/2 * * * *")]


def two_editions(details: Details) -> None:
    details.assignments["a"]["1"].append(replace(STANDS, revision=2))


def another_line(details: Details) -> None:
    details.lines["a"]["1"] = ["*/2 * * * *"]


def two_lines(details: Details) -> None:
    details.lines["a"]["1"].append("* * * * *")


def no_line(details: Details) -> None:
    details.lines["a"].clear()


def unknown_to_the_api(details: Details) -> None:
    details.jobs.clear()


def record_of_another_schedule(details: Details) -> None:
    other = details.jobs["1"] = replace(STANDS, schedule="*/2 * * * *")
    details.assignments["a"]["1"] = [other]
    details.lines["a"]["1"] = ["*/2 * * * *"]


def paused_record(details: Details) -> None:
    other = details.jobs["1"] = replace(STANDS, state="paused")
    details.assignments["a"]["1"] = [other]
    details.fences["1"] = How(1, "paused")


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (stale_fence, "fence"),
        (paused_fence, "fence"),
        (stale_assignment, "assignment"),
        (paused_assignment, "assignment"),
        (assignment_of_another_schedule, "assignment"),
        (two_editions, "assignment"),
        (another_line, "crontab"),
        (two_lines, "crontab"),
        (no_line, "crontab"),
        (unknown_to_the_api, "record"),
        (record_of_another_schedule, "record"),
        (paused_record, "record"),
    ],
)
def test_revision_state_and_schedule_agree(spoil: Callable[[Details], None], rule: str) -> None:
    record = healthy()
    details = whole(record)
    verdict = judge(record)
    assert verdict.passed and verdict.counts["compared whole"] == 1
    spoil(details)
    assert rules(record) == [rule]


def test_each_host_of_a_job_on_all_has_it_as_the_api_says() -> None:
    record = on_all("a", "b")
    details = whole(record)
    assert rules(record) == []
    details.fences["1@b"] = How(1, "paused")
    details.lines["b"]["1"] = ["*/2 * * * *"]
    assert rules(record) == ["fence", "crontab"]


@pytest.mark.parametrize(
    ("schedule", "line", "zone", "agrees"),
    [
        ("1-59/2 * * * *", "1-59/2 * * * *", "UTC", True),
        ("*/2 * * * *", "0,2,4-58/2 * * * *", "UTC", True),
        ("*/2 * * * *", "* * * * *", "UTC", False),
        ("*/2 * * * *", "* * * * *", "", True),
        ("*/2 * * * *", "*/2 * * * *", "Europe/Riga", False),
    ],
)
def test_a_line_fires_when_its_job_does_or_each_minute_in_another_zone(
    schedule: str, line: str, zone: str, agrees: bool
) -> None:
    record = healthy()
    record.launches, record.rows = [], []
    record.end = BEGIN
    record.jobs[0].schedule = schedule
    details = whole(record, replace(STANDS, schedule=schedule))
    details.lines["a"]["1"], details.zones["a"] = [line], zone
    assert rules(record) == ([] if agrees else ["crontab"])


def test_what_the_client_did_not_hear_may_stand_or_not() -> None:
    record = healthy()
    whole(record, replace(STANDS, state="paused"))
    stood = record.jobs[0].newest
    record.jobs[0].changes = [
        replace(stood, sent=M + 61.0, acknowledged=None, paused=True),
        replace(stood, sent=M + 62.0, acknowledged=M + 62.5),
    ]
    assert rules(record) == []
    record.jobs[0].changes[0].acknowledged = M + 61.5
    assert rules(record) == ["record"]


def test_an_older_record_is_judged_by_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = asdict(healthy())
    del values["final"]["details"]
    for job in values["jobs"]:
        del job["retry_delay"], job["timezone"]
    path = tmp_path / "seed-1.json"
    path.write_text(json.dumps(values, default=sorted))
    monkeypatch.setattr("sys.argv", ["chaos", "--record", str(path), "--minutes", "0"])
    main()
    told = capsys.readouterr()
    assert "an older record" in told.err
    assert "violations=0" in told.out


def test_a_record_of_today_is_read_again_as_it_was() -> None:
    record = on_all("a", "b")
    whole(record)
    text = json.dumps(asdict(record), default=sorted)
    assert TypeAdapter(Record).validate_json(text) == record
