"""Rows as the tests of the record make them."""

from __future__ import annotations

from dataclasses import replace

from dcron_common.db import jobs
from dcron_common.db.connection import Database
from dcron_common.db.models import Job
from dcron_common.job import JobType, Spec
from dcron_common.run import RunRecord, RunState, Trigger
from tests.servers.mariadb import MariaDBServer

NOW = 1_800_000_030.5
MINUTE = 1_800_000_000


def open_mariadb(server: MariaDBServer, name: str = "dcron_contract") -> Database:
    return open_as(server, name, server.user, server.password)


def open_as(server: MariaDBServer, name: str, user: str, password: str) -> Database:
    return Database.mariadb([f"{server.host}:{server.port}"], name, user, password, None)


def spec(incarnation: str = "A" * 26, **fields: object) -> Spec:
    base = Spec(
        job_id=0,
        incarnation=incarnation,
        revision=1,
        type=JobType.COMMAND,
        executable="ls -la",
        schedule="5 * * * *",
        timezone="UTC",
        effective_from=0,
    )
    return replace(base, **fields)


def insert(database: Database, number: int = 0, **fields: object) -> jobs.JobRow:
    new = jobs.NewJob(spec(f"{number:026d}", **fields), "ann", {"a": "b"})
    return jobs.insert_job(database, new, NOW, "ann")


def run_of(job_id: int, minute: int, state: RunState, attempt: int = 1) -> RunRecord:
    return RunRecord(f"r{attempt}", job_id, minute, attempt, Trigger.CRON, state)


def count_jobs(database: Database) -> int:
    return int(database.read(lambda: Job.select().count()))
