"""Retention of runs beside jobs that run: what has had its time goes, what is needed stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dcron_app.manager import logins, retention, retention_pace, retiring
from dcron_app.manager.main import Manager
from dcron_common import paths
from dcron_common.coordinator.local import LocalCoordinator
from dcron_common.db import jobs, login_limits, old_runs, progress, run_reads, tokens, users
from dcron_common.db.models import LoginBucket
from dcron_common.job import Concurrency
from dcron_common.ledger import Standing
from dcron_common.paths import Slot
from dcron_common.run import RunState
from dcron_common.settings import RetentionConfig
from dcron_worker.runner.model import Started
from tests.contract.services import eventually
from tests.in_process.rounds import DAY, Rounds, count, outcomes, past
from tests.in_process.world import START, World


def test_of_a_job_that_runs_the_newest_stay_and_no_minute_is_unaccounted_for(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    node = world.add("a")
    job = world.post()
    kept = rounds(runs_per_job=3)
    for _ in range(8):
        world.go(60)
        while any(run_id not in node.processes.ends for run_id in node.processes.running):
            node.end()
        world.turn()
    before = world.rows(job)
    assert len(before) > 5
    kept.round()
    world.turn()
    after = world.rows(job)
    assert [one.scheduled_at for one in after[:3]] == [one.scheduled_at for one in before[-3:]]
    found = outcomes(world, job, START)
    assert Standing.EXPIRED in found
    assert Standing.UNACCOUNTED not in found
    assert found.index("succeeded") == len(before) - 3
    world.go(120)
    assert [one.scheduled_at for one in world.rows(job)][-1] > before[-1].scheduled_at


def test_a_run_that_goes_on_stays_however_many_newer_there_are(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    node = world.add("a")
    job = world.post(concurrency=Concurrency.ALLOW, timeout_seconds=10**6)
    world.go(120)
    first = next(iter(node.processes.running))
    node.inbox.put(Started(first, 1, world.time.now))
    world.turn()
    (oldest, *_) = world.rows(job)
    assert (oldest.run_id, oldest.state) == (first, RunState.RUNNING)
    for _ in range(6):
        world.go(60)
    for run_id in list(node.processes.running)[1:]:
        end = replace(node.processes.end(), run_id=run_id)
        node.processes.ends = {**node.processes.ends, run_id: end}
        node.processes.ends.pop(oldest.run_id, None)
        node.inbox.put(end)
    world.turn()
    rounds(runs_per_job=2).round()
    left = world.rows(job)
    assert oldest.run_id in [one.run_id for one in left]
    assert len([one for one in left if one.state is not RunState.RUNNING]) <= 3
    node.end()
    world.go(60)
    assert {one.run_id: one for one in world.rows(job)}[oldest.run_id].state is RunState.SUCCEEDED


def test_an_attempt_stays_while_the_next_one_waits(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    node = world.add("a")
    job = world.post(retries=1, retry_delay_seconds=50_000, concurrency=Concurrency.ALLOW)
    world.go(60)
    node.end("failed", 1)
    world.turn()
    (failed,) = [one for one in world.rows(job) if one.state is RunState.FAILED]
    for _ in range(5):
        world.go(60)
        node.end()
        world.turn()
    assert world.app.children(paths.runs("a")), "its retry waits no more"
    assert rounds(runs_per_job=2).round().runs > 0
    left = [one.scheduled_at for one in world.rows(job)]
    assert failed.scheduled_at in left
    assert failed.scheduled_at + 60 not in left


def test_minutes_above_the_mark_stay_whatever_the_number(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    world.add("a")
    job = world.post(schedule="0 0 1 1 *")
    world.turn()
    mark = world.manager._leader._view.fences[Slot(job)].fence.mark  # type: ignore[union-attr]
    base = int(world.time.now) // 60
    above = base - mark // 60 - 1
    past(world, job, *range(above, above + 20))
    past(world, job, *range(-20, above))
    rounds(runs_per_job=5).round()
    left = [one.scheduled_at for one in run_reads.runs_between(world.database, job, 0, 2**40)]
    assert len([at for at in left if at >= mark]) >= 20
    assert all(at >= mark for at in left)


def test_a_lost_fence_goes_on_where_the_record_ended_after_all_that_is_old_went(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    node = world.add("a")
    job = world.post()
    for _ in range(3):
        world.go(60)
        node.end()
        world.turn()
    newest = world.rows(job)[-1].scheduled_at
    kept = rounds(run_days=1)
    world.manager._leader._compare_at = 0.0
    world.turn()
    world.lose("a")
    world.time.now += 3 * DAY
    kept.retention._work.clear()
    kept.retention._due_at = world.time.now
    assert world.manager._leader._view is not None
    kept.retention.lead(world.manager._leader._view)
    assert kept.retention.step(kept.rest) is not None
    assert [one.scheduled_at for one in world.rows(job)] == [newest]
    world.app.delete(paths.fence(Slot(job)))
    world.manager._leader._view = None
    world.add("b")
    world.turn()
    launched = [int(one.key) for one in world.nodes["b"].processes.launched]
    assert launched
    assert min(launched) > newest, "a minute is run again that the record had closed"


def test_what_exists_already_goes_in_small_transactions_over_several_rounds(
    world: World, rounds: Callable[..., Rounds], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.post(paused=True)
    past(world, job, *range(1, 3001))
    sizes: list[int] = []
    drop = old_runs.drop_runs

    def watched(*args: object, **more: object) -> int:
        sizes.append(drop(*args, **more))  # type: ignore[arg-type]  # passed on
        return sizes[-1]

    monkeypatch.setattr(old_runs, "drop_runs", watched)
    monkeypatch.setattr(retention_pace, "ROUND", 1000)
    kept = rounds(runs_per_job=10)
    assert [kept.round().whole for _ in range(2)] == [False, False]
    assert max(sizes) <= retention_pace.BATCH
    assert len(kept.rests) > 2
    while not kept.round().whole:
        assert len(sizes) < 20, "it does not end"
    assert count(world, job) == 10
    assert old_runs.horizon_of(world.database, job) == world.rows(job)[0].scheduled_at - 60


def test_another_leader_goes_on_in_the_middle_of_a_round(
    world: World, rounds: Callable[..., Rounds], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retiring, "JOBS", 1)
    posted = [world.post(paused=True) for _ in range(3)]
    for job in posted:
        past(world, job, *range(1, 31))
    kept = rounds(runs_per_job=4)
    kept.stop_after = 5  # its leadership ends here
    assert kept.round().whole is False
    assert progress.read(world.database, retiring.PLACE) == str(posted[0])
    assert [count(world, job) for job in posted][::2] == [4, 30]

    world.ensemble.expire(world.app.session_id)
    session: LocalCoordinator = world.ensemble.session()
    session.start(1)
    world.manager = Manager("m2", session, world.database, world.time.clock(), ring=world.ring)
    kept.attach(world.manager, session)
    kept.stop_after = 10**9
    assert kept.round().whole is True
    assert [count(world, job) for job in posted] == [4, 4, 4]
    assert progress.read(world.database, retiring.PLACE) == "0"


def test_two_leaders_at_once_remove_the_same(world: World, rounds: Callable[..., Rounds]) -> None:
    job = world.post(paused=True)
    past(world, job, *range(1, 31))
    first = rounds(runs_per_job=4)
    first.hand_over()
    late = first.retention  # it has its round in hand, and does not know of the second
    second = rounds(runs_per_job=4)
    second.round()
    late.step(lambda seconds: True)
    assert count(world, job) == 4


def test_nothing_goes_where_retention_is_turned_off(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    job, removed = world.post(paused=True), world.post()
    past(world, job, *range(1, 3001))
    jobs.remove_job(world.database, removed, 1.0, "ann")
    rounds().round()
    assert count(world, job) == 3000
    assert jobs.get_job(world.database, removed) is not None


def test_the_last_round_is_told(world: World, rounds: Callable[..., Rounds]) -> None:
    job = world.post(paused=True)
    past(world, job, *range(1, 31))
    rounds(runs_per_job=4).round()
    told = progress.last_round(world.database)
    assert told is not None
    assert (told["runs"], told["whole"]) == (26, True)
    assert told["at"] == world.time.now


def test_the_thread_does_a_round_that_the_leader_hands_over_and_ends_when_asked(
    world: World,
) -> None:
    job = world.post(paused=True)
    past(world, job, *range(1, 31))
    kept = Rounds(world, RetentionConfig(runs_per_job=4, run_days=None))
    thread = kept.retention.start()
    world.manager._leader.step()
    world.time.now += retention.FIRST
    world.manager._leader.step()
    eventually(lambda: progress.last_round(world.database) is not None)
    assert count(world, job) == 4
    kept.retention.stop()
    thread.join(60)
    assert not thread.is_alive()


def test_a_manager_that_leads_no_more_ends_its_round(
    world: World, rounds: Callable[..., Rounds]
) -> None:
    job = world.post(paused=True)
    past(world, job, *range(1, 2001))
    kept = rounds(runs_per_job=4)
    kept.hand_over()
    kept.retention.rest()
    assert kept.retention.step() is not None
    assert count(world, job) > 1000


def test_a_round_removes_what_nobody_logs_in_by_any_more(
    world: World, rounds: Callable[..., Rounds], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "BATCHES", 2)
    monkeypatch.setattr(logins, "BATCH", 2)
    now = world.time.now
    users.add_user(world.database, "ann", users.Role.VIEWER, [], [], now, "test")
    stays = tokens.add_token(world.database, "ann", "t", None, now, "test").row
    for number in range(5):
        made = tokens.add_token(world.database, "ann", "t", None, 0.0, "test")
        tokens.revoke_token(world.database, made.row.id, now - 31 * DAY, "test")
        who = login_limits.subject("user", str(number), 3)
        login_limits.take(world.database, [who], now - DAY)
    kept = rounds()
    first, second = kept.round(), kept.round()
    assert (first.tokens, first.whole) == (4, False)
    assert (second.tokens, second.whole) == (1, True)
    assert tokens.list_tokens(world.database) == [stays]
    assert world.database.read(lambda: LoginBucket.select().count()) == 0
