"""P7, P8: each minute is told by a place that its job wanted when it was due, or by nobody's row;
whatever changed since, and whoever leads by now."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dcron_common import paths
from dcron_common.db.models import JobRevision
from dcron_common.run import RunState
from tests.in_process.asking import JOB, fences, made, patch
from tests.in_process.look import unaccounted
from tests.in_process.witness import Witness
from tests.in_process.world import START, Node, World
from tests.unit.app.api_client import Api


@pytest.fixture(autouse=True)
def witness(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the end each worker that had a place of a job on all, and has it no more, has told all of
    it."""
    witness, turn = Witness(world), world.turn

    def watched() -> None:
        turn()
        witness.look()

    monkeypatch.setattr(world, "turn", watched)
    yield
    assert witness.untold() == []


TAPE = {"on": "all", "labels": {"disk": "tape"}}
SHORT = {**JOB, "starting_deadline_seconds": 60}


@pytest.mark.parametrize("change", [{"retries": 1}, {"placement": {"on": "one"}}])
@pytest.mark.parametrize("told", [0, 480])
def test_p7_a_job_that_no_worker_may_have_keeps_its_minutes_through_a_change_and_a_new_leader(
    world: World, api: Api, change: dict[str, object], told: int
) -> None:
    """`told`: seconds in which the leader had told of some of its minutes already."""
    world.add("a")
    job = made(api, {**SHORT, "placement": TAPE})
    world.go(62 + told)
    patch(api, job, **change)
    world.another_leads()
    for _ in range(8):
        world.go(60)
        world.finish()
    assert unaccounted(world, job, deadline=60) == []


@pytest.mark.parametrize("leads", ["the same", "another"])
def test_p7_a_worker_that_joins_when_no_other_is_left_goes_on_where_they_ended(
    world: World, api: Api, leads: str
) -> None:
    gone = world.add("a", {"disk": "tape"})
    job = made(api, {**SHORT, "placement": TAPE})
    world.go(62)
    world.finish()
    world.time.now = START + 119
    world.lose(gone.name)
    world.time.now += 63
    if leads == "another":
        world.another_leads()
    joined = world.add("b", {"disk": "tape"})
    for _ in range(4):
        world.go(60)
        world.finish()
    assert joined.processes.launched[0].key == str(START + 180)
    assert unaccounted(world, job, deadline=0) == []


def test_p7_a_worker_that_joins_others_does_nothing_of_what_was_due_before(
    world: World, api: Api
) -> None:
    world.add("a", {"disk": "tape"})
    job = made(api, {**JOB, "catch_up": "all", "placement": TAPE})
    for _ in range(3):
        world.go(60)
        world.finish()
    joined = world.add("b", {"disk": "tape"})
    world.go(61)
    assert len(joined.processes.launched) == 1
    assert unaccounted(world, job, deadline=0) == []


def test_p7_a_job_that_goes_from_one_worker_to_another_in_one_look_is_gone_on_with(
    world: World, api: Api
) -> None:
    """The one that is drained had not yet caught up."""
    world.add("a")
    other = world.add("b")
    world.turn()
    assert api.post("/workers/b/drain", {}).status == 200
    world.go(6)
    late = {"catch_up": "all", "starting_deadline_seconds": 86_400}
    job = made(api, {**JOB, **late, "placement": {"on": "all"}})
    world.go(62)
    world.finish()
    world.lose("a")
    world.go(180)
    world.add("a")
    world.turn()
    assert api.post("/workers/a/drain", {}).status == 200
    assert api.post("/workers/b/resume", {}).status == 200
    world.go(10)
    for _ in range(12):
        world.finish()
        world.go(30)
    assert other.processes.launched
    assert unaccounted(world, job, deadline=0) == []


