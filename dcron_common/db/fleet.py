"""Workers as people see and steer them; the leader's own writes stand in `workers`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from peewee import fn

from dcron_common.db import audit
from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Worker


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
