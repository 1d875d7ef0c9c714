"""Every due minute has a launch, or a row that says why not, and the reason is true."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from chaos.evidence import (
    LOOK,
    PROMPT,
    RETURN,
    STOPS_WORKER,
    TAKES_AWAY,
    UNDER_WAY,
    Evidence,
    Key,
    Violation,
)
from chaos.model import Job, Launch, Row

NOT_RUN = frozenset({"missed", "skipped", "lost", "failed", "killed"})
_NOBODY = re.compile(r"worker (\S+) had the job and neither started nor closed this minute")


def every_due_minute_is_accounted_for(
    evidence: Evidence, counts: Counter[str]
) -> Iterator[Violation]:
    """A launch, or a row that says why not, and the reason is true."""
    for job in evidence.jobs.values():
        if job.id is None:
            continue
        for minute in job.surely_due(evidence.record.end):
            for host in evidence.record.hosts if job.everywhere else ("",):
                yield from _minute(evidence, counts, job, (job.id, minute, host))


def _minute(evidence: Evidence, counts: Counter[str], job: Job, key: Key) -> Iterator[Violation]:
    name, minute, host = key
    counts["due"] += 1
    if evidence.launches.get(key):
        counts["due launched"] += 1
        return
    rows = [row for row in evidence.rows.get(key, []) if row.state in NOT_RUN]
    if not rows and host and _had_not_joined(evidence, job, minute, host):
        counts["due elsewhere only"] += 1
        return
    if not rows:
        counts["misses"] += 1
        yield Violation("miss", name, minute, f"neither launch nor row {host}")
        return
    row = max(rows, key=lambda one: one.attempt)
    counts[f"excused: {row.state}"] += 1
    if not row.reason:
        yield Violation("excuse", name, minute, f"{row.state} without a reason")


def every_excuse_is_true(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """Also of a minute of which it is not sure that it was due. Of what became of attempts the
    outcomes are asked, of runs that were asked for those who asked."""
    for row in evidence.record.rows:
        job = evidence.jobs.get(row.job)
        if job is None or row.minute % 60 or row.state not in ("missed", "skipped"):
            continue
        if row.reason and not is_true(evidence, job, row):
            what = f"{row.state}, but not true: {row.reason}"
            yield Violation("excuse", row.job, row.minute, what)


def _had_not_joined(evidence: Evidence, job: Job, minute: int, host: str) -> bool:
    """A job on all is due on a host from when the host is there: this one was stopped from before
    the job was known until the minute, and nothing of the job was on it before."""
    known = [key for key in (*evidence.launches, *evidence.rows) if key[0] == job.id]
    if any(key[2] == host and key[1] < minute for key in known):
        return False
    moments = ((job.sent, job.sent + LOOK), (minute, minute))
    return all(evidence.caused(TAKES_AWAY, {host}, *span) for span in moments)


def is_true(evidence: Evidence, job: Job, row: Row) -> bool:
    """Whether what a `missed` or `skipped` row gives as its reason was so."""
    reason, said = row.reason or "", row.finished or row.minute
    if row.state == "skipped" and ("could start" in reason or "was removed" in reason):
        return _was_stopped(job, row, said)
    if row.state == "skipped":
        # Only a job that forbids overlap waits for the run before: `replace` ends it.
        forbids = not (job.overlaps or job.replaces)
        return forbids and _was_running(evidence, job, row, said)
    late = (row.minute + PROMPT, row.minute + job.deadline)
    if "none is online" in reason:
        return evidence.stopped_all_along(evidence.may_have(job), *late)
    if named := _NOBODY.search(reason):
        return evidence.stopped_all_along({named[1]}, *late)
    if row.worker is None:
        return evidence.stopped_all_along(evidence.may_have(job), *late)
    if job.catch_up == "all" and "a later minute was due" in reason:
        return False
    if "no worker could start it within" in reason and said < row.minute + job.allowed:
        return False
    return _was_kept(evidence, job, row)


def _was_kept(evidence: Evidence, job: Job, row: Row) -> bool:
    """Whether those who had it were kept from starting it from its minute until the next, or until
    its deadline, and no later fault but one under way when it was due can have begun that."""
    until = row.minute + job.allowed
    if "no worker could start it within" not in (row.reason or ""):
        told = [one.minute for one in evidence.record.rows if one.job == job.id]
        until = min([until, *(one for one in [*job.surely_due(until), *told] if one > row.minute)])
    hosts = evidence.hosts_of(job, row)
    at = row.minute + PROMPT
    while evidence.stopped(hosts, at, at):
        at += LOOK
        if at >= until - RETURN:
            return True
    return False


def _was_stopped(job: Job, row: Row, said: float) -> bool:
    """What the row tells of was asked for when the minute was due and had not started."""
    reason = row.reason or ""
    stops: list[float] = []
    if "paused" in reason:
        stops += [change.sent for change in job.changes if change.paused]
    if "removed" in reason and job.delete_sent is not None:
        stops.append(job.delete_sent)
    return any(row.minute - 60 <= stop <= said for stop in stops)


def _was_running(evidence: Evidence, job: Job, row: Row, said: float) -> bool:
    """Another run of the job lived when this one was skipped, or its end could not be told yet:
    something had stopped its host, or its file or secret could not be had."""
    where = row.worker if job.everywhere else None
    for (name, minute, host), launches in evidence.launches.items():
        if name != job.id or minute == row.minute or (where is not None and host != where):
            continue
        if _held(evidence, launches, row.minute, said):
            return True
    earlier = [one for one in evidence.record.rows if one.job == job.id and one.minute < row.minute]
    return any(
        (one.finished or said) >= row.minute
        and one.worker is not None
        and evidence.withheld(job, {one.worker}, one.minute, row.minute)
        for one in earlier
        if where is None or one.worker == where
    )


def _held(evidence: Evidence, launches: list[Launch], minute: int, said: float) -> bool:
    """Attempts of one run hold the job from the first claim to the last end, and until that could
    be written down. The first word of a process comes after its claim, and later where something
    stopped its host between the two."""
    first = launches[0]
    if first.start > evidence.put_off(STOPS_WORKER, {first.host}, said + UNDER_WAY, RETURN):
        return False
    last = max(launches, key=lambda one: one.seen)
    return last.seen + PROMPT >= minute or evidence.stopped({last.host}, last.seen, said)
