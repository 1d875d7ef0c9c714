"""What jobs are found by beside their columns: a row for each label, and a text to search.

Both are written in the transaction that writes the job. `text` is what the job is called and what
it runs, folded for comparison; `revision` says which revision of the job is described. A release
that knows neither table may have written since the schema was migrated: `catch_up` mends that.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from peewee import JOIN

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, JobLabel, JobText

log = logging.getLogger(__name__)

TEXT = 1024  # characters of a job that are searched
_BATCH = 200

_SEEN = (Job.id, Job.revision, Job.labels, Job.name, Job.type, Job.executable, Job.filename)


def folded(text: str) -> str:
    """As texts are compared: upper and lower case are the same."""
    return text.casefold()


def describe(job_id: int) -> None:
    """Write what the job's row says now; to be called in the transaction that has written it."""
    query: Any = Job.select(*_SEEN).where(Job.id == job_id).dicts()
    _write(list(query))


def _write(jobs: Sequence[Mapping[str, Any]]) -> None:
    ids = [job["id"] for job in jobs]
    known: dict[int, dict[str, str]] = {}
    for row in JobLabel.select().where(JobLabel.job_id.in_(ids)):
        known.setdefault(row.job_id, {})[row.name] = row.value
    labels = {job["id"]: json.loads(job["labels"]) for job in jobs}
    stale = [job_id for job_id in ids if known.get(job_id, {}) != labels[job_id]]
    if any(job_id in known for job_id in stale):
        JobLabel.delete().where(JobLabel.job_id.in_(stale)).execute()
    rows = [
        {"name": name, "value": value, "job_id": job_id}
        for job_id in stale
        for name, value in sorted(labels[job_id].items())
    ]
    if rows:
        JobLabel.insert_many(rows).execute()
    texts = [
        {"job_id": job["id"], "revision": job["revision"], "text": _text_of(job)} for job in jobs
    ]
    JobText.insert_many(texts).on_conflict_replace().execute()


def _text_of(job: Mapping[str, Any]) -> str:
    # Of a file its name: its content is in the object store.
    runs = job["executable"] if job["type"] == "command" else job["filename"]
    return folded(f"{job['name'] or ''}\n{runs or ''}")[:TEXT]


def catch_up(database: Database) -> int:
    """Describe every job whose description is missing or is of a revision before; how many.
    It may be repeated, and be done by several at once."""
    done, last = 0, 0
    while ids := _behind(database, last):
        database.transaction(partial(_describe_again, ids, database.is_mariadb), idempotent=True)
        done, last = done + len(ids), ids[-1]
    if done:
        log.info("jobs described for lists jobs=%d", done)
    return done


def _behind(database: Database, after: int) -> list[int]:
    """The first such jobs above `after`. A removal changes no description."""
    older = (JobText.revision < Job.revision) & Job.removed_at.is_null()
    query: Any = (
        Job.select(Job.id)
        .join(JobText, JOIN.LEFT_OUTER, on=JobText.job_id == Job.id)
        .where(Job.id > after, JobText.revision.is_null() | older)
        .order_by(Job.id)
        .limit(_BATCH)
        .tuples()
    )
    return [job_id for (job_id,) in database.read(lambda: list(query))]


def _describe_again(ids: list[int], lock: bool) -> None:
    """`lock`: so that no change comes in between, whose description would be overwritten; SQLite
    has one writer at a time anyway."""
    query: Any = Job.select(*_SEEN).where(Job.id.in_(ids)).dicts()
    _write(list(query.for_update() if lock else query))