@pytest.mark.parametrize("before", ["one", "all"])
@pytest.mark.parametrize("edits", [0, 1])
def test_p8_places_that_are_opened_again_tell_what_was_due_since_they_were_wanted(
    world: World, api: Api, before: str, edits: int
) -> None:
    """Nobody leads when the job goes back, and is due."""
    node = world.add("a")
    other = "all" if before == "one" else "one"
    job = made(api, {**JOB, "placement": {"on": before}})
    world.go(62)
    world.finish()
    patch(api, job, placement={"on": other})
    world.turn()
    patch(api, job, placement={"on": before})
    for number in range(edits):
        world.time.now += 61
        patch(api, job, retries=number + 1)
    world.time.now += 130
    world.another_leads()
    world.go(30)
    world.finish(node)
    assert unaccounted(world, job, deadline=0) == []
    keys = [launch.key for launch in node.processes.launched]
    assert len(keys) == len(set(keys))


def moved_under_a_run(world: World, api: Api, node: Node, before: str) -> int:
    """A job that was placed on `before`, and on the other since; a run has outlived the change."""
    other = "all" if before == "one" else "one"
    job = made(api, {**JOB, "concurrency": "allow", "placement": {"on": before}})
    world.go(62)
    patch(api, job, placement={"on": other})
    for _ in range(3):
        world.go(60)
        while len(node.processes.running) > 1:
            end_newest(world)
    return job


@pytest.mark.parametrize("before", ["one", "all"])
def test_p7_a_closed_place_tells_nothing_of_minutes_that_others_run(
    world: World, api: Api, before: str
) -> None:
    """A run outlives two changes, so its place is still known."""
    node = world.add("a")
    job = moved_under_a_run(world, api, node, before)
    patch(api, job, retries=1)
    world.go(70)
    assert len(fences(world, job)) == 2
    skipped = [row for row in world.rows(job) if row.state is RunState.SKIPPED]
    assert skipped == []
    world.finish()
    assert unaccounted(world, job, deadline=0) == []


@pytest.mark.parametrize("before", ["one", "all"])
def test_p7_a_closed_place_of_a_removed_job_tells_nothing_of_minutes_that_others_ran(
    world: World, api: Api, before: str
) -> None:
    """The job goes back to the place that a run keeps, and is removed before any leader looks."""
    node = world.add("a")
    job = moved_under_a_run(world, api, node, before)
    world.go(10)
    patch(api, job, placement={"on": before})
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.go(90)
    skipped = [row for row in world.rows(job) if row.state is RunState.SKIPPED]
    assert skipped == []
    world.finish()
    world.go(20)
    assert fences(world, job) == []
    assert unaccounted(world, job, deadline=0) == []


@pytest.mark.parametrize("before", ["one", "all"])
@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize("concurrency", ["forbid", "allow"])
def test_p7_a_job_that_goes_to_and_fro_while_nobody_leads_keeps_all_its_minutes(
    world: World, api: Api, before: str, removed: bool, concurrency: str
) -> None:
    world.add("a")
    other = "all" if before == "one" else "one"
    job = made(api, {**JOB, "concurrency": concurrency, "placement": {"on": before}})
    world.go(62)
    world.finish()
    for wanted in (other, before, other):
        world.time.now += 70
        patch(api, job, placement={"on": wanted})
    world.time.now += 70
    if removed:
        assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.another_leads()
    for _ in range(5):
        world.go(60)
        world.finish()
    minutes = [row.scheduled_at for row in world.rows(job)]
    assert len(minutes) == len(set(minutes))
    assert unaccounted(world, job, deadline=0) == []


@pytest.mark.parametrize("before", ["one", "all"])
@pytest.mark.parametrize("looks", [False, True])
def test_p7_of_a_removed_job_what_no_place_ever_had_is_told(
    world: World, api: Api, before: str, looks: bool
) -> None:
    """A run keeps the places of the second placement from being opened. `looks`: whether a leader
    sees each change, and so closes the first."""
    world.add("a")
    other = "all" if before == "one" else "one"
    job = made(api, {**JOB, "starting_deadline_seconds": 86_400, "placement": {"on": before}})
    world.go(62)
    for wanted in (other, before):
        patch(api, job, placement={"on": wanted})
        if looks:
            world.turn()
        world.time.now += 130
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.another_leads()
    for _ in range(4):
        world.go(30)
        world.finish()
    assert fences(world, job) == []
    assert unaccounted(world, job, deadline=0) == []


