"""How the table of runs is read by job and minute.

Several indexes begin with the job. MariaDB, by its own estimates, may take one that is not in the
order of minutes and sort all runs of the job, which may be very many; so it is told.
"""

from __future__ import annotations

from typing import Any

from peewee import SQL

from dcron_common.db.connection import Database
from dcron_common.db.models import Job, Run


def newest_minute(alias: str, database: Database, *conditions: Any) -> Any:
    """The newest minute of the runs of a row of `job`, as a subquery: one step into the index,
    from its end. A MAX would be found by reading all runs of the job wherever the database thinks
    that they are few."""
    run = Run.alias(alias)
    query: Any = run.select(run.scheduled_at).from_(by_key(alias, database))
    query = query.where(run.job_id == Job.id, *[condition(run) for condition in conditions])
    return query.order_by(run.scheduled_at.desc()).limit(1)


def by_key(alias: str, database: Database) -> Any:
    """The table `run` as `alias`, read by `run_key` (job, minute, kind, node, attempt)."""
    hint = " FORCE INDEX (`run_key`)" if database.is_mariadb else ""
    return SQL(f"`run` AS `{alias}`{hint}")
