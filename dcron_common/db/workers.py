"""The table of workers: kept by the leader from the registrations it sees, shown to people.

`drained` and `set_labels` are what people write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from peewee import fn

from dcron_common.db import audit
from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Worker
from dcron_common.db.run_lists import running_by_worker
from dcron_common.db.tags import require, tag_of, while_known
from dcron_common.protocol import Registration

ONLINE = "online"
OFFLINE = "offline"
_TAGGED = ("drained", "set_labels")  # what people write of a worker


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker that registered at any time. `labels`: what placement goes by, that is `own_labels`,
    from its node's configuration, with `set_labels` laid over them. `ill`: what is wrong there by
    its own word; `ticked_through`: the minute up to which it has looked at what is due, None where
    that is not known. `jobs`: how many it holds now; `running`: how many runs go on.
    `tag`: another with each change by people."""

    name: str
    state: str
    drained: bool
    address: str
    labels: dict[str, str]
    own_labels: dict[str, str]
    set_labels: dict[str, str]
    capacity: int
    version: str
    clock_offset: float | None
    ill: list[str]
    ticked_through: int | None
    first_seen: float
    last_seen: float
    jobs: int
    running: int
    tag: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What people say of workers: names of those that shall get no jobs; labels by name."""

    drained: frozenset[str] = frozenset()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def list_workers(database: Database) -> list[WorkerRow]:
    """All workers by name."""

    def work() -> list[WorkerRow]:
        counted: Any = (
            Job.select(Job.worker, fn.COUNT(Job.id))
            .where(Job.worker.is_null(False), Job.removed_at.is_null())
            .group_by(Job.worker)
            .tuples()
        )
        jobs, running = dict(counted), running_by_worker(database)
        return [
            _row(row, jobs.get(row.name, 0), running.get(row.name, 0))
            for row in Worker.select().order_by(Worker.name)
        ]

    return database.read(work)


def get_worker(database: Database, name: str) -> WorkerRow | None:
    """One worker; None where none of that name ever registered, or it was forgotten."""

    def work() -> WorkerRow | None:
        row = Worker.get_or_none(Worker.name == name)
        if row is None:
            return None
        jobs = Job.select().where(Job.worker == name, Job.removed_at.is_null()).count()
        return _row(row, jobs, running_by_worker(database).get(name, 0))

    return database.read(work)


def _row(row: Any, jobs: int, running: int) -> WorkerRow:
    own, laid_over = json.loads(row.labels), _labels(row.set_labels)
    return WorkerRow(
        name=row.name,
        state=row.state,
        drained=bool(row.drained),
        address=row.address,
        labels={**own, **laid_over},
        own_labels=own,
        set_labels=laid_over,
        capacity=row.capacity,
        version=row.version,
        clock_offset=row.clock_offset,
        ill=json.loads(row.ill) if row.ill and row.state == ONLINE else [],
        ticked_through=row.ticked_through,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        jobs=jobs,
        running=running,
        tag=tag_of(row, _TAGGED),
    )


def _labels(stored: str | None) -> dict[str, str]:
    found: dict[str, str] = json.loads(stored) if stored else {}
    return found


def set_drained(
    database: Database,
    name: str,
    drained: bool,
    now: float,
    actor: str,
    *,
    known: Sequence[str] | None = None,
) -> bool:
    """Say that a worker shall (not) get jobs; False where no such worker ever registered.
    `known`: only if its tag is one of these, else Outdated, here as below."""

    def work() -> bool:
        row = Worker.get_or_none(Worker.name == name)
        if row is None or row.drained == drained:
            return row is not None
        as_known = while_known(row, _TAGGED, known)
        wanted = (Worker.name == name, Worker.drained != drained, *as_known)
        changed = Worker.update(drained=drained).where(*wanted).execute()
        if known is not None:
            require(changed)
        if changed:
            audit.add(now, actor, "drain" if drained else "resume", "worker", name)
        return True

    return database.transaction(work, idempotent=True)


def set_labels(
    database: Database,
    name: str,
    labels: Mapping[str, str],
    now: float,
    actor: str,
    *,
    known: Sequence[str] | None = None,
) -> bool:
    """Lay these labels over a worker's own, in place of those that were; False where no such
    worker ever registered."""
    wanted = json.dumps(dict(labels), sort_keys=True, ensure_ascii=False)

    def work() -> bool:
        row = Worker.get_or_none(Worker.name == name)
        if row is None:
            return False
        before = _labels(row.set_labels)
        if before != dict(labels):
            as_known = while_known(row, _TAGGED, known)
            require(
                Worker.update(set_labels=wanted).where(Worker.name == name, *as_known).execute()
            )
            changes = {"before": {"labels": before}, "after": {"labels": dict(labels)}}
            audit.add(now, actor, "label", "worker", name, **changes)
        return True

    return database.transaction(work, idempotent=True)


def forget(
    database: Database, name: str, now: float, actor: str, *, known: Sequence[str] | None = None
) -> bool:
    """Remove a worker's row, with what people said of it; False where there is none."""

    def work() -> bool:
        row = Worker.get_or_none(Worker.name == name)
        if row is None:
            return False
        as_known = while_known(row, _TAGGED, known)
        require(Worker.delete().where(Worker.name == name, *as_known).execute())
        audit.add(now, actor, "forget", "worker", name)
        return True

    return database.transaction(work, idempotent=True)


def settings(database: Database) -> Settings:
    """What people say of workers."""
    said = Worker.drained | Worker.set_labels.is_null(False)

    def work() -> Settings:
        rows = list(Worker.select(Worker.name, Worker.drained, Worker.set_labels).where(said))
        labels = {row.name: _labels(row.set_labels) for row in rows if row.set_labels}
        return Settings(frozenset(row.name for row in rows if row.drained), labels)

    return database.transaction(work)


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
                "ill": json.dumps(seen.ill),
                "ticked_through": seen.ticked_through,
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
