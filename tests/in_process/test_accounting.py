"""P7 and P8: every due minute ends in a run or in a row that says why not, and nothing of the past
is done again."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dcron_app.api.announce import announce, write_fences
from dcron_app.manager.accounting import MOST
from dcron_app.manager.leader import Leader
from dcron_common import history, paths
from dcron_common.db import editing, histories, jobs, workers
from dcron_common.db.jobs import NewJob
from dcron_common.job import CatchUp, Concurrency, Placement
from dcron_common.ledger import SETTLING, ledger
from dcron_common.paths import Slot
from dcron_common.run import RESTORED, RunState
from tests.in_process.asking import JOB, fences, made
from tests.in_process.look import fence, unaccounted
from tests.in_process.test_restored import put_back
from tests.in_process.world import START, World
from tests.unit.app.api_client import Api


def leader_alone(world: World, seconds: int) -> None:
    """Time passes, and no worker's main loop makes a pass; each still beats."""
    for _ in range(seconds // 5):
        world.time.now += 5
        assert world.manager._leader.step()


def test_p7_minutes_of_a_job_that_no_worker_may_have_are_missed(world: World) -> None:
    world.add("a")
    job = world.post(
        placement=Placement({"disk": "tape"}), starting_deadline_seconds=120, schedule="* * * * *"
    )
    world.go(620)
    found = world.rows(job)
    assert [row.state for row in found] == [RunState.MISSED] * len(found)
    assert [row.scheduled_at for row in found] == [START + 60 * n for n in range(1, len(found) + 1)]
    assert len(found) >= 5
    assert "no worker could have it" in (found[0].reason or "")
    assert found[0].worker is None


def test_p7_a_minute_that_the_leader_closed_starts_nowhere(world: World) -> None:
    world.add("a")
    workers.save_seen(world.database, {}, world.time.now)
    job = world.post(placement=Placement({"disk": "tape"}), starting_deadline_seconds=60)
    world.go(400)
    closed = fence(world, Slot(job)).mark
    assert closed >= START + 60
    node = world.add("tape", labels={"disk": "tape"})
    world.go(10)
    assert all(int(launch.key) > closed for launch in node.processes.launched)
    keys = [(row.scheduled_at, row.attempt) for row in world.rows(job)]
    assert len(keys) == len(set(keys))


def test_p7_a_holder_that_is_online_and_stands_still_is_accounted_for(world: World) -> None:
    node = world.add("a")
    job = world.post(starting_deadline_seconds=60)
    world.turn()
    leader_alone(world, 60 + 60 + SETTLING + 70)
    closed = fence(world, Slot(job)).mark
    assert closed >= START + 60
    found = {row.scheduled_at: row for row in world.rows(job)}
    assert found[START + 60].state is RunState.MISSED
    assert "worker a had the job" in (found[START + 60].reason or "")
    world.turn()
    assert node.processes.launched, "it goes on when it moves again"
    assert all(int(launch.key) > closed for launch in node.processes.launched)


def test_p7_a_minute_that_runs_is_never_called_missed(world: World) -> None:
    """The leader has not heard of the claim, and the database has no row of it yet."""
    node = world.add("a")
    job = world.post(starting_deadline_seconds=60, schedule="1 * * * *")
    world.turn()
    world.manager._leader._compare_at = world.time.now + 3600
    node.database_away = True
    world.time.now = START + 61
    node.turn()
    assert [int(launch.key) for launch in node.processes.launched] == [START + 60]
    leader_alone(world, 60 + SETTLING + 70)
    assert world.rows(job) == []
    node.database_away = False
    node.end()
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


def test_p7_no_minute_is_closed_before_its_holder_had_its_time(world: World) -> None:
    world.add("a")
    job = world.post(starting_deadline_seconds=60)
    world.turn()
    leader_alone(world, 60 + 60 + SETTLING - 10)
    assert world.rows(job) == []


def test_p8_a_minute_that_a_removal_overtook_is_skipped_and_says_so(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.turn()
    world.time.now = START + 60.5  # due, and no hint has come yet
    row, _ = jobs.remove_job(world.database, job, world.time.now, "admin")
    write_fences(world.app, row)
    world.go(60)
    assert not node.processes.launched
    (closed,) = world.rows(job)
    assert (closed.scheduled_at, closed.state) == (START + 60, RunState.SKIPPED)
    assert closed.reason == "the job was removed before this minute could start"
    assert world.app.exists(paths.fence(Slot(job))) is None


def test_p8_all_minutes_that_a_removal_overtook_are_skipped(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.turn()
    world.time.now = START + 120.5  # its worker heard of neither minute
    row, _ = jobs.remove_job(world.database, job, world.time.now, "admin")
    write_fences(world.app, row)
    world.go(60)
    assert not node.processes.launched
    closed = sorted((row.scheduled_at, row.state, row.reason) for row in world.rows(job))
    why = "the job was removed before this minute could start"
    assert closed == [(START + due, RunState.SKIPPED, why) for due in (60, 120)]


def test_p7_each_place_of_a_removed_job_on_all_tells_what_it_owes(world: World) -> None:
    """One place that has told all is forgotten before the others have."""
    _, told, _ = (world.add(name) for name in "abc")
    job = world.post(placement=Placement({}, "all"))
    world.turn()
    world.time.now = START + 60.5
    told.turn()
    told.end()
    told.turn()
    row, _ = jobs.remove_job(world.database, job, world.time.now, "admin")
    write_fences(world.app, row)
    world.go(60)
    assert sorted((row.node, row.scheduled_at, row.state) for row in world.rows(job)) == [
        ("a", START + 60, RunState.SKIPPED),
        ("b", START + 60, RunState.SUCCEEDED),
        ("c", START + 60, RunState.SKIPPED),
    ]


@pytest.mark.parametrize("trouble", ["new leader", "wrong clock", "database"])
def test_p7_a_removed_job_is_forgotten_only_once_it_is_accounted_for(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    world.add("a")
    job = made(api, JOB)
    world.turn()
    world.time.now = START + 61  # minute 1 is due, and nobody has looked yet
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    if trouble == "new leader":
        world.another_leads()
    elif trouble == "wrong clock":
        with monkeypatch.context() as patched:
            patched.setattr(Leader, "_clock_is_right", lambda leader: False)
            world.go(10)
    else:
        world.manager._leader._records = False  # it was away a moment ago
    world.go(1000)
    assert unaccounted(world, job) == []
    assert fences(world, job) == []


def test_p7_a_removed_job_with_many_open_minutes_is_forgotten_after_the_last(
    world: World, api: Api
) -> None:
    job = made(api, {**JOB, "placement": {"labels": {"disk": "tape"}}})
    world.manager._leader.step()
    world.time.now += 60 * (MOST + 50)  # nobody leads
    assert api.call("DELETE", f"/jobs/{job}").status == 200
    world.go(1000)
    assert unaccounted(world, job) == []
    assert fences(world, job) == []


@pytest.mark.parametrize("catch_up", list(CatchUp))
def test_p8_after_a_long_outage_every_minute_is_in_the_ledger(
    world: World, catch_up: CatchUp
) -> None:
    node = world.add("a")
    job = world.post(catch_up=catch_up)
    world.turn()
    world.time.now += 5 * 3600  # all hosts are off
    node.turn()  # the worker is there before a leader
    assert node.processes.launched, "it starts at once, however much has to be closed before"
    while any(run not in node.processes.ends for run in node.processes.running):
        node.end()
        world.turn()
    world.go(30)
    assert unaccounted(world, job) == []


def test_p8_catching_up_all_after_a_long_outage_begins_with_the_oldest(world: World) -> None:
    node = world.add("a")
    world.post(catch_up=CatchUp.ALL, starting_deadline_seconds=86_400)
    world.turn()
    world.time.now += 5 * 3600
    node.turn()
    assert [launch.key for launch in node.processes.launched] == [str(START + 60)]


def edit_often(world: World, job: int, times: int) -> None:
    """Once a minute, each time by another schedule; the leader is away."""
    for n in range(times):
        world.time.now += 60
        row = jobs.get_job(world.database, job)
        assert row is not None
        schedule = "* * * * *" if n % 2 else "*/1 * * * *"
        spec = replace(jobs.spec_of(row), executable=f"echo {n}", schedule=schedule)
        new = NewJob(spec, "admin", {})
        changed = editing.update_job(world.database, row, new, world.time.now, "admin")
        assert changed is not None
        announce(world.app, changed.id, changed.revision)
        write_fences(world.app, changed)


@pytest.mark.parametrize("placed", [False, True])
def test_p8_many_changes_while_minutes_wait_leave_none_out(world: World, placed: bool) -> None:
    job = world.post(placement=Placement({"disk": "tape"}))
    world.turn()
    node = world.add("tape", labels={"disk": "tape"}) if placed else None
    edit_often(world, job, history.MOST + 6)
    world.go(1000)
    if node is not None:
        node.end()  # with it come the rows of what it passed over
        node.turn()
    world.go(230)
    if node is not None:
        assert len(node.processes.launched) == 2
    assert unaccounted(world, job) == []
    reasons = {row.reason or "" for row in world.rows(job)}
    assert any("changed more than 20 times" in reason for reason in reasons)


def test_p8_a_worker_that_joins_begins_with_what_is_due_then(world: World) -> None:
    world.add("a")
    job = world.post(placement=Placement({}, "all"))
    world.go(600)
    node = world.add("b")
    world.go(62)
    assert [int(launch.key) for launch in node.processes.launched] == [START + 660]
    assert all(row.scheduled_at >= START + 660 for row in world.rows(job) if row.node == "b")


def test_p8_a_worker_that_was_drained_begins_with_what_is_due_then(world: World) -> None:
    node = world.add("a")
    world.add("b")
    job = world.post(placement=Placement({}, "all"))
    world.go(5)
    workers.set_drained(world.database, "a", True, world.time.now, "admin")
    world.go(600)
    workers.set_drained(world.database, "a", False, world.time.now, "admin")
    world.go(62)
    assert [int(launch.key) for launch in node.processes.launched] == [START + 660]
    assert all(row.scheduled_at >= START + 660 for row in world.rows(job) if row.node == "a")


def test_p8_a_lost_fence_goes_on_where_the_record_ends(world: World) -> None:
    """ZooKeeper was set up anew: nothing that is recorded runs again."""
    node = world.add("a")
    job = world.post()
    for _ in range(3):
        world.go(60)
        node.end()
        world.turn()
    launched = len(node.processes.launched)
    world.app.delete(paths.fence(Slot(job)))
    for name in world.app.children(paths.assignments("a")):
        world.app.delete(f"{paths.assignments('a')}/{name}")
    world.go(35)
    assert fence(world, Slot(job)).mark == START + 180
    assert len(node.processes.launched) == launched
    world.go(30)
    assert int(node.last_minute) == START + 240
    states = [row.state for row in world.rows(job)]
    assert RunState.MISSED not in states


def test_p8_a_restored_backup_replays_nothing_and_shows_its_gap(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.go(60)
    node.end()
    world.go(5)
    backup = sqlite3.connect(world.file.with_name("backup.db"))
    with sqlite3.connect(world.file) as live:
        live.backup(backup)
    for _ in range(3):
        world.go(60)
        node.end()
        world.turn()
    launched = len(node.processes.launched)
    world.database.close()
    with sqlite3.connect(world.file) as live:
        backup.backup(live)
    backup.close()
    world.go(35)
    assert len(node.processes.launched) == launched
    rows = world.rows(job)
    (gap,) = [row for row in rows if row.kind == RESTORED]
    assert (gap.scheduled_at, gap.state) == (START + 240, RunState.LOST)
    assert "restored from a backup" in (gap.reason or "")
    now = world.time.now
    spans = histories.spans_of(world.database, job)
    found = list(ledger(spans, rows, START, START + 240, now, 600))
    assert [one.outcome for one in found] == [RunState.SUCCEEDED, *[RunState.LOST] * 3]
    world.go(60)
    assert int(node.last_minute) == START + 300
    assert len([row for row in world.rows(job) if row.kind == RESTORED]) == 1


def test_p8_a_restored_backup_undoes_what_it_does_not_know(world: World) -> None:
    """A job that was made later goes; one that was removed later stands again. A run of it goes on,
    so its fence is there still, and tells which minutes nobody has started."""
    node = world.add("a")
    kept = world.post(concurrency=Concurrency.ALLOW)
    world.go(60)
    backup = sqlite3.connect(world.file.with_name("backup.db"))
    with sqlite3.connect(world.file) as live:
        live.backup(backup)
    later = world.post()
    row, _ = jobs.remove_job(world.database, kept, world.time.now, "admin")
    write_fences(world.app, row)
    world.go(180)
    launched = [launch.job_id for launch in node.processes.launched]
    assert (kept in launched, later in launched) == (True, True)
    world.database.close()
    with sqlite3.connect(world.file) as live:
        backup.backup(live)
    backup.close()
    world.go(35)
    slots = {slot for slot, _ in map(paths.assignment_parts, world.app.children("/assignments/a"))}
    assert slots == {Slot(kept)}
    world.go(90)
    later_on = [(launch.job_id, int(launch.key)) for launch in node.processes.launched]
    due = [(kept, START + minute * 60) for minute in (4, 5, 6)]  # the newest, then as ever
    assert later_on[len(launched) :] == due


def test_p8_a_job_removed_after_the_backup_begins_anew(world: World) -> None:
    """Its fence is gone, and what ran after the backup is not known: nothing of it is repeated."""
    node = world.add("a")
    job = world.post()
    world.go(60)
    node.end()
    world.go(5)
    with put_back(world):
        world.go(120)
        node.end()
        world.turn()
        row, _ = jobs.remove_job(world.database, job, world.time.now, "admin")
        write_fences(world.app, row)
        world.go(60)
        assert fences(world, job) == []
    launched = len(node.processes.launched)
    world.go(100)
    assert [int(one.key) for one in node.processes.launched[launched:]] == [START + 300]
    (gap,) = [row for row in world.rows(job) if row.kind == RESTORED]
    assert (gap.scheduled_at, gap.state) == (START + 240, RunState.LOST)


def test_p8_a_one_shot_of_a_restored_backup_does_not_run_again(world: World) -> None:
    """It ran, and was forgotten, after the backup."""
    node = world.add("a")
    job = world.post(schedule=f"@at {datetime.fromtimestamp(START + 60, UTC):%Y-%m-%dT%H:%M:%SZ}")
    with put_back(world):
        world.go(65)
        node.end()
        world.go(60)
        assert fences(world, job) == []
    world.go(60)
    assert len(node.processes.launched) == 1
    (row,) = world.rows(job)
    assert (row.scheduled_at, row.state) == (START + 60, RunState.LOST)
    assert "restored from a backup" in (row.reason or "")
    assert world.status(job) == "error"
