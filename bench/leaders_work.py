"""What the manager asks of very many runs: where jobs go on, what retention finds and removes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.generated import NOW
from dcron_app.manager.keeping import Held
from dcron_app.manager.retention_pace import ROUND, Done, Pace
from dcron_app.manager.retiring import JOBS, Retiring
from dcron_common.db import old_runs, run_reads
from dcron_common.db.connection import Database
from dcron_common.object_store.contract import ObjectStore
from dcron_common.settings import RetentionConfig

KEEP = 1000


def leaders_work(
    database: Database, store: ObjectStore
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each thing, and how it is done; the last one changes the rows."""
    ids = list(range(1, 1001))
    first = old_runs.extents(database, 0, JOBS, KEEP)[0]
    yield "where 1,000 jobs without a fence go on", lambda: run_reads.last_minutes(database, ids)
    yield (
        f"which of {JOBS} jobs with many runs have some to remove",
        lambda: old_runs.extents(database, 0, JOBS, KEEP),
    )
    yield (
        f"which of {JOBS} jobs with few",
        lambda: old_runs.extents(database, 50_000, JOBS, KEEP),
    )
    yield (
        "500 old runs of one job",
        lambda: old_runs.runs_before(database, first.job_id, None, NOW, 500),
    )

    def one_round() -> None:
        config = RetentionConfig(run_days=90, runs_per_job=KEEP, removed_job_days=90)
        done = Done()
        pace = Pace(lambda seconds: True)  # without its pauses
        Retiring(database, store, config, Held(), float(NOW), pace, done).runs()
        print(f"retention removed {done.runs:,} runs", flush=True)

    yield f"a round of retention, up to {ROUND:,} runs, without its pauses", one_round
