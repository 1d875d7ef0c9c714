"""POST /jobs/{id}/runs: what it answers, and what it leaves with the coordinator."""

from typing import Any

import pytest

from dcron_app.api.asking import MAX_WAITING
from dcron_common import paths
from dcron_common.db import runs
from dcron_common.errors import ConnectionLost
from dcron_common.ids import ulid
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_common.run import RunRecord, RunState, Trigger, manual_key
from tests.unit.app.api_client import COMMAND, NOW, Api, open_api
from tests.unit.app.asked import (
    A_SCRIPT,
    fence,
    kill,
    row,
    run_now,
    tasks,
)

pytestmark = pytest.mark.usefixtures("places")


def test_a_run_is_asked_of_the_worker_that_holds_the_job(api: Api) -> None:
    api.post("/jobs", COMMAND)
    path = fence(api)
    answer = run_now(api)
    run_id = answer.json["run_id"]
    assert answer.status == 202
    assert answer.json == {
        "run_id": run_id,
        "job_id": "1",
        "asked_at": "2027-01-15T08:00:30Z",
        "runs": [{"run_id": run_id, "worker": "node1"}],
        "failed": [],
    }
    assert answer.headers["Location"] == f"/jobs/1/runs/{run_id}"
    ((name, task),) = tasks(api).items()
    assert name == f"1.m.{run_id}"
    assert (task.trigger, task.attempt, task.arguments) == (Trigger.MANUAL, 1, None)
    assert api.coordinator.get(path).stat.version == 1  # written, and otherwise as it was


def test_each_request_is_a_run_of_its_own(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    asked = {run_now(api, {}).json["run_id"] for _ in range(3)}
    assert len(asked) == len(tasks(api)) == 3


def test_arguments_go_with_the_task(api: Api) -> None:
    api.post("/jobs", A_SCRIPT)
    fence(api)
    assert run_now(api, {"arguments": ["--full", ""]}).status == 202
    (task,) = tasks(api).values()
    assert task.arguments == ["--full", ""]


def test_arguments_may_be_long_but_not_without_bound(api: Api) -> None:
    api.post("/jobs", A_SCRIPT)
    fence(api)
    assert run_now(api, {"arguments": ["x" * 8192, "x" * 8190, "é"]}).status == 202


def test_only_so_many_runs_of_a_job_wait(api: Api) -> None:
    for _ in range(2):
        api.post("/jobs", COMMAND)
    fence(api)
    fence(api, job_id=2)
    answers = [run_now(api) for _ in range(MAX_WAITING + 2)]
    assert [one.status for one in answers] == [202] * MAX_WAITING + [409] * 2
    assert "20 runs of job 1 wait on worker node1 already" in answers[-1].json["detail"]
    assert len(tasks(api)) == MAX_WAITING
    assert api.post("/jobs/2/runs", {}).status == 202, "another job's are counted by themselves"
    api.coordinator.delete(f"{paths.tasks('node1')}/{min(tasks(api))}")  # one has begun
    assert [run_now(api).status for _ in range(2)] == [202, 409]


def test_who_asks_at_the_same_time_finds_no_room_either(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    for _ in range(MAX_WAITING - 1):
        run_now(api)
    commit, others = api.coordinator.commit, [True]

    def overtaken(operations: Any) -> Any:
        if others and others.pop():
            assert run_now(api).status == 202
        return commit(operations)

    monkeypatch.setattr(api.coordinator, "commit", overtaken)
    assert run_now(api).status == 409
    assert len(tasks(api)) == MAX_WAITING


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"arguments": "x"}, 422, "arguments"),
        ({"arguments": [1]}, 422, "arguments[0]"),
        ({"arguments": ["a\nb"]}, 422, "arguments[0]"),
        ({"arguments": ["x" * 8192, "x" * 8191, "é"]}, 422, "arguments"),
        ({"argument": []}, 422, "argument"),
        ([], 422, "body"),
    ],
)
def test_a_bad_request_for_a_run_is_named(api: Api, body, status, field) -> None:
    api.post("/jobs", A_SCRIPT)
    fence(api)
    before = api.stored()
    answer = run_now(api, body)
    assert (answer.status, answer.fields) == (status, [field])
    assert (tasks(api), api.stored()) == ({}, before)


def test_a_command_takes_no_arguments(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    answer = run_now(api, {"arguments": ["-a"]})
    assert (answer.status, answer.fields, tasks(api)) == (422, ["arguments"], {})


def test_a_job_on_all_is_asked_for_of_every_holder_that_is_online(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "placement": {"on": "all"}})
    for worker in ("node1", "node2"):
        fence(api, node=worker, holder=worker)
        api.coordinator.ensure(paths.registration(worker))
    fence(api, node="node3", holder="node3")  # away
    fence(api, node="node4", holder=None)
    fence(api, holder="node1")  # of an earlier placement
    answer = run_now(api)
    assert [run["worker"] for run in answer.json["runs"]] == ["node1", "node2"]
    for asked in answer.json["runs"]:
        (name,) = tasks(api, asked["worker"])
        assert name == f"1@{asked['worker']}.m.{asked['run_id']}"


