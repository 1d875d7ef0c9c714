"""Jobs, runs and workers as JSON: the five keys that every client knows first, then all others.

Instants are shown in ISO 8601, UTC, with a Z; a due minute without fractions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from dcron_app.api.asking import Failed
from dcron_app.api.places import Asked
from dcron_common.clock import minute
from dcron_common.db.jobs import JobRow
from dcron_common.db.secrets import SecretRow
from dcron_common.db.workers import WorkerRow
from dcron_common.job import JobType
from dcron_common.ledger import Entry
from dcron_common.object_store.contract import ObjectStore
from dcron_common.run import RunRecord
from dcron_common.schedule import ScheduleError, parse


def instant(at: float | None) -> str | None:
    """Epoch seconds as `2026-12-01T03:00:00Z`, with milliseconds where there are any."""
    if at is None:
        return None
    when = datetime.fromtimestamp(round(at, 3), UTC)
    precision = "milliseconds" if when.microsecond else "seconds"
    return when.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def job_json(row: JobRow, last: RunRecord | None, store: ObjectStore, now: float) -> dict[str, Any]:
    """A job. A file is shown by its address in the object store."""
    rest = json.loads(row.spec)
    is_file = row.type != JobType.COMMAND
    return {
        "id": str(row.id),
        "status": row.status,
        "executable": store.url(row.executable) if is_file else row.executable,
        "schedule": row.schedule,
        "type": row.type,
        "name": row.name,
        "labels": json.loads(row.labels),
        "owner": row.owner,
        "team": row.team,
        "timezone": row.timezone,
        "filename": row.filename,
        "sha256": row.sha256,
        "arguments": rest["arguments"],
        "environment": rest["environment"],
        "working_directory": rest["working_directory"],
        "secrets": rest["secrets"],
        "run_as": row.run_as,
        "concurrency": rest["concurrency"],
        "timeout_seconds": rest["timeout_seconds"],
        "retries": rest["retries"],
        "retry_delay_seconds": rest["retry_delay_seconds"],
        "starting_deadline_seconds": rest["starting_deadline_seconds"],
        "catch_up": rest["catch_up"],
        "on_worker_loss": rest["on_worker_loss"],
        "on_isolation": rest["on_isolation"],
        "placement": rest["placement"],
        "limits": {name: bound for name, bound in rest["limits"].items() if bound is not None},
        "paused": bool(row.paused),
        "revision": row.revision,
        "worker": row.worker,
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
        "next_run_at": instant(_next_run(row, now)),
        "last_run": None if last is None else run_json(last),
    }


def _next_run(row: JobRow, now: float) -> int | None:
    if row.removed_at is not None or row.paused:
        return None
    return _next(row.schedule, row.timezone, max(minute(now), row.effective_from - 60))


@lru_cache(maxsize=8192)
def _next(schedule: str, timezone: str, after: int) -> int | None:
    """Many jobs share a schedule, and a list asks for all of them within one minute."""
    try:
        return next(iter(parse(schedule, timezone).next(after)), None)
    except ScheduleError:  # accepted by another release
        return None


def run_json(run: RunRecord) -> dict[str, Any]:
    """A run: one attempt at one due minute, or one request."""
    return {
        "id": run.run_id,
        "job_id": str(run.job_id),
        "scheduled_at": instant(run.scheduled_at),
        "attempt": run.attempt,
        "trigger": run.trigger.value,
        "state": run.state.value,
        "worker": run.worker,
        "started_at": instant(run.started_at),
        "finished_at": instant(run.finished_at),
        "exit_code": run.exit_code,
        "signal": run.signal,
        "reason": run.reason,
        "isolated": bool(run.isolated),
        "output_tail": run.output_tail,
        "output_url": run.output_url,
    }


def asked_json(asked: Sequence[Asked], now: float, failed: Sequence[Failed] = ()) -> dict[str, Any]:
    """What was asked of workers: the first run by itself too, since most jobs have one."""
    runs = [{"run_id": one.run_id, "worker": one.worker} for one in asked]
    first = asked[0]
    return {
        "run_id": first.run_id,
        "job_id": str(first.slot.job_id),
        "asked_at": instant(now),
        "runs": runs,
        "failed": [{"worker": one.worker, "reason": one.reason} for one in failed],
    }


def entry_json(entry: Entry) -> dict[str, Any]:
    """A due minute and what became of it."""
    return {
        "scheduled_at": instant(entry.scheduled_at),
        "outcome": entry.outcome.value,
        "attempts": entry.attempts,
        "reason": entry.reason,
        "run_id": entry.run_id,
        "worker": entry.worker,
    }


def secret_json(secret: SecretRow, jobs: int) -> dict[str, Any]:
    """A secret, which has no value here; `jobs`: how many live ones name it."""
    return {
        "name": secret.name,
        "owner": secret.owner,
        "team": secret.team,
        "revision": secret.revision,
        "created_at": instant(secret.created_at),
        "updated_at": instant(secret.updated_at),
        "jobs": jobs,
    }


def worker_json(worker: WorkerRow) -> dict[str, Any]:
    """A worker; `clock_offset` in seconds."""
    instants = ("first_seen", "last_seen", "ticked_through")
    shown = {**asdict(worker), **{name: instant(getattr(worker, name)) for name in instants}}
    del shown["tag"]
    return shown
