"""The table of workers: kept by the leader from the registrations it sees, shown to people.

`drained` is the one column that people write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from peewee import fn

from dcron_common.db import audit
from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Worker
from dcron_common.protocol import Registration

ONLINE = "online"
OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker that registered at any time. `jobs`: how many it holds now."""

    name: str
    state: str
    drained: bool
    address: str
    labels: dict[str, str]
    capacity: int
    version: str
    clock_offset: float | None
    first_seen: float
    last_seen: float
    jobs: int


def list_workers(database: Database) -> list[WorkerRow]:
    """All workers by name."""

    def work() -> list[WorkerRow]:
        counted: Any = (
            Job.select(Job.worker, fn.COUNT(Job.id))
            .where(Job.worker.is_null(False), Job.removed_at.is_null())
            .group_by(Job.worker)
            .tuples()
        )
        jobs = dict(counted)
        return [_row(row, jobs.get(row.name, 0)) for row in Worker.select().order_by(Worker.name)]

    return database.read(work)


def _row(row: Any, jobs: int) -> WorkerRow:
    return WorkerRow(
        name=row.name,
        state=row.state,
        drained=bool(row.drained),
        address=row.address,
        labels=json.loads(row.labels),
        capacity=row.capacity,
        version=row.version,
        clock_offset=row.clock_offset,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        jobs=jobs,
    )


def set_drained(database: Database, name: str, drained: bool, now: float, actor: str) -> bool:
    """Say that a worker shall (not) get jobs; False where no such worker ever registered."""

    def work() -> bool:
        wanted = Worker.name == name
        changed = Worker.update(drained=drained).where(wanted, Worker.drained != drained).execute()
        if changed:
            audit.add(now, actor, "drain" if drained else "resume", "worker", name)
        return bool(changed) or Worker.select().where(wanted).exists()

    return database.transaction(work, idempotent=True)


def drained(database: Database) -> set[str]:
    """Names of workers that shall get no jobs."""
    return database.transaction(
        lambda: {row.name for row in Worker.select(Worker.name).where(Worker.drained)}
    )


def save_seen(database: Database, present: Mapping[str, Registration], now: float) -> None:
    """Make the table say who is online: `present` by name. `now`: epoch seconds."""

    def work() -> None:
        known = {row.name: row for row in Worker.select()}
        for name, seen in present.items():
            values = {
                "state": ONLINE,
                "address": seen.address,
                "boot_id": seen.boot_id,
                "labels": json.dumps(seen.labels, sort_keys=True),
                "capacity": seen.capacity,
                "version": seen.version,
                "clock_offset": seen.clock_offset,
                "last_seen": now,
            }
            if name in known:
                Worker.update(values).where(Worker.name == name).execute()
            else:
                Worker.insert({"name": name, "first_seen": now, **values}).execute()
        Worker.update(state=OFFLINE).where(
            Worker.name.not_in(list(present) or [""]), Worker.state == ONLINE
        ).execute()

    database.transaction(work, idempotent=True)


def save_places(database: Database, places: Mapping[int, str | None]) -> None:
    """Show in the job's row which worker holds it."""

    def work() -> None:
        by_worker: dict[str | None, list[int]] = {}
        for job_id, worker in places.items():
            by_worker.setdefault(worker, []).append(job_id)
        for worker, jobs in by_worker.items():
            for start in range(0, len(jobs), 500):
                Job.update(worker=worker).where(Job.id.in_(jobs[start : start + 500])).execute()

    database.transaction(work, idempotent=True)
