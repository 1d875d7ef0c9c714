"""What the audit tells of runs and ends that are asked for: all that was done, and nothing else."""

import hashlib
from typing import Any

import pytest

from dcron_app.api.asking import MAX_WAITING
from dcron_common import paths
from dcron_common.db import audit
from dcron_common.errors import BadVersion, ConnectionLost, DatabaseUnavailable, TransactionFailed
from dcron_common.ids import ulid
from dcron_common.paths import Slot
from dcron_common.protocol import Result
from dcron_common.run import RunState, manual_key
from tests.unit.app.api_client import COMMAND, NOW, Api
from tests.unit.app.asked import (
    A_SCRIPT,
    RUN,
    audited,
    claim,
    fence,
    kill,
    requests,
    row,
    run_now,
    tasks,
)

pytestmark = pytest.mark.usefixtures("places")


def away(*_: object) -> None:
    raise DatabaseUnavailable("no database served in time")


def in_vain(operations: Any) -> Any:
    raise TransactionFailed(0, BadVersion("/x"))


def test_what_was_asked_for_is_audited(api: Api) -> None:
    api.post("/jobs", {**A_SCRIPT, "owner": "operator"})
    fence(api)
    run_now(api, {"arguments": ["--password=hunter2"]}, user="operator")
    claim(api)
    row(api)
    kill(api, user="operator")
    digest = hashlib.sha256(b'["--password=hunter2"]').hexdigest()
    kept = {"count": 1, "bytes": 22, "sha256": digest}
    assert audited(api) == [
        ("operator", "run", {"revision": 1, "arguments": kept}),
        ("operator", "kill", {"run_id": RUN}),
    ]


def test_a_run_with_the_jobs_own_arguments_is_audited_without_any(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    run_now(api)
    assert audited(api) == [("admin", "run", {"revision": 1, "arguments": None})]


def test_a_run_that_is_not_there_is_not_told_as_ended(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    assert kill(api, ulid(NOW)).status == 404
    row(api, RunState.SUCCEEDED)
    assert kill(api).status == 409
    assert audited(api) == []


def test_an_end_that_its_claim_refuses_is_not_told(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api, result=Result(RunState.SUCCEEDED, NOW, NOW, 0))
    row(api)
    assert kill(api).status == 409
    assert audited(api) == []


def test_a_job_that_waits_for_its_place_is_asked_for_without_a_row(api: Api) -> None:
    """As `dcron job run` does, again and again, until the manager has placed a new job."""
    api.post("/jobs", COMMAND)
    assert [run_now(api).status for _ in range(3)] == [409] * 3
    assert audited(api) == []
    fence(api)
    assert run_now(api).status == 202
    assert len(audited(api)) == 1


def test_a_run_for_which_there_is_no_room_is_not_told(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    for number in range(MAX_WAITING):
        api.coordinator.create(paths.task("node1", Slot(1), manual_key(ulid(NOW + number))))
    assert run_now(api).status == 409
    assert audited(api) == []


def test_without_the_coordinator_nothing_is_told(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    row(api)
    api.ensemble.disconnect(api.coordinator)
    assert (run_now(api).status, kill(api).status) == (503, 503)
    assert audited(api) == []


def test_a_job_on_all_is_told_once(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "placement": {"on": "all"}})
    for worker in ("node1", "node2"):
        fence(api, node=worker, holder=worker)
        api.coordinator.ensure(paths.registration(worker))
    assert len(run_now(api).json["runs"]) == 2
    assert len(audited(api)) == 1


def test_a_row_stands_before_anything_is_asked(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api)
    row(api)
    commit, seen = api.coordinator.commit, []

    def watched(operations: Any) -> Any:
        seen.append(audited(api)[-1][1])
        return commit(operations)

    monkeypatch.setattr(api.coordinator, "commit", watched)
    assert (run_now(api).status, kill(api).status) == (202, 202)
    assert seen == ["run", "kill"]


def test_what_is_refused_after_all_is_told_as_refused(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api)
    row(api)
    monkeypatch.setattr(api.coordinator, "commit", in_vain)
    assert (run_now(api).status, kill(api).status) == (503, 503)
    first, second, third, fourth = audited(api)
    assert [one[1] for one in (first, second, third, fourth)] == ["run", "run", "kill", "kill"]
    assert "refused" not in first[2] | third[2]
    assert second[2] == first[2] | {"refused": "the job moves all the time; ask again"}
    assert fourth[2] == third[2] | {"refused": "the run moves all the time; ask again"}


def test_what_may_have_been_done_is_not_told_as_refused(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api)
    row(api)

    def losing(operations: Any) -> Any:
        raise ConnectionLost("no answer")

    monkeypatch.setattr(api.coordinator, "commit", losing)
    assert (run_now(api).status, kill(api).status) == (503, 503)
    assert [(action, "refused" in after) for _, action, after in audited(api)] == [
        ("run", False),
        ("kill", False),
    ]


def test_a_refusal_that_could_not_be_told_is_answered_all_the_same(
    api: Api, monkeypatch, caplog
) -> None:
    api.post("/jobs", COMMAND)
    fence(api)

    def then_away(operations: Any) -> Any:
        monkeypatch.setattr(audit, "note", away)
        return in_vain(operations)

    monkeypatch.setattr(api.coordinator, "commit", then_away)
    assert "moves all the time" in run_now(api).json["detail"]
    assert "a refusal was not audited action=run job=1 user=admin" in caplog.text


def test_nothing_is_asked_for_that_could_not_be_audited(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api)
    row(api)
    monkeypatch.setattr(audit, "note", away)
    assert (run_now(api).status, kill(api).status) == (503, 503)
    assert (tasks(api), requests(api)) == ({}, [])
