"""P9: the worker of a run without a claim is gone, for good or for long, and the record says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dcron_app.manager.isolated import WAIT
from dcron_common import paths
from dcron_common.db import runs
from dcron_common.run import RunRecord, RunState
from tests.in_process.asking import below, kill
from tests.in_process.look import remove
from tests.in_process.test_isolation_return import isolated_run
from tests.in_process.world import Node, World
from tests.unit.app.api_client import Api


@pytest.fixture
def node(world: World) -> Node:
    return world.add("a")


def the_row(world: World, job: int) -> RunRecord:
    (row,) = [row for row in world.rows(job) if row.isolated]
    return row


def gone(world: World, node: Node, seconds: float) -> None:
    """Its session is given up, and the leader is alone so long."""
    world.lose(node.name)
    world.go(seconds)


def back(world: World, node: Node) -> None:
    """The daemon has gone on all the time, and so have its processes."""
    node.heal()
    world.nodes[node.name] = node
    world.go(10)


def test_p9_a_run_of_a_host_that_is_gone_for_good_is_lost(
    world: World, node: Node, api: Api
) -> None:
    job, _ = isolated_run(world, node, api)
    gone(world, node, WAIT - 10)
    assert the_row(world, job).state is RunState.RUNNING, "it may be cut off and well"
    world.go(60)
    row = the_row(world, job)
    assert row.state is RunState.LOST and row.finished_at
    assert "worker a started it while it was cut off" in str(row.reason)
    assert world.status(job) == "error"


def test_p9_a_run_of_a_removed_job_is_lost_as_well(world: World, node: Node, api: Api) -> None:
    job, _ = isolated_run(world, node, api)
    world.lose("a")
    remove(world, job)
    world.go(WAIT + 60)
    assert the_row(world, job).state is RunState.LOST


def test_p9_a_worker_that_is_back_in_time_has_no_run_called_lost(
    world: World, node: Node, api: Api
) -> None:
    job, _ = isolated_run(world, node, api)
    gone(world, node, WAIT - 60)
    back(world, node)
    world.go(WAIT)
    assert the_row(world, job).state is RunState.RUNNING


def test_p9_a_new_leader_gives_it_as_long_again(world: World, node: Node, api: Api) -> None:
    job, _ = isolated_run(world, node, api)
    gone(world, node, WAIT - 60)
    world.another_leads()
    world.go(WAIT - 60)
    assert the_row(world, job).state is RunState.RUNNING
    world.go(120)
    assert the_row(world, job).state is RunState.LOST


def test_p13_the_end_that_its_worker_tells_after_all_takes_the_place_of_lost(
    world: World, node: Node, api: Api
) -> None:
    job, run = isolated_run(world, node, api)
    gone(world, node, WAIT + 60)
    node.end()
    back(world, node)
    row = the_row(world, job)
    assert (row.run_id, row.state, row.reason) == (run, RunState.SUCCEEDED, None)


def test_p9_a_run_that_is_called_lost_and_goes_on_can_be_ended_once_its_worker_is_back(
    world: World, node: Node, api: Api
) -> None:
    job, run = isolated_run(world, node, api)
    gone(world, node, WAIT + 60)
    answer = api.call("POST", f"/jobs/{job}/runs/{run}/kill")
    assert answer.status == 409
    assert "nobody knows whether it goes on; ask again when a is online" in answer.json["detail"]
    assert not below(world, paths.KILLS)
    back(world, node)
    assert the_row(world, job).state is RunState.LOST
    assert kill(api, job, run) == 202
    node.turn()
    assert set(node.processes.killed) == {run}
    node.end("killed", None)
    world.go(5)
    assert the_row(world, job).state is RunState.KILLED
    assert kill(api, job, run) == 409


def test_p9_a_request_to_end_what_is_lost_indeed_does_not_stay(
    world: World, node: Node, api: Api
) -> None:
    job, run = isolated_run(world, node, api)
    gone(world, node, WAIT + 60)
    node.end("lost", None)  # as its launcher says after a power cut
    back(world, node)
    assert kill(api, job, run) == 202
    world.go(5)
    assert not below(world, paths.KILLS)
    assert the_row(world, job).state is RunState.LOST


def test_the_trouble_that_such_a_run_is_ends_when_it_says(
    world: World, node: Node, api: Api
) -> None:
    assert WAIT == 10 * 60
    isolated_run(world, node, api)
    gone(world, node, WAIT - 60)
    seen = api.get("/cluster").json
    assert seen["isolated"] == ["a"]
    (remedy,) = [x["remedy"] for x in seen["problems"] if "on_isolation: run" in x["what"]]
    assert "what it started while it was cut off after ten minutes" in remedy
    world.go(120)
    assert api.get("/cluster").json["isolated"] == []


def test_p9_what_claims_tell_of_is_not_called_lost_so(world: World, node: Node, api: Api) -> None:
    job, _ = isolated_run(world, node, api)
    other = replace(the_row(world, job), run_id="x" * 26, attempt=2, isolated=False)
    runs.record_runs(world.database, [other], world.time.now)
    gone(world, node, WAIT + 60)
    found = {row.isolated: row.state for row in world.rows(job) if row.attempt == 2}
    assert found == {False: RunState.RUNNING}
