"""When a process has to be over, and when the next may begin: timeouts, kills, rows, delays.

All hosts of a lab share one clock, so what a process wrote is held against what a launcher wrote
elsewhere as it stands. A process writes each second: it was over at most that long after its last
word, and no rule here asks for more than its last word shows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from chaos.evidence import (
    ANYTHING,
    PROMPT,
    STOPS_GUARD,
    STOPS_STORE,
    THAW,
    Evidence,
    Key,
    Violation,
)
from chaos.faults import CONTROL
from chaos.model import Asked, Job, Row
from chaos.outcomes import NOTICED

FAILURES = ("failed", "timed_out")


def timeouts_hold(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """No process is seen long after its timeout, whatever its row says.

    TERM ends what the load runs, so PROMPT is for a busy machine alone. Tolerated is what keeps the
    launcher from guarding at that time, and PROMPT for it to be back: it is stopped, killed or
    restarted, or its host is frozen. A power cut needs no excuse: it ends the process. Nor does a
    cut from the network: the guard needs none.
    """
    for launch in evidence.record.launches:
        job = evidence.jobs.get(launch.job)
        if job is None or job.timeout is None:
            continue
        over = launch.start + job.timeout + PROMPT
        if launch.seen > evidence.put_off(STOPS_GUARD, {launch.host}, over, PROMPT):
            lasted = launch.seen - launch.start
            what = f"attempt {launch.attempt} lasted {lasted:.1f} s and may {job.timeout} s"
            yield Violation("timeout", launch.job, launch.minute, what)


def a_kill_is_heeded(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """A run whose end was asked for and acknowledged is over soon, and nothing of it comes later.

    It may have ended by itself at the same time: then its row says how, with an end that is not
    later than the request can have taken. Tolerated is what keeps its worker from hearing of the
    request, or from carrying it out: the faults that take a worker away or a member of ZooKeeper's;
    while a file is being fetched, those of the object store, while a secret is, any. Where the
    worker is gone the leader closes the run in its stead: NOTICED is what that may take. A request
    that was not answered by 202 asks nothing here.
    """
    for job in evidence.jobs.values():
        for asked in job.asked:
            if asked.kill_acknowledged is not None:
                counts["kills acknowledged"] += 1
                yield from _unheeded(evidence, job, asked, asked.kill_acknowledged)


def _unheeded(evidence: Evidence, job: Job, asked: Asked, at: float) -> Iterator[Violation]:
    row = evidence.row_of.get(asked.run or "")
    if row is None:
        return  # which is another rule's affair
    rows = evidence.rows[evidence.key_of(row)]
    hosts = {one.worker for one in rows if one.worker is not None}
    by = evidence.heard_by(hosts, at + PROMPT, NOTICED)
    if job.file:
        by = evidence.put_off(STOPS_STORE, hosts, by, PROMPT)
    if job.secret:
        by = evidence.put_off(ANYTHING, (*hosts, *CONTROL), by, PROMPT)
    for one in rows:
        launches = evidence.by_run.get(one.run, [])
        begun = max((launch.start for launch in launches), default=0.0)
        last = max(one.finished or 0.0, begun)
        if last > by:
            what = (
                f"attempt {one.attempt} was {one.state} {last - at:.1f} s after its end was asked"
            )
            yield Violation("kill", one.job, one.minute, what)


def nothing_outlives_its_row(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """What its row calls over has no process any more.

    Who writes `finished` has seen the process gone, or has waited for its lease and the time to end
    it. THAW is what is promised of a host that was frozen, or whose launcher was: a process that
    the leader called `lost` meanwhile writes until the guard ends it. A claimed run of
    `on_isolation: run` has no lease: where its host is cut off it goes on, and the leader calls it
    `lost`, or `killed` if somebody asked.
    """
    for launch in evidence.record.launches:
        row, job = evidence.row_of.get(launch.run), evidence.jobs.get(launch.job)
        if row is None or job is None or row.finished is None:
            continue
        if launch.seen <= row.finished + THAW or (job.isolates and row.state in ("lost", "killed")):
            continue
        if evidence.thawed(launch, row.finished) or evidence.stood_still(launch, row.finished):
            counts["seen after their rows' ends, by a thaw"] += 1
            continue
        late = launch.seen - row.finished
        what = f"attempt {launch.attempt} on {launch.host} was seen {late:.1f} s after it was over"
        yield Violation("outlives", launch.job, launch.minute, what)


def a_retry_waits_for_its_delay(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """Attempt k + 1 begins no sooner than its delay after attempt k failed, doubled with each
    failure. It may begin later (a pause, a fault, a file), so only this side is judged. A lost
    attempt is followed at once. Nothing is tolerated: who hands a retry on hands its time on."""
    lines: dict[Key, list[Row]] = defaultdict(list)
    for row in evidence.record.rows:
        job = evidence.jobs.get(row.job)
        if job is not None and job.retry_delay and not row.isolated:
            lines[evidence.key_of(row)].append(row)
    for key, rows in lines.items():
        rows.sort(key=lambda one: one.attempt)
        yield from _too_soon(evidence, evidence.jobs[key[0]], rows)


def _too_soon(evidence: Evidence, job: Job, rows: list[Row]) -> Iterator[Violation]:
    failures = 0
    for row, after in zip(rows, rows[1:], strict=False):
        if row.state not in FAILURES:
            continue
        failures += 1
        delay = job.retry_delay * 2 ** (failures - 1)
        words = [one.seen for one in evidence.by_run.get(row.run, [])]
        over = max(words, default=row.finished or 0.0)
        for launch in evidence.by_run.get(after.run, []):
            if launch.start < over + delay:
                waited = launch.start - over
                what = f"attempt {after.attempt} came after {waited:.1f} s, not {delay:.0f} s"
                yield Violation("delay", row.job, row.minute, what)