@pytest.mark.parametrize("before", ["one", "all"])
def test_p8_what_a_leader_closed_at_a_change_is_started_by_no_place_that_opens_then(
    world: World, api: Api, before: str
) -> None:
    """A comparison finds the change, and a scan comes in the same pass."""
    world.add("a")
    other = "all" if before == "one" else "one"
    job = made(api, {**JOB, "placement": {"on": before}})
    world.go(62)
    world.finish()
    world.time.now = START + 115
    world.turn()
    world.time.now = START + 120.3
    patch(api, job, placement={"on": other})
    for name in world.app.children(paths.INBOX):
        world.app.delete(f"{paths.INBOX}/{name}")
    leader = world.manager._leader
    leader._compare_at = leader._scan_at = 0
    leader.step()
    world.time.now += 1
    for _ in range(3):
        world.turn()
        world.time.now += 3
    for _ in range(3):
        world.finish()
        world.go(60)
    rows = world.rows(job)
    assert [row.scheduled_at for row in rows if row.state is RunState.SKIPPED] == [START + 120]
    assert len({row.scheduled_at for row in rows}) == len(rows)
    assert unaccounted(world, job, deadline=0) == []


@pytest.mark.parametrize("before", ["one", "all"])
@pytest.mark.parametrize("back", [False, True])
def test_p7_a_place_is_kept_until_what_it_tells_has_come_by_the_leaders_clock(
    world: World, api: Api, before: str, back: bool
) -> None:
    """The API node that changes the job is ahead of the leader, on whose clock the last minute of
    the old placement comes later. `back`: the job goes back at once."""
    world.add("a")
    other = "all" if before == "one" else "one"
    job = made(api, {**JOB, "placement": {"on": before}})
    world.go(62)
    world.finish()
    world.time.now = START + 118.5
    world.turn()
    leader = world.manager._leader
    for wanted in (other, before)[: 1 + back]:
        world.time.now += 1.6
        patch(api, job, placement={"on": wanted})
        world.time.now -= 1.6
        for _ in range(2):  # it closes, and opens
            leader.step()
        leader._scan_at = 0
        leader.step()
    for _ in range(5):
        world.go(60)
        world.finish()
    assert unaccounted(world, job, deadline=0) == []


@pytest.mark.parametrize("before", ["one", "all"])
@pytest.mark.parametrize("removed", [False, True])
def test_p8_where_no_placement_was_noted_each_minute_is_told_and_none_runs_twice(
    world: World, api: Api, before: str, removed: bool
) -> None:
    """Rows of an earlier release; a run outlives the changes and the upgrade."""
    world.add("a")
    other = "all" if before == "one" else "one"
    job = made(api, {**JOB, "concurrency": "allow", "placement": {"on": before}})
    world.go(62)
    for wanted in (other, before):
        patch(api, job, placement={"on": wanted})
        world.go(130)
        update = JobRevision.update(placed_on=None)
        world.database.transaction(update.execute, idempotent=True)
        world.another_leads()
        world.go(60)
    if removed:
        assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.go(30)
    world.finish()
    world.go(90)
    world.finish()
    assert unaccounted(world, job, deadline=0) == []
    ran = [row.scheduled_at for row in world.rows(job) if row.state is RunState.SUCCEEDED]
    assert len(ran) == len(set(ran)) > 3


def end_newest(world: World) -> None:
    """The newest process of worker a ends well."""
    node = world.nodes["a"]
    newest = node.processes.running.popitem()
    node.processes.running = {**dict([newest]), **node.processes.running}
    node.end()
    world.turn()


def test_p8_what_no_place_of_a_placement_ever_had_is_told_by_the_next(
    world: World, api: Api
) -> None:
    """A run keeps the new places from being opened until the job goes back."""
    node = world.add("a")
    job = made(api, {**JOB, "starting_deadline_seconds": 86_400})
    world.go(62)
    patch(api, job, placement={"on": "all"})
    world.go(120)
    assert len(fences(world, job)) == 1
    patch(api, job, placement={"on": "one"})
    world.another_leads()
    world.go(20)
    for _ in range(4):
        world.finish(node)
        world.go(30)
    assert unaccounted(world, job, deadline=0) == []
