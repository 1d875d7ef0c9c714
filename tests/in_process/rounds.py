"""Rounds of retention in a world, and a past for them to look at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from dcron_app.manager.main import Manager
from dcron_app.manager.retention import Retention
from dcron_app.manager.retention_pace import Done
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import histories, jobs, old_runs, run_reads, runs
from dcron_common.ledger import ledger
from dcron_common.run import RunRecord, RunState, Trigger
from dcron_common.settings import RetentionConfig
from tests.in_process.world import World

DAY = 86_400
SCRIPT = b"#!/bin/sh\necho hello\n"
DIGEST = hashlib.sha256(SCRIPT).hexdigest()


@dataclass
class Rounds:
    """A manager's retention, a round whenever the test says so."""

    world: World
    config: RetentionConfig
    rests: list[float] = field(default_factory=list)
    stop_after: int = 10**9

    def __post_init__(self) -> None:
        self.attach(self.world.manager, self.world.app)

    def attach(self, manager: Manager, session: Coordinator) -> None:
        world = self.world
        self.retention = Retention(
            session, world.database, world.store, self.config, world.time.clock()
        )
        manager._leader._retention = self.retention

    def rest(self, seconds: float) -> bool:
        self.rests.append(seconds)
        return len(self.rests) < self.stop_after

    def hand_over(self) -> None:
        """A round is due, and the leader hands over what it needs: all that it has just read."""
        self.retention._work.clear()
        self.world.manager._leader._compare_at = 0.0
        assert self.world.manager._leader.step()
        self.retention._due_at = self.world.time.now
        assert self.world.manager._leader.step()

    def round(self) -> Done:
        """The next round, when the leader has handed it over."""
        self.hand_over()
        done = self.retention.step(self.rest)
        assert done is not None, "there was no round"
        return done


def past(world: World, job_id: int, *minutes: int, **fields: object) -> list[RunRecord]:
    """Runs of minutes before now, as the record has them."""
    base = int(world.time.now) // 60 * 60
    values: dict[str, object] = {
        "attempt": 1,
        "trigger": Trigger.CRON,
        "state": RunState.SUCCEEDED,
        "worker": "a",
        **fields,
    }
    made = []
    for number in minutes:
        at = base - 60 * number
        run_id = f"{at:020}{job_id:06}"
        made.append(
            RunRecord(run_id, job_id, at, finished_at=at + 1.0, **values)  # type: ignore[arg-type]
        )
    for start in range(0, len(made), 500):
        runs.record_runs(world.database, made[start : start + 500], world.time.now)
    return made


def count(world: World, job_id: int) -> int:
    return len(run_reads.runs_between(world.database, job_id, 0, 2**40))


def outcomes(world: World, job_id: int, since: int) -> list[str]:
    now = int(world.time.now)
    row = jobs.get_job(world.database, job_id)
    assert row is not None
    found = ledger(
        histories.spans_of(world.database, job_id),
        run_reads.runs_between(world.database, job_id, since, now),
        since,
        now,
        world.time.now,
        600,
        old_runs.horizon_of(world.database, job_id),
    )
    return [one.outcome.value for one in found]
