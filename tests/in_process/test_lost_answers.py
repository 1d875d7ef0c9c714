"""P3: a claim that stands though its answer was lost, and its session may be over: its run begins
once, as its job is by then, or is ended with a reason."""

from __future__ import annotations

import pytest

from dcron_common import timing
from dcron_common.errors import ConnectionLost
from dcron_common.job import Concurrency, OnIsolation, OnWorkerLoss
from dcron_common.paths import Slot
from dcron_common.run import RunState
from dcron_worker.daemon import Due
from tests.in_process.faults import lose_answers
from tests.in_process.look import claims, fence
from tests.in_process.test_late_starts import edit
from tests.in_process.world import START, Node, World

JOB = {"schedule": "1 * * * *", "on_worker_loss": OnWorkerLoss.FAIL}


def claim_unheard(world: World, node: Node, minute: int = 1, number: int = 1) -> None:
    """So many transactions of a minute are carried out, and neither answered nor looked for."""

    def away(path: str = "/") -> None:
        raise ConnectionLost("it does not answer")

    world.time.now = START + 60 * minute + 1
    node.membership.try_to_beat()
    lose_answers(node, number, done=True)
    node.session.sync = away
    node.inbox.put(Due())
    node.daemon._changed, node.daemon._scan_at = False, world.time.now + 100
    node.daemon._hear(0.0)
    node.daemon.step()
    del node.session.sync, node.session.commit_many  # it answers again
    assert node.processes.launched == []


def look(node: Node) -> None:
    """A pass without a beat."""
    node.daemon._changed = True
    node.daemon.step()


@pytest.fixture
def node(world: World) -> Node:
    """It claimed the first minute of a job, and has neither heard of that nor looked."""
    node = world.add("a")
    world.post(**JOB)
    world.turn()
    claim_unheard(world, node)
    assert len(claims(world)) == 1
    return node


@pytest.fixture
def job(node: Node) -> int:
    [slot] = node.book.held
    return slot.job_id


def test_p3_it_begins_at_the_next_look_and_claim_and_fence_say_so(
    world: World, node: Node, job: int
) -> None:
    look(node)
    [launch] = node.processes.launched
    [opened] = node.book.claims.values()
    assert (opened.claim.run_id, opened.owned) == (launch.run_id, True)
    assert fence(world, Slot(job)).active == opened.key
    assert not node.book.unbegun


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("renew", [True, False])
def test_p3_it_begins_once_if_that_answer_is_lost_too(
    world: World, node: Node, job: int, done: bool, renew: bool
) -> None:
    works, syncs = node.session.sync, iter([True, False])

    def fails_after_the_first(path: str = "/") -> None:
        if not next(syncs, True):
            raise ConnectionLost("it does not answer")
        works(path)

    node.session.sync = fails_after_the_first
    lose_answers(node, 1, done=done, renew=renew)
    look(node)
    assert node.processes.launched == []
    world.go(15)
    assert [launch.attempt for launch in node.processes.launched] == [1]
    node.end()
    world.go(5)
    assert [row.state for row in world.rows(job)] == [RunState.SUCCEEDED]
    assert claims(world) == []


@pytest.mark.parametrize("renew", [True, False])
def test_p3_it_waits_for_a_lease(world: World, node: Node, renew: bool) -> None:
    """Else it would be lost before its start."""
    world.time.now += timing.LEASE
    if renew:
        node.expire()
        node.session.start(1)
        node.membership.register()
    node.membership._alive_until = world.time.now  # no beat was committed since
    for _ in range(3):
        look(node)
    assert node.processes.launched == [] and len(claims(world)) == 1
    node.turn()
    assert [launch.attempt for launch in node.processes.launched] == [1]


def test_p3_p15_it_starts_as_its_job_is_by_now(world: World, node: Node, job: int) -> None:
    edit(world, job, executable="later")
    world.go(10)
    [launch] = node.processes.launched
    assert "later" in launch.argv


