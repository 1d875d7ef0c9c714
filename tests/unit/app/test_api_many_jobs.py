"""POST /jobs/pause and /jobs/resume: which jobs, who may, what is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dcron_app.api import many_jobs
from dcron_app.api.changing import Changing
from dcron_common import paths
from dcron_common.db.models import Audit, Job
from dcron_common.errors import DatabaseUnavailable
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from tests.unit.app.api_client import COMMAND, Api


@pytest.fixture
def several(api: Api) -> Api:
    """1 and 2 are the operator's, 3 and 4 the admin's, 5 is removed; 1 to 3 are gold."""
    for owner, tier in zip(
        ["operator", "operator", "admin", "admin", "admin"],
        ["gold", "gold", "gold", "tin", "gold"],
        strict=True,
    ):
        body = {**COMMAND, "owner": owner, "labels": {"tier": tier, "app": "web"}}
        assert api.post("/jobs", body).status == 201
    api.delete("/jobs/5")
    return api


def paused(api: Api) -> list[int]:
    rows = api.services.database.read(lambda: list(Job.select().where(Job.paused == True)))  # noqa: E712
    return sorted(row.id for row in rows)


def fence(api: Api, job_id: int) -> str:
    row = api.services.database.read(lambda: Job.get_by_id(job_id))
    path = paths.fence(Slot(job_id))
    api.coordinator.create(path, Fence(row.incarnation, 3, "node1", 1, "active", 0).encode())
    return path


def test_all_means_all_that_are_there(several: Api) -> None:
    answer = several.post("/jobs/pause", {"all": True})
    expected = {"changed": ["1", "2", "3", "4"], "unchanged": [], "failed": []}
    assert (answer.status, answer.json) == (200, expected)
    assert answer.headers["Content-Type"] == "application/json"
    assert paused(several) == [1, 2, 3, 4]
    again = several.post("/jobs/pause", {"all": True})
    assert again.json == {"changed": [], "unchanged": ["1", "2", "3", "4"], "failed": []}
    assert several.post("/jobs/resume", {"all": True}).json == expected
    assert paused(several) == []


def test_labels_mean_jobs_that_have_all_of_them(several: Api) -> None:
    both = several.post("/jobs/pause", {"labels": {"tier": "gold", "app": "web"}})
    assert both.json["changed"] == ["1", "2", "3"]
    none = several.post("/jobs/pause", {"labels": {"tier": "lead"}})
    assert none.json == {"changed": [], "unchanged": [], "failed": []}


def test_an_operator_reaches_own_jobs_only(several: Api) -> None:
    answer = several.post("/jobs/pause", {"all": True}, user="operator")
    assert answer.json == {"changed": ["1", "2"], "unchanged": [], "failed": []}
    assert paused(several) == [1, 2]
    assert several.post("/jobs/pause", {"all": True}, user="viewer").status == 403
    assert several.post("/jobs/pause", {"all": True}, user=None).status == 401


def test_ids_that_cannot_be_changed_are_named_with_the_reason(several: Api) -> None:
    body = {"ids": ["2", "3", "5", "7", "2"]}
    answer = several.post("/jobs/pause", body, user="operator").json
    assert (answer["changed"], answer["unchanged"]) == (["2"], [])
    reasons = {one["id"]: one["reason"] for one in answer["failed"]}
    assert list(reasons) == ["3", "5", "7"]
    assert "belongs to admin" in reasons["3"]
    assert "removed" in reasons["5"]
    assert "no job 7" in reasons["7"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["body"]),
        ({"all": False}, ["body"]),
        ({"all": "yes"}, ["all"]),
        ({"all": True, "ids": ["1"]}, ["ids", "all"]),
        ({"labels": {}}, ["labels"]),
        ({"labels": {"a b": "c"}}, ["labels.a b"]),
        ({"ids": [1]}, ["ids[0]"]),
        ({"ids": ["x"]}, ["ids[0]"]),
        ({"ids": ["1"] * 10_001}, ["ids"]),
        ({"job": "1"}, ["job"]),
    ],
)
def test_what_does_not_say_which_jobs_is_refused(several: Api, body: Any, fields: Any) -> None:
    answer = several.post("/jobs/pause", body)
    assert (answer.status, answer.fields) == (422, fields)
    assert paused(several) == []


def test_p15_every_fence_is_written_before_the_answer(several: Api) -> None:
    found = [fence(several, job_id) for job_id in (1, 2, 3)]
    several.post("/jobs/pause", {"ids": ["1", "2", "3"]})
    states = [Fence.decode(several.coordinator.get(path).data).state for path in found]
    assert states == ["paused"] * 3


def test_each_change_is_audited(several: Api) -> None:
    before = several.stored()["audit"]
    several.post("/jobs/pause", {"labels": {"tier": "gold"}}, user="operator")
    assert several.stored()["audit"] == before + 2
    last = several.services.database.read(lambda: Audit.select().order_by(Audit.id.desc()).get())
    assert (last.user, last.action, last.object_id) == ("operator", "update", "2")


def test_jobs_are_looked_for_in_batches(several: Api, monkeypatch) -> None:
    monkeypatch.setattr(many_jobs, "BATCH", 1)
    assert several.post("/jobs/pause", {"all": True}).json["changed"] == ["1", "2", "3", "4"]


def test_with_zookeeper_away_the_rest_is_not_tried_and_named(several: Api) -> None:
    several.ensemble.disconnect(several.coordinator)
    answer = several.post("/jobs/pause", {"all": True}).json
    assert [one["id"] for one in answer["failed"]] == ["1", "2", "3", "4"]
    assert "it is stored" in answer["failed"][2]["reason"]
    assert answer["failed"][3]["reason"].startswith("not tried")
    assert paused(several) == [1, 2, 3]
    several.ensemble.reconnect(several.coordinator)
    again = several.post("/jobs/pause", {"all": True}).json
    assert again == {"changed": ["4"], "unchanged": ["1", "2", "3"], "failed": []}


def test_one_job_that_fails_does_not_keep_the_others(several: Api, monkeypatch) -> None:
    change = Changing.change

    def failing(self: Changing, job_id: str, wanted: Any) -> Any:
        if job_id == "2":
            raise DatabaseUnavailable("made up")
        return change(self, job_id, wanted)

    monkeypatch.setattr(Changing, "change", failing)
    answer = several.post("/jobs/pause", {"all": True}).json
    assert answer["changed"] == ["1", "3", "4"]
    (failed,) = answer["failed"]
    assert failed["id"] == "2"
    assert "made up" not in failed["reason"]


def test_the_answer_begins_with_the_first_job(several: Api) -> None:
    raw = several.post("/jobs/pause", {"all": True}).body
    assert raw.startswith(b"    {")
    assert json.loads(raw)["failed"] == []
