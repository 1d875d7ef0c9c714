"""Rows for benches, made by MariaDB itself: so many jobs, so many runs.

A hundredth of the jobs has half of the runs, spread over DAYS like those of the others; job 1 is
due every minute, and has a run for each of the last day. What is rare is rare by design: labels,
owners, states and triggers are drawn from the row's number, so every run of the bench asks for the
same.

Secondary indexes are dropped for the load and made anew, by sorting: minutes instead of hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dcron_common.db.jobs import columns_of
from dcron_common.job import JobType, Spec

NOW = 1_800_000_000 // 60 * 60
DAYS = 90
HEAVY = 100  # one job in so many has many runs
CHUNK = 500_000  # rows of one statement
MINUTES_A_DAY = 1440

Execute = Callable[[str], object]
Query = Callable[[str], list[tuple[object, ...]]]

_STATE = """ELT(1 + (CRC32({n}) % 1000 >= 940) + (CRC32({n}) % 1000 >= 970)
    + (CRC32({n}) % 1000 >= 980) + (CRC32({n}) % 1000 >= 990) + (CRC32({n}) % 1000 >= 994)
    + (CRC32({n}) % 1000 >= 997),
    'succeeded', 'failed', 'skipped', 'missed', 'timed_out', 'killed', 'lost')"""
_TRIGGER = """ELT(1 + (CRC32({n} + 7) % 1000 >= 960) + (CRC32({n} + 7) % 1000 >= 980)
    + (CRC32({n} + 7) % 1000 >= 990) + (CRC32({n} + 7) % 1000 >= 995),
    'cron', 'retry', 'manual', 'catch_up', 'resume')"""


def make_jobs(execute: Execute, number: int) -> None:
    """Jobs 1 to `number`, with what they are found by."""
    rest = _rest()
    kind = "ELT(1 + (n.seq % 20 >= 16) + (n.seq % 20 = 19), 'command', 'script', 'binary')"
    is_file = "n.seq % 20 >= 16"
    digest = "SHA2(n.seq, 256)"
    execute(
        f"""INSERT INTO job (id, incarnation, name, live_name, labels, type, executable, sha256,
        filename, schedule, timezone, owner, team, run_as, spec, paused, revision, effective_from,
        status, last_scheduled_at, last_attempt, worker, removed_at, created_at, updated_at)
        SELECT n.seq, LPAD(n.seq, 26, '0'),
        IF(n.seq % 10 = 0, NULL, @name := CONCAT(ELT(1 + n.seq % 4, 'backup', 'report', 'Sync',
          'clean'), '-', LPAD(CRC32(n.seq) % 1000000, 6, '0'), '-', n.seq)),
        IF(n.seq % 10 = 0 OR n.seq % 33 = 0, NULL, @name),
        CONCAT('{{"env":"', ELT(1 + n.seq % 3, 'prod', 'test', 'dev'), '","app":"app',
          n.seq % 1000, '"}}'),
        {kind}, IF({is_file}, CONCAT('executables/', {digest}),
          CONCAT('/usr/local/bin/task --shard ', n.seq % 5000, ' --quiet')),
        IF({is_file}, {digest}, NULL), IF({is_file}, CONCAT('task', n.seq % 500, '.sh'), NULL),
        IF(n.seq = 1, '* * * * *', CONCAT(n.seq % 60, ' ', n.seq % 24, ' * * *')), 'UTC',
        CONCAT('user', CRC32(n.seq) % 500), IF(n.seq % 3 = 0, NULL, CONCAT('team', n.seq % 40)),
        IF(n.seq % 50 = 0, 'backup', 'dcron-job'), '{rest}', n.seq % 40 = 3, 1 + n.seq % 9,
        {NOW - DAYS * 86400},
        IF(n.seq % 33 = 0, 'finished', IF(CRC32(n.seq) % 25 = 0, 'error', 'scheduled')),
        {NOW} - n.seq % 86400, 1,
        IF(n.seq % 33 = 0, NULL, CONCAT('worker', LPAD(n.seq % 100, 3, '0'))),
        IF(n.seq % 33 = 0, {NOW} - n.seq, NULL), {NOW - DAYS * 86400},
        {NOW} - CRC32(n.seq) % 7776000
        FROM seq_1_to_{number} AS n"""
    )
    execute(
        """INSERT INTO job_revision (job_id, revision, schedule, timezone, state, valid_from)
        SELECT id, revision, schedule, timezone, IF(paused, 'paused', 'active'), effective_from
        FROM job"""
    )
    for label in ("env", "app"):
        execute(
            f"""INSERT INTO job_label (name, value, job_id)
            SELECT '{label}', JSON_VALUE(labels, '$.{label}'), id FROM job"""
        )
    execute(
        """INSERT INTO job_text (job_id, revision, text) SELECT id, revision, LOWER(CONCAT(
        COALESCE(name, ''), '\n', IF(sha256 IS NULL, executable, filename))) FROM job"""
    )


def _rest() -> str:
    """What has no column of its own, of an ordinary job."""
    spec = Spec(
        job_id=0,
        incarnation="0" * 26,
        revision=1,
        type=JobType.COMMAND,
        executable="true",
        schedule="@daily",
        timezone="UTC",
        effective_from=0,
    )
    return str(columns_of(spec)["spec"])


def make_runs(execute: Execute, query: Query, jobs: int, number: int) -> None:
    """Runs of the last DAYS, oldest first, as time has made them."""
    with _without_indexes(execute, query):
        heavy = max(1, jobs // HEAVY)
        halves = ((0, heavy, number // 2), (heavy, jobs - heavy, number - number // 2))
        for chunk in range(0, number // 2, CHUNK):
            for first, of_jobs, rows in halves:
                _insert(execute, first, of_jobs, rows, chunk + 1, min(chunk + CHUNK, rows))
        _last_day(execute, number)
        # A few go on at this moment.
        execute(
            "UPDATE run SET state = 'running', `rank` = 0, finished_at = NULL"
            f" WHERE job_id > 1 AND scheduled_at > {NOW - 86400} AND id % 200 = 0"
        )
    execute("ANALYZE TABLE job, job_label, job_text, job_revision, run")


def _insert(execute: Execute, first: int, jobs: int, rows: int, low: int, high: int) -> None:
    """Rows `low` to `high` of those that these jobs have: one for each job, round after round."""
    rounds = -(-rows // jobs)
    step = DAYS * MINUTES_A_DAY // max(rounds, 1)  # minutes from a job's run to its next
    job = f"({first} + 1 + (n.seq - 1) % {jobs})"
    at = (
        f"({NOW - DAYS * 86400} + 60 * (((n.seq - 1) DIV {jobs}) * {step}"
        f" + CRC32({job}) % {max(step, 1)}))"
    )
    _insert_runs(execute, job, at, f"(n.seq + {first} * 100000)", low, high)


def _last_day(execute: Execute, number: int) -> None:
    """A run a minute of job 1, in the last day."""
    execute(f"DELETE FROM run WHERE job_id = 1 AND scheduled_at > {NOW - 86400}")
    at = f"({NOW - 86400} + 60 * n.seq)"
    _insert_runs(execute, "1", at, f"(n.seq + {number} * 10)", 1, MINUTES_A_DAY)


def _insert_runs(execute: Execute, job: str, at: str, n: str, low: int, high: int) -> None:
    if low > high:
        return
    trigger, state = _TRIGGER.format(n=n), _STATE.format(n=n)
    execute(
        f"""INSERT INTO run (run_id, job_id, scheduled_at, kind, node, attempt, `trigger`, state,
        `rank`, worker, epoch, started_at, finished_at, exit_code, isolated, output_url)
        SELECT LPAD({n}, 26, '0'), {job}, {at},
        IF({trigger} = 'manual', CONCAT('m.', LPAD({n}, 26, '0')), 'cron'), '',
        IF({trigger} = 'retry', 2, 1), {trigger}, {state}, IF({state} = 'lost', 1, 2),
        CONCAT('worker', LPAD({job} % 100, 3, '0')), 1, {at} + 1.5, {at} + 2 + CRC32({n}) % 600,
        IF({state} = 'failed', 1, 0), 0, NULL
        FROM seq_{low}_to_{high} AS n"""
    )


@contextmanager
def _without_indexes(execute: Execute, query: Query) -> Iterator[None]:
    """The table `run` with its primary key only; afterwards all others are made again."""
    rows = query(
        "SELECT index_name, non_unique, GROUP_CONCAT(CONCAT('`', column_name, '`')"
        " ORDER BY seq_in_index) FROM information_schema.statistics WHERE table_schema = DATABASE()"
        " AND table_name = 'run' AND index_name <> 'PRIMARY' GROUP BY index_name, non_unique"
    )
    for name, _, _ in rows:
        execute(f"DROP INDEX `{name}` ON run")
    yield
    for name, non_unique, columns in rows:
        execute(f"CREATE {'' if non_unique else 'UNIQUE '}INDEX `{name}` ON run ({columns})")
