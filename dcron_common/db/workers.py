"""The table of workers, kept by the leader from the registrations it sees."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Worker
from dcron_common.protocol import Registration

ONLINE = "online"
OFFLINE = "offline"


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
