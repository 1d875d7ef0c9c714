"""P8: where a place begins that has no fence yet: nothing is left out, nothing is done again."""

from __future__ import annotations

import pytest

from dcron_common import paths
from dcron_common.db.models import JobRevision
from tests.in_process.asking import JOB, made, patch
from tests.in_process.look import unaccounted
from tests.in_process.world import World
from tests.unit.app.api_client import Api


@pytest.mark.parametrize("edits", [0, 1, 3])
@pytest.mark.parametrize("on", ["one", "all"])
def test_p8_minutes_from_before_the_first_place_are_started_or_told(
    world: World, api: Api, on: str, edits: int
) -> None:
    """Nobody leads when the job is posted, and changed, and due."""
    node = world.add("a")
    job = made(api, {**JOB, "placement": {"on": on}})
    for number in range(edits):
        world.time.now += 61
        patch(api, job, retries=number + 1)
    world.time.now += 61
    world.go(20)
    assert node.processes.launched
    world.finish(node)
    assert unaccounted(world, job, deadline=0) == []


@pytest.mark.parametrize("placement", [{"on": "all"}, {"on": "one"}])
@pytest.mark.parametrize("edits", [0, 2])
def test_p8_minutes_from_before_a_new_placement_had_its_places_are_started_or_told(
    world: World, api: Api, placement: dict[str, str], edits: int
) -> None:
    node = world.add("a")
    before = {"on": "one" if placement["on"] == "all" else "all"}
    job = made(api, {**JOB, "placement": before})
    world.turn()
    patch(api, job, placement=placement)  # and nobody leads
    for number in range(edits):
        world.time.now += 61
        patch(api, job, retries=number + 1)
    world.time.now += 61
    world.another_leads()
    world.go(20)
    assert node.processes.launched
    world.finish(node)
    assert unaccounted(world, job, deadline=0) == []


def forget_fences(world: World) -> None:
    """ZooKeeper comes back empty, and another leads."""
    for shard in paths.fence_shards():
        for name in world.app.children(shard):
            world.app.delete(f"{shard}/{name}")
    for worker in world.app.children(paths.ASSIGNMENTS):
        for name in world.app.children(paths.assignments(worker)):
            world.app.delete(f"{paths.assignments(worker)}/{name}")
    world.another_leads()


@pytest.mark.parametrize("goes_to", ["one", "all"])
def test_p8_with_all_fences_lost_a_new_place_does_nothing_of_what_others_did(
    world: World, api: Api, goes_to: str
) -> None:
    first, gone = world.add("a"), world.add("b")
    long = {"catch_up": "all", "starting_deadline_seconds": 86_400}
    job = made(api, {**JOB, **long, "placement": {"on": "all"}})
    world.turn()
    for number in range(8):
        world.go(60)
        world.finish(first)
        if number < 3:
            world.finish(gone)
        if number == 3:
            world.lose("b")
    patch(api, job, placement={"on": goes_to}, retries=1)
    ran = {launch.key for launch in first.processes.launched}
    count = len(first.processes.launched)
    forget_fences(world)
    new = world.add("c")
    for _ in range(20):
        world.go(5)
        world.finish(first)
        world.finish(new)
    assert count
    assert not {launch.key for launch in first.processes.launched[count:]} & ran
    assert not {launch.key for launch in new.processes.launched} & ran


def test_p13_a_history_that_cannot_be_read_hinders_no_other_job(world: World, api: Api) -> None:
    node = world.add("a")
    bad, good = made(api, JOB), made(api, JOB)
    world.time.now += 61
    patch(api, bad, schedule="*/2 * * * *")
    spoilt = JobRevision.update(schedule="x").where(JobRevision.job_id == bad)
    world.database.transaction(spoilt.execute, idempotent=True)
    world.go(70)
    assert good in {launch.job_id for launch in node.processes.launched}
