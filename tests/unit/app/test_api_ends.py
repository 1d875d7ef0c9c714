"""POST /jobs/{id}/runs/{run}/kill: what it answers, and what it leaves with the coordinator."""

import pytest

from dcron_common import paths
from dcron_common.paths import Slot
from dcron_common.protocol import Attempt, Kill, Result
from dcron_common.run import RunState, Trigger, cron_key
from tests.unit.app.api_client import COMMAND, NOW, Api
from tests.unit.app.asked import (
    MINUTE,
    NEXT,
    RUN,
    claim,
    fence,
    kill,
    requests,
    row,
    run_now,
)

pytestmark = pytest.mark.usefixtures("places")


def test_the_end_is_asked_of_the_worker_that_has_the_run(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "owner": "operator"})
    path = fence(api)
    claim(api)
    row(api)
    answer = kill(api, user="operator")
    assert answer.status == 202
    assert answer.json["runs"] == [{"run_id": RUN, "worker": "node1"}]
    assert requests(api) == [f"1.{MINUTE}"]
    node = api.coordinator.get(paths.kill("node1", Slot(1), cron_key(MINUTE)))
    assert Kill.decode(node.data) == Kill(RUN, "operator")
    assert Kill.decode(node.data).reason == "ended by user operator"
    assert api.coordinator.get(path).stat.version == 1


def test_asking_again_is_the_same_request(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api)
    row(api)
    assert [kill(api).status, kill(api, body=b"{}").status] == [202, 202]
    assert requests(api) == [f"1.{MINUTE}"]


def test_a_run_is_found_where_it_goes_on_after_its_job_has_moved(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api, holder="node2")
    claim(api, worker="node1")
    row(api, worker="node1")
    assert kill(api).json["runs"][0]["worker"] == "node1"
    assert (requests(api), requests(api, "node2")) == ([f"1.{MINUTE}"], [])


def test_a_run_that_the_database_does_not_know_yet_is_found(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api)
    assert kill(api).status == 202
    assert kill(api, NEXT).status == 404


def ended(run_id: str = RUN) -> Attempt:
    return Attempt(run_id, 1, Trigger.CRON, "node1", 1, Result(RunState.FAILED, NOW, NOW))


def test_a_run_that_waits_for_its_retry_is_named_by_its_last_attempt(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api, run_id=NEXT, attempt=2, not_before=NOW + 60, ended=[ended()])
    row(api, RunState.FAILED)
    assert kill(api).status == 202
    assert requests(api) == [f"1.{MINUTE}"]


def test_an_attempt_that_was_followed_names_the_one_that_runs(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    claim(api, run_id=NEXT, attempt=2, ended=[ended()])
    row(api, RunState.FAILED)
    answer = kill(api)
    assert (answer.status, NEXT in answer.json["detail"], requests(api)) == (409, True, [])


def test_a_run_that_is_over_cannot_be_ended(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    row(api, RunState.SUCCEEDED)
    answer = kill(api)
    assert (answer.status, "succeeded" in answer.json["detail"]) == (409, True)
    claim(api, result=Result(RunState.SUCCEEDED, NOW, NOW))
    answer = kill(api)
    assert (answer.status, "just ended" in answer.json["detail"]) == (409, True)
    assert requests(api) == []


def test_a_request_for_a_run_that_has_not_begun_can_be_taken_back(api: Api) -> None:
    api.post("/jobs", COMMAND)
    fence(api)
    run_id = run_now(api).json["run_id"]
    assert kill(api, run_id).status == 202
    assert requests(api) == [f"1.m.{run_id}"]


def test_unknown_jobs_and_runs_are_404(api: Api) -> None:
    assert kill(api).status == 404
    api.post("/jobs", COMMAND)
    fence(api)
    assert kill(api).status == 404
    assert kill(api, "x").status == 404
    assert api.get(f"/jobs/1/runs/{RUN}").status == 404


def test_one_run_can_be_read(api: Api) -> None:
    api.post("/jobs", COMMAND)
    api.post("/jobs", COMMAND)
    row(api)
    shown = api.get(f"/jobs/1/runs/{RUN}").json
    assert (shown["id"], shown["state"]) == (RUN, "running")
    assert shown == api.get("/jobs/1/runs").json[0]
    assert api.get(f"/jobs/2/runs/{RUN}").status == 404
