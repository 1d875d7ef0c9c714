"""What became of each attempt: the row says what the process said, or why it said nothing, and
another attempt follows exactly where one is owed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from chaos.evidence import (
    KILL,
    KILLS_STARTER,
    LEASE,
    PROMPT,
    TAKES_AWAY,
    UNDER_WAY,
    Evidence,
    Key,
    Violation,
)
from chaos.excuses import is_true
from chaos.model import Job, Launch, Row

ENDED = frozenset({"succeeded", "failed", "timed_out", "killed", "lost"})
CLOSED = ENDED | {"missed", "skipped"}
RESUMES = 3  # how often a lost run is started again
NOTICED = 45.0  # seconds until the leader has seen a loss, waited for its lease, and closed it
SECOND = 1.0  # between two lines of a process


def every_launch_has_its_row(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """One, on the host where it ran; and in the end nothing runs."""
    for launch in evidence.record.launches:
        if launch.job not in evidence.jobs:
            continue
        row = evidence.row_of.get(launch.run)
        if row is None:
            yield Violation("no row", launch.job, launch.minute, f"attempt {launch.attempt}")
            continue
        said, true = (row.job, row.minute, row.attempt), (launch.job, launch.minute, launch.attempt)
        if said != true or row.worker != launch.host:
            what = f"attempt {launch.attempt} ran on {launch.host}, the row tells of {row}"
            yield Violation("false row", launch.job, launch.minute, what)
    for row in evidence.record.rows:
        if row.state not in CLOSED:
            counts["running for ever"] += 1
            yield Violation("running", row.job, row.minute, f"attempt {row.attempt}: {row.state}")


def a_process_has_what_its_job_gives(
    evidence: Evidence, counts: Counter[str]
) -> Iterator[Violation]:
    """Its arguments, and its secrets, whatever else is away: nothing excuses a start without."""
    for launch in evidence.record.launches:
        if launch.lacks is not None:
            what = f"attempt {launch.attempt} on {launch.host} lacked {launch.lacks}"
            yield Violation("lacking", launch.job, launch.minute, what)


def an_id_names_one_row(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """A run is found, ended and judged by its id."""
    for run, rows in Counter(row.run for row in evidence.record.rows).items():
        if rows > 1:
            row = evidence.row_of[run]
            yield Violation("one id", row.job, row.minute, f"{run} names {rows} rows")


def every_row_is_true(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """It tells the end that the process told, or one that something truly brought about."""
    for row in evidence.record.rows:
        job = evidence.jobs.get(row.job)
        if job is None:
            continue
        launches = [one for one in evidence.by_run.get(row.run, []) if one.minute == row.minute]
        launch = launches[-1] if launches else None
        counts[f"rows: {row.state}"] += 1
        if launch is None:
            what = _untrue_without_launch(evidence, job, row)
        else:
            what = _untrue(evidence, job, row, launch)
        if what is not None:
            what = f"attempt {row.attempt} on {row.worker} is {row.state}, but {what}"
            yield Violation("false row", row.job, row.minute, what)


def _untrue(evidence: Evidence, job: Job, row: Row, launch: Launch) -> str | None:
    """What speaks against the row of a process that ran; None if it is true."""
    if row.state in ("missed", "skipped"):
        return "it ran"
    if row.state in ("succeeded", "failed"):
        if launch.end is None:
            return "the process told no end"
        if job.fails(launch) is not (row.state == "failed"):
            return f"the process ended with {'a failure' if job.fails(launch) else 'success'}"
        return None
    if row.state == "timed_out":
        lasted = launch.seen - launch.start
        if job.timeout is None or lasted < job.timeout - 2 * SECOND:
            return f"it was seen for {lasted:.1f} s only and may last {job.timeout} s"
        return None
    if row.state == "killed":
        return _not_killed(evidence, job, row)
    if row.state == "lost":
        # What it wrote last was before its loss, by a line's distance; but for a process that had
        # ended, whose end could not be told any more.
        span = (launch.seen - LEASE, launch.seen + UNDER_WAY)
        if evidence.begun(KILLS_STARTER, launch.host, launch.start, launch.seen):
            return None  # nobody saw how it exited, whenever that was
        return None if _taken(evidence, row, *span) else "nothing took its host away"
    return None


def _untrue_without_launch(evidence: Evidence, job: Job, row: Row) -> str | None:
    """What speaks against the row of an attempt of which no process told anything."""
    said = row.finished or float(row.minute)
    if row.state in ("succeeded", "timed_out"):
        return "no process told of it"
    if row.state == "killed":
        return _not_killed(evidence, job, row)
    if row.state == "lost":
        by_leader = "was lost while it had this run" in (row.reason or "")
        span = (said - (NOTICED if by_leader else LEASE + KILL), said)
        return None if _taken(evidence, row, *span) else "nothing took its host away"
    if row.state == "failed":
        if not (job.file or job.secret):
            return "no process told of it, and it needs neither file nor secret"
        if said < row.minute + job.deadline:
            return "what it needs was to be asked for until its deadline"
        if not evidence.withheld(job, {row.worker or ""}, row.minute, said):
            return "nothing kept what it needs from being had"
    return None  # of `missed` and `skipped` the excuses of due minutes are asked


def _taken(evidence: Evidence, row: Row, begin: float, end: float) -> bool:
    """Whether something took the row's worker away, or every worker's lease."""
    if evidence.caused(TAKES_AWAY, {row.worker or ""}, begin, end):
        return True
    return evidence.leaderless(begin, end)


def _not_killed(evidence: Evidence, job: Job, row: Row) -> str | None:
    said = row.finished or float(row.minute)
    if (row.job, row.minute) in evidence.killed:
        return None
    if job.delete_sent is not None and job.delete_sent <= said:
        return None
    if job.replaces and said > evidence.record.end:
        return None  # by a minute that is not judged any more
    later = (one for one in evidence.record.rows if one.job == row.job)
    if job.replaces and any(row.minute < one.minute <= said for one in later):
        return None
    return "nobody asked for its end"


def attempts_follow_where_owed(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """Attempt k + 1 is there exactly if attempt k failed with retries left, or was lost with
    resumes left and the job lets it be run again."""
    lines: dict[Key, list[Row]] = defaultdict(list)
    for row in evidence.record.rows:
        job = evidence.jobs.get(row.job)
        if job is not None and row.state in CLOSED and not (row.isolated and job.isolates):
            lines[evidence.key_of(row)].append(row)
    for key, rows in lines.items():
        rows.sort(key=lambda one: one.attempt)
        yield from _line(evidence, counts, evidence.jobs[key[0]], rows)


def _line(
    evidence: Evidence, counts: Counter[str], job: Job, rows: list[Row]
) -> Iterator[Violation]:
    name, minute = rows[0].job, rows[0].minute
    numbers = [row.attempt for row in rows]
    if numbers != list(range(1, len(rows) + 1)):
        yield Violation("attempt", name, minute, f"rows tell of attempts {numbers}")
        return
    counts["retries"] += sum(row.state in ("failed", "timed_out") for row in rows[:-1])
    counts["resumes"] += sum(row.state == "lost" for row in rows[:-1])
    if _spent_at_once(evidence, rows):
        yield Violation(
            "spent", name, minute, f"all {len(rows)} attempts were lost at once, unbegun"
        )
    failures = losses = 0
    for row in rows:
        failures += row.state in ("failed", "timed_out")
        losses += row.state == "lost"
        if row.state == "lost":
            more = not job.fails_on_loss and losses <= RESUMES
        else:
            more = row.state in ("failed", "timed_out") and failures <= job.retries
        if row is not rows[-1] and not more:
            rule = "resumed" if row.state == "lost" else "attempt"
            what = f"attempt {row.attempt + 1} after attempt {row.attempt} {row.state}"
            yield Violation(rule, name, minute, what)
        elif row is rows[-1] and more and not _given_up(evidence, job, row):
            what = f"attempt {row.attempt} {row.state}, and no attempt follows"
            yield Violation("attempt", name, minute, what)


def _spent_at_once(evidence: Evidence, rows: list[Row]) -> bool:
    """Whether one outage took all attempts before any began: resumes are there to outlast it."""
    if len(rows) <= RESUMES or any(
        row.state != "lost" or row.run in evidence.by_run or row.finished is None for row in rows
    ):
        return False
    ends = [row.finished for row in rows if row.finished is not None]
    return max(ends) - min(ends) < LEASE


def _given_up(evidence: Evidence, job: Job, row: Row) -> bool:
    """Whether the job was removed or paused, or the run's end asked for, before the next could
    begin; or, on all, the only worker for it was away, and the row says so."""
    if (row.job, row.minute) in evidence.killed:
        return True
    over = row.finished or float(row.minute)
    if job.everywhere and "which alone could make it, was away" in (row.reason or ""):
        return evidence.caused(TAKES_AWAY, {row.worker or ""}, row.minute - LEASE, over)
    stops = [at for at in (job.delete_sent, job.paused_to_the_end()) if at is not None]
    # At once, or while its worker could begin nothing.
    return any(
        at <= over + PROMPT or evidence.stopped_all_along({row.worker or ""}, over + PROMPT, at)
        for at in stops
    )


def a_loss_is_not_repeated_against_the_jobs_will(
    evidence: Evidence, counts: Counter[str]
) -> Iterator[Violation]:
    """on_worker_loss: fail, without retries: one attempt."""
    for launch in evidence.record.launches:
        job = evidence.jobs.get(launch.job)
        once = job is not None and job.fails_on_loss and job.retries == 0
        if once and launch.attempt > 1:
            yield Violation("resumed", launch.job, launch.minute, f"attempt {launch.attempt}")


def what_was_asked_for_is_told(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """A run that was asked for and acknowledged has a row that says how it ended."""
    for job in evidence.jobs.values():
        for asked in job.asked:
            if asked.run is None or asked.sent + 1 > evidence.record.end:
                continue  # what is later than the last judged minute may be under way
            counts["asked for"] += 1
            counts["kills"] += asked.killed
            row = evidence.row_of.get(asked.run)
            if row is None:
                yield Violation("asked", job.id or "", None, f"run {asked.run} has no row")
            elif row.state == "missed" or (
                row.state == "skipped" and not (row.reason and is_true(evidence, job, row))
            ):
                what = f"run {asked.run} is {row.state}: {row.reason}"
                yield Violation("asked", job.id or "", row.minute, what)