def test_a_job_on_all_names_the_workers_that_could_not_be_asked(api: Api, caplog) -> None:
    api.post("/jobs", {**COMMAND, "placement": {"on": "all"}})
    for worker in ("node1", "node2"):
        fence(api, node=worker, holder=worker)
        api.coordinator.ensure(paths.registration(worker))
    for number in range(MAX_WAITING):
        waits = manual_key(ulid(NOW + number))
        api.coordinator.create(paths.task("node1", Slot(1, "node1"), waits))
    answer = run_now(api)
    (asked,), (failed,) = answer.json["runs"], answer.json["failed"]
    assert (answer.status, asked["worker"], failed["worker"]) == (202, "node2", "node1")
    assert failed["reason"].startswith("20 runs of job 1 wait on worker node1 already")
    assert "job=1@node1 was not asked for a run: 20 runs" in caplog.text


def test_a_run_of_a_newer_revision_is_not_started_by_the_older(api: Api) -> None:
    """A change that was stored but not fenced: whoever asks for a run tells the fence as well."""
    api.post("/jobs", COMMAND)
    path = fence(api)
    api.ensemble.disconnect(api.coordinator)
    assert api.call("PATCH", "/jobs/1", b'{"retries": 2}').status == 503
    api.ensemble.reconnect(api.coordinator)
    assert run_now(api).status == 202
    assert Fence.decode(api.coordinator.get(path).data).revision == 2


@pytest.mark.parametrize(
    ("what", "more", "words"),
    [
        ("no fence", None, "about to place"),
        ("no holder", {"holder": None}, "labels"),
    ],
)
def test_no_worker_is_a_conflict_with_its_reason(api: Api, what, more, words) -> None:
    api.post("/jobs", COMMAND)
    if more is not None:
        fence(api, **more)
    answer = run_now(api)
    assert (answer.status, words in answer.json["detail"]) == (409, True)


def test_a_one_shot_that_is_over_says_so(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "schedule": "@at 2027-01-15T08:05:00Z"})
    minute = int(NOW) // 60 * 60 + 300
    over = RunRecord("r", 1, minute, 1, Trigger.CRON, RunState.SUCCEEDED)
    runs.record_runs(api.services.database, [over], NOW)
    answer = run_now(api)
    assert (answer.status, "new schedule" in answer.json["detail"]) == (409, True)


def test_without_the_coordinator_nothing_is_asked(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    row(api)
    api.ensemble.disconnect(api.coordinator)
    for answer in (run_now(api), kill(api)):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("done", [True, False])
def test_a_lost_answer_is_resolved_by_looking(api: Api, monkeypatch, done: bool) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    commit = api.coordinator.commit

    def losing(operations: Any) -> Any:
        if done:
            commit(operations)
        raise ConnectionLost("no answer")

    monkeypatch.setattr(api.coordinator, "commit", losing)
    answer = run_now(api)
    assert answer.status == (202 if done else 503)
    assert len(tasks(api)) == int(done)
    if not done:
        assert "before you ask again" in answer.json["detail"]


def test_a_fence_that_changes_meanwhile_is_read_again(api: Api, monkeypatch) -> None:
    api.post("/jobs", COMMAND)
    path = fence(api)
    commit, moves = api.coordinator.commit, [True]

    def moved_first(operations: Any) -> Any:
        if moves and moves.pop():
            node = api.coordinator.get(path)
            moved = Fence.decode(node.data)
            api.coordinator.set(path, node.data.replace(b'"node1"', b'"node2"'))
            assert moved.holder == "node1"
        return commit(operations)

    monkeypatch.setattr(api.coordinator, "commit", moved_first)
    assert run_now(api).json["runs"][0]["worker"] == "node2"
    assert (len(tasks(api)), len(tasks(api, "node2"))) == (0, 1)


def test_who_may_not_run_as_the_jobs_user_asks_for_no_run_of_it(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "run_as": "root", "owner": "operator"})
    fence(api)
    answer = run_now(api, user="operator")
    assert (answer.status, answer.fields, tasks(api)) == (403, ["run_as"], {})


def test_the_embedded_mode_runs_its_jobs_by_hand_too(tmp_path) -> None:
    folder = tmp_path / "embedded"
    folder.mkdir()
    with open_api(folder, only_run_as="me") as api:
        api.coordinator.ensure(paths.tasks("node1"))
        api.post("/jobs", {**COMMAND, "owner": "operator"})
        fence(api)
        assert run_now(api, user="operator").status == 202
