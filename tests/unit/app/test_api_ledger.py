"""GET /jobs/{id}/ledger: due against done."""

import pytest

from dcron_common.db import old_runs, runs
from dcron_common.run import RunRecord, RunState, Trigger
from tests.unit.app.api_client import COMMAND, NOW, Api

FIRST = int(NOW) // 60 * 60 + 60  # the first minute after the commit


def record(api: Api, minute: int, state: RunState, reason: str | None = None) -> None:
    row = RunRecord(f"r{minute}", 1, minute, 1, Trigger.CRON, state, worker="node1", reason=reason)
    runs.record_runs(api.services.database, [row], NOW)


@pytest.fixture
def job(api: Api) -> Api:
    assert api.post("/jobs", {**COMMAND, "schedule": "* * * * *"}).status == 201
    record(api, FIRST, RunState.SUCCEEDED)
    record(api, FIRST + 60, RunState.SKIPPED, "the run before was still active")
    api.time[0] = FIRST + 185.0
    return api


def test_every_due_minute_is_told_with_what_became_of_it(job: Api) -> None:
    found = job.get("/jobs/1/ledger").json
    assert [(one["scheduled_at"], one["outcome"]) for one in found] == [
        ("2027-01-15T08:01:00Z", "succeeded"),
        ("2027-01-15T08:02:00Z", "skipped"),
        ("2027-01-15T08:03:00Z", "pending"),
        ("2027-01-15T08:04:00Z", "pending"),
    ]
    assert found[1]["reason"] == "the run before was still active"
    assert found[0]["worker"] == "node1"


def test_a_minute_that_nobody_accounted_for_is_called_so(job: Api) -> None:
    job.time[0] = FIRST + 7200.0
    found = job.get(f"/jobs/1/ledger?from={FIRST + 60}&to={FIRST + 120}").json
    assert [one["outcome"] for one in found] == ["unaccounted"]


def test_a_removed_job_is_due_no_more(job: Api) -> None:
    job.delete("/jobs/1")
    job.time[0] = FIRST + 7200.0
    assert len(job.get("/jobs/1/ledger").json) == 4


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"),
        ("to=2027-01-15T08:00:00", "to"),
        ("from=1800000000&to=1700000000", "from"),
        ("from=1700000000&to=1800000000", "from"),
    ],
)
def test_a_span_that_makes_no_sense_is_refused(job: Api, query: str, field: str) -> None:
    answer = job.get(f"/jobs/1/ledger?{query}")
    assert (answer.status, answer.fields) == (422, [field])


def test_a_job_that_never_was_has_no_ledger(api: Api) -> None:
    assert api.get("/jobs/9/ledger").status == 404


def test_minutes_that_retention_has_removed_are_expired_not_unaccounted_for(job: Api) -> None:
    database = job.services.database
    rows = old_runs.runs_before(database, 1, None, FIRST + 60, 10)
    old_runs.drop_runs(database, 1, rows, horizon=True)
    found = job.get("/jobs/1/ledger").json
    assert [one["outcome"] for one in found] == ["expired", "skipped", "pending", "pending"]
    assert found[0]["reason"] == "its row has had its time and was removed"