def test_p3_p15_it_is_skipped_once_its_job_is_paused(world: World, node: Node, job: int) -> None:
    edit(world, job, paused=True)
    world.go(10)
    assert node.processes.launched == []
    [row] = world.rows(job)
    assert (row.state, row.reason) == (
        RunState.SKIPPED,
        "the job was paused before the run could start: the answer to its claim was lost",
    )
    assert claims(world) == []


def test_p3_it_is_not_started_after_its_deadline(world: World, node: Node, job: int) -> None:
    world.time.now = START + 60 + 601
    world.go(10)
    assert node.processes.launched == []
    [row] = world.rows(job)
    assert row.state is RunState.FAILED
    assert "(until its starting deadline of 600 s)" in (row.reason or "")


def test_p3_it_can_be_ended_while_it_waits(world: World, node: Node, job: int) -> None:
    node.membership._alive_until = 0.0
    look(node)
    [opened] = node.book.claims.values()
    node.lifecycle.stop(opened, "asked for")
    world.go(10)
    assert node.processes.launched == []
    assert [(row.state, row.reason) for row in world.rows(job)] == [(RunState.KILLED, "asked for")]


def test_p3_what_the_leader_has_taken_away_meanwhile_is_not_started(
    world: World, node: Node, job: int
) -> None:
    """The worker is gone for long, and comes back without having looked."""
    world.lose("a")
    for _ in range(10):
        world.time.now += 5
        assert world.manager._leader.step()
    assert claims(world) == []
    world.nodes["a"] = node
    node.session.start(1)
    world.go(30)
    assert node.processes.launched == []
    assert [row.state for row in world.rows(job)] == [RunState.LOST]


def test_p3_a_retry_begins_without_another_attempt(world: World) -> None:
    node = world.add("a")
    job = world.post(**JOB, retries=1, retry_delay_seconds=30)
    world.go(65)
    node.end("failed", 1)
    world.turn()
    lose_answers(node, 1, done=True, syncs=False)
    world.go(60)
    assert [launch.attempt for launch in node.processes.launched] == [1, 2]
    node.end()
    world.go(5)
    assert [row.state for row in world.rows(job)] == [RunState.FAILED, RunState.SUCCEEDED]


def test_p3_what_an_earlier_daemon_did_with_its_claim_is_not_guessed(
    world: World, node: Node, job: int
) -> None:
    """It may have begun a run of which nothing is left: never twice."""
    node.build()
    world.go(15)
    assert node.processes.launched == []
    assert [row.state for row in world.rows(job)] == [RunState.LOST]


def test_p3_what_the_launcher_knows_is_not_begun_again(world: World) -> None:
    node = world.add("a")
    world.post(**JOB)
    world.go(65)
    [launch] = node.processes.launched
    node.book.unbegun.add(launch.run_id)  # as if nobody knew that it had begun
    world.go(10)
    assert node.processes.launched == [launch]
    assert not node.book.unbegun


def test_p3_p9_it_holds_no_job_that_runs_in_isolation(world: World) -> None:
    node = world.add("a")
    world.post(on_isolation=OnIsolation.RUN)
    world.turn()
    claim_unheard(world, node)
    node.membership._alive_until = 0.0
    look(node)  # its claim is found, and may not begin
    node.claims.refresh([*node.book.held])
    node.cut()
    for _ in range(12):
        world.time.now += 5
        node.isolated_turn()
    assert [launch.isolated for launch in node.processes.launched] == [True]


def test_p3_many_begin_once_each_two_that_write_one_fence_too(world: World) -> None:
    node = world.add("a")
    ids = [world.post(**{**JOB, "schedule": "* * * * *"}, concurrency=Concurrency.ALLOW)
           for _ in range(30)]  # fmt: skip
    world.turn()
    for minute in (1, 2):
        claim_unheard(world, node, minute, number=100)
        node.claims.refresh([*node.book.held])
    assert len(claims(world)) == 60
    world.go(20)
    launched = [(launch.job_id, int(launch.key)) for launch in node.processes.launched]
    assert sorted(launched) == [(job, START + 60 * n) for job in ids for n in (1, 2)]
    assert {launch.attempt for launch in node.processes.launched} == {1}
