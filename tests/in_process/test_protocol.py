"""What must hold when answers are lost and workers come back: fences, claims, leases, ends.

Named after the rules of docs/guarantees.md where one stands behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dcron_common import paths, timing
from dcron_common.coordinator.contract import Node as Znode
from dcron_common.db import workers
from dcron_common.errors import ConnectionLost, LaunchError
from dcron_common.job import Concurrency, OnWorkerLoss
from dcron_common.paths import Slot
from dcron_common.protocol import Claim
from dcron_common.run import RunState
from dcron_worker.daemon import Due
from tests.in_process.faults import lose_answers
from tests.in_process.look import claims, fence, holder_of
from tests.in_process.world import START, Node, World

# P1, P4: a worker that comes back


def test_p1_a_worker_that_comes_back_late_leaves_its_job_free(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    first = holder_of(world, job)
    world.go(65)
    lost = world.lose(first.name)
    world.turn()  # the job moves at once
    (other,) = world.nodes.values()
    world.time.now += 3
    lost.come_back()
    world.nodes[lost.name] = lost
    lost.end("killed", None)
    world.go(130)
    assert fence(world, Slot(job)).holder == other.name
    assert other.processes.launched, "minutes after it are skipped for ever"
    assert RunState.KILLED in [row.state for row in world.rows(job)]
    assert all(name.startswith(f"{job}.{other.last_minute}") for name in claims(world))


def test_p4_a_run_that_its_returned_worker_lost_is_resumed_by_the_holder(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post(schedule="1 * * * *")
    world.turn()
    first = holder_of(world, job)
    world.go(65)
    lost = world.lose(first.name)
    world.turn()
    (other,) = world.nodes.values()
    world.time.now += 3
    lost.come_back()
    world.nodes[lost.name] = lost
    lost.end("lost", None)
    world.go(20)
    assert [launch.attempt for launch in other.processes.launched] == [2]
    other.end()
    world.go(5)
    assert [row.state for row in world.rows(job)] == [RunState.LOST, RunState.SUCCEEDED]
    assert claims(world) == []


def test_p1_a_move_that_fails_leaves_the_holder_its_rights(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.turn()
    node = holder_of(world, job)
    world.go(40)
    world.time.now += 25
    # The leader's view says that nothing runs, when the worker claims the minute.
    leader = world.manager._leader
    leader._compare_at = leader._scan_at = world.time.now + 25
    node.turn()
    assert fence(world, Slot(job)).active is not None
    workers.set_drained(world.database, node.name, True, world.time.now, "admin")
    leader._seen_at = 0.0
    leader.step()
    node.end()
    world.go(70)
    assert [row.state for row in world.rows(job)][0] is RunState.SUCCEEDED
    assert fence(world, Slot(job)).holder != node.name


def test_p1_a_worker_that_does_not_know_that_it_lost_its_job_claims_nothing(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post()
    world.go(40)
    first = holder_of(world, job)
    workers.set_drained(world.database, first.name, True, world.time.now, "admin")
    world.manager._leader._seen_at = 0.0
    world.manager._leader.step()
    world.manager._leader.step()
    (other,) = (node for node in world.nodes.values() if node is not first)
    assert fence(world, Slot(job)).holder == other.name
    world.time.now = START + 61
    first.membership.try_to_beat()  # it has its lease, else it would claim nothing anyway
    first.daemon._changed, first.daemon._due = False, True  # it has not looked since
    first.daemon._scan_at = world.time.now + 100
    first.daemon.step()
    assert first.processes.launched == []
    other.turn()
    assert [int(launch.key) for launch in other.processes.launched] == [START + 60]


def test_p4_a_run_is_resumed_only_when_nothing_of_it_can_live(world: World) -> None:
    world.add("a")
    world.add("b")
    job = world.post(schedule="1 * * * *")
    world.turn()
    first = holder_of(world, job)
    world.go(65)
    world.lose(first.name)
    (other,) = world.nodes.values()
    lost_at = world.time.now
    world.turn()  # the leader notes it
    while world.time.now < lost_at + timing.LEASE + timing.KILL - 1:
        assert other.processes.launched == [], world.time.now - lost_at
        world.time.now += 1
        world.turn()
    world.go(10)
    assert [launch.attempt for launch in other.processes.launched] == [2]


# P3: lost answers


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("syncs", [True, False])
@pytest.mark.parametrize("renew", [True, False])
@pytest.mark.parametrize("loss", list(OnWorkerLoss))
def test_p3_a_claim_whose_answer_is_lost_runs_once(
    world: World, done: bool, syncs: bool, renew: bool, loss: OnWorkerLoss
) -> None:
    """In the session of the claim or another, and no attempt is used up by it."""
    node = world.add("a")
    job = world.post(schedule="1 * * * *", on_worker_loss=loss)
    world.turn()
    world.time.now = START + 61
    lose_answers(node, 1, done=done, syncs=syncs, renew=renew)
    world.go(15)
    launched = [(launch.key, launch.attempt) for launch in node.processes.launched]
    assert launched == [(str(START + 60), 1)]
    node.end()
    world.turn()
    assert [(row.state, row.attempt) for row in world.rows(job)] == [(RunState.SUCCEEDED, 1)]
    assert claims(world) == []
    assert fence(world, Slot(job)).active is None


def test_p3_what_was_claimed_before_a_loss_is_begun(world: World) -> None:
    node = world.add("a")
    ids = [world.post() for _ in range(3)]
    world.turn()
    # One stale fence spoils the batch; when it is read again the connection goes.
    stale = node.book.held[Slot(ids[-1])]
    stale.fence_version -= 1
    refresh = node.claims.refresh

    def lost(slots: Sequence[Slot]) -> None:
        node.claims.refresh = refresh
        raise ConnectionLost("while fences were read")

    node.claims.refresh = lost
    world.time.now = START + 61
    node.turn()
    world.go(10)
    assert sorted(launch.job_id for launch in node.processes.launched) == ids


def test_p3_a_retry_whose_answer_is_lost_is_not_stuck(world: World) -> None:
    node = world.add("a")
    job = world.post(retries=1, retry_delay_seconds=30, schedule="1 * * * *")
    world.go(65)
    node.end("failed", 1)
    world.turn()
    world.time.now += 31
    lose_answers(node, 1, done=True, syncs=False)
    world.go(20)
    node.end()
    world.go(5)
    assert [row.state for row in world.rows(job)][-1] is RunState.SUCCEEDED
    assert claims(world) == []


def test_p3_the_launcher_away_is_waited_for(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="1 * * * *")
    start = node.processes.start

    def away(launches: object) -> None:
        raise LaunchError("no launcher")

    node.processes.start = away
    world.go(70)
    node.processes.start = start
    world.go(10)
    assert [launch.attempt for launch in node.processes.launched] == [1]
    node.end()
    world.turn()
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]


# What a look costs


def test_p14_a_steady_claim_is_not_read_at_each_look_and_yet_its_end_is_seen(world: World) -> None:
    node = world.add("a")
    world.post(schedule="1 * * * *", timeout_seconds=600)
    world.go(70)
    [opened] = node.book.claims.values()
    asked: list[str] = []
    get_many = node.session.get_many

    def noting(wanted: Sequence[str]) -> list[Znode | None]:
        asked.extend(wanted)
        return get_many(wanted)

    node.session.get_many = noting
    node.turn()
    assert opened.path not in asked
    world.go(35)
    assert opened.path in asked, "all are read every half minute"
    node.processes.end()  # and nobody tells the daemon
    node.turn()
    assert claims(world) == []


def test_p6_ends_of_one_job_at_the_same_time_are_all_written(world: World) -> None:
    node = world.add("a")
    job = world.post(concurrency=Concurrency.ALLOW)
    world.go(190)
    assert len(node.processes.running) == 3
    for _ in range(3):
        node.end()
    node.daemon._hear(0.0)
    node.daemon.step()
    written = world.app.get_many([f"{paths.runs('a')}/{name}" for name in claims(world)])
    assert all(Claim.decode(each.data).result for each in written if each)
    assert fence(world, Slot(job)).active is None


def test_p6_an_end_without_its_row_is_recorded_by_the_next_daemon(world: World) -> None:
    node = world.add("a")
    job = world.post(schedule="1 * * * *")
    world.go(65)
    node.database_away = True
    node.end("failed", 7)
    world.turn()
    assert world.rows(job) == []
    node.build()
    node.database_away = False
    world.go(10)
    assert [(row.state, row.exit_code) for row in world.rows(job)] == [(RunState.FAILED, 7)]
    assert claims(world) == []


@pytest.mark.parametrize("done", [True, False])
def test_p3_ends_whose_answers_are_lost_are_told_once(world: World, done: bool) -> None:
    node = world.add("a")
    ids = [world.post(schedule="1 * * * *") for _ in range(3)]
    world.go(65)
    for _ in ids:
        node.end()
    lose_answers(node, 1, done=done, syncs=False)
    world.go(15)
    assert [row.state for job in ids for row in world.rows(job)] == [RunState.SUCCEEDED] * 3
    assert claims(world) == []


def test_p14_what_spoils_a_removal_of_many_claims_hinders_no_other(world: World) -> None:
    node = world.add("a")
    ids = [world.post(schedule="1 * * * *") for _ in range(3)]
    world.go(65)
    for _ in ids:
        node.end()
    node.daemon._hear(0.0)
    node.daemon.step()
    [first, *_] = node.book.claims.values()
    first.version -= 1
    node.daemon._hear(0.0)
    node.daemon.step()
    assert len(claims(world)) == 1
    world.go(5)
    assert claims(world) == []


def test_p4_without_a_lease_nothing_is_claimed_and_no_attempt_is_used_up(world: World) -> None:
    """As after a partition: the session is there again, and no beat has been committed in it."""
    node = world.add("a")
    job = world.post()
    world.turn()
    world.time.now = START + 61
    node.inbox.put(Due())
    node.daemon._hear(0.0)
    node.daemon.step()
    assert node.processes.launched == [] and fence(world, Slot(job)).mark < START + 60
    node.membership.try_to_beat()
    node.daemon.step()
    assert [(int(one.key), one.attempt) for one in node.processes.launched] == [(START + 60, 1)]


def test_p4_without_a_lease_no_run_is_resumed(world: World) -> None:
    node = world.add("a")
    job = world.post()
    world.turn()
    world.time.now = START + 61
    node.turn()
    world.lose("a")
    other = world.add("b")
    for _ in range(4):
        world.time.now += 5
        assert world.manager._leader.step()
    other.daemon.step()
    assert other.processes.launched == []
    other.membership.try_to_beat()
    other.daemon._changed = True
    other.daemon.step()
    assert [(int(one.key), one.attempt) for one in other.processes.launched] == [(START + 60, 2)]
    assert fence(world, Slot(job)).holder == "b"


def test_p10_a_machine_whose_name_another_has_taken_touches_nothing(
    world: World, tmp_path: Path
) -> None:
    """A clone, with the same name and certificate, registers while the first is away."""
    first = world.add("a")
    job = world.post()
    world.go(65)
    assert len(first.processes.launched) == 1
    first.cut()
    first.expire()
    (tmp_path / "clone").mkdir()
    clone = Node(
        "a", world.ensemble, world.database, world.time, {}, world.store, tmp_path / "clone"
    )
    clone.session.delete(paths.registration("a"))  # it is another machine
    seen = clone.membership._registration
    clone.membership._registration = replace(seen, boot_id="boot-b", address="10.0.0.2")
    clone.membership.register()
    clone.membership.try_to_beat()
    first.heal()  # its library gets a new session by itself
    world.nodes = {"first": first, "clone": clone}
    world.time.now = START + 121
    world.go(120)
    assert len(first.processes.launched) == 1
    assert not first.membership.owns_name
    assert first.processes.killed == []
    assert clone.processes.launched
    keys = [(row.scheduled_at, row.attempt) for row in world.rows(job)]
    assert len(keys) == len(set(keys))
    world.ensemble.expire(clone.session.session_id)
    del world.nodes["clone"]
    world.go(120)
    assert first.membership.owns_name and len(first.processes.launched) > 1
