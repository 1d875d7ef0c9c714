"""Version 5: output of runs that somebody follows; what people and workers say of workers; what
lists of runs are found by.

Each `run_by_…` is read for one state at a time, newest first, and holds what else is filtered by
(`db/run_lists.py` says which list reads which).
"""

from __future__ import annotations

from dcron_common.db.schema.step import Column, Step

_STATEMENTS = (
    """CREATE TABLE IF NOT EXISTS `output_chunk` (
        `id` {id},
        `run_id` VARCHAR(26) NOT NULL,
        `start` BIGINT NOT NULL,
        `stop` BIGINT NOT NULL,
        `mark` VARCHAR(4) NOT NULL,
        `data` MEDIUMBLOB NOT NULL,
        `at` DOUBLE PRECISION NOT NULL
    ) {end}""",
    """CREATE UNIQUE INDEX IF NOT EXISTS `output_chunk_key`
        ON `output_chunk` (`run_id`, `start`, `mark`)""",
    "CREATE INDEX IF NOT EXISTS `output_chunk_at` ON `output_chunk` (`at`, `run_id`)",
    """CREATE INDEX IF NOT EXISTS `run_by_state`
        ON `run` (`state`, `scheduled_at`, `id`, `worker`)""",
    """CREATE INDEX IF NOT EXISTS `run_by_job`
        ON `run` (`job_id`, `state`, `scheduled_at`, `id`, `trigger`, `worker`)""",
    """CREATE INDEX IF NOT EXISTS `run_by_worker`
        ON `run` (`worker`, `state`, `scheduled_at`, `id`, `trigger`)""",
    """CREATE INDEX IF NOT EXISTS `run_by_trigger`
        ON `run` (`trigger`, `state`, `scheduled_at`, `id`, `worker`)""",
)

# Null: by a leader of an earlier release, which knows nothing of them.
_COLUMNS = (
    Column("worker", "set_labels", "{text} NULL"),
    Column("worker", "ill", "{text} NULL"),
    Column("worker", "ticked_through", "BIGINT NULL"),
)

STEP = Step(5, "followed output; workers' labels; lists of runs", _STATEMENTS, _COLUMNS)
