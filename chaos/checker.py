"""The judge: what was promised against what happened. A pure function of the record.

Each rule below is a function that yields Violations; `judge` applies all of them and counts.
What is excused is excused by the record alone: a row's reason counts only if it is true.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chaos.model import Fault, Job, Launch, Record, Row

LEASE, KILL = 9.0, 2.0  # seconds; see docs/guarantees.md, P4
THAW = 1.5  # a thawed process may write this long until the guard ends it
SETTLE = 90.0  # a fault's traces (failover, resume, back-off) last so long after its end
PROMPT = 10.0  # a start this long after its minute needs no excuse
ENDED = frozenset({"succeeded", "failed", "timed_out", "killed", "lost"})
NOT_RUN = frozenset({"missed", "skipped", "lost", "failed", "killed"})

Key = tuple[str, int, str]  # job, minute, host of a job that runs everywhere


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise."""

    rule: str
    job: str
    minute: int | None
    what: str


@dataclass(slots=True)
class Verdict:
    """`counts` are for people; any violation fails the run, and so does `idle`."""

    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    idle: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.violations and not self.idle


class Evidence:
    """The record, sorted for questions."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.jobs = {job.id: job for job in record.jobs if job.id is not None}
        self.launches: dict[Key, list[Launch]] = defaultdict(list)
        self.rows: dict[Key, list[Row]] = defaultdict(list)
        for launch in sorted(record.launches, key=lambda one: one.start):
            self.launches[self._key(launch.job, launch.minute, launch.host)].append(launch)
        for row in record.rows:
            self.rows[self._key(row.job, row.minute, row.worker or "")].append(row)

    def _key(self, job: str, minute: int, host: str) -> Key:
        known = self.jobs.get(job)
        return (job, minute, host if known and known.everywhere else "")

    def faulty(self, begin: float, end: float, host: str | None = None) -> bool:
        """Whether a fault, or what follows from one, touches the span (and the host)."""
        return any(
            fault.during(begin - SETTLE, end) and (host is None or host in fault.hosts)
            for fault in self.record.faults
        )

    def frozen(self, launch: Launch, moment: float) -> bool:
        """Whether the launch's host had just been thawed, or its launcher let go on."""
        return any(
            fault.kind in ("freeze", "stop dcron-launcher")
            and launch.host in fault.hosts
            and fault.end - THAW <= moment
            and launch.seen <= fault.end + THAW
            for fault in self.record.faults
        )


def judge(record: Record, minima: dict[str, int] | None = None) -> Verdict:
    """Apply every rule. `minima`: counts below which the run was too idle to prove anything."""
    evidence, verdict = Evidence(record), Verdict()
    for rule in RULES:
        verdict.violations += list(rule(evidence, verdict.counts))
    verdict.counts["jobs"] = len(record.jobs)
    verdict.counts["launches"] = len(record.launches)
    verdict.counts["faults"] = len(record.faults)
    for name, least in (minima or {}).items():
        if verdict.counts[name] < least:
            verdict.idle.append(f"{name}: {verdict.counts[name]}, at least {least} are needed")
    return verdict


def every_due_minute_is_accounted_for(
    evidence: Evidence, counts: Counter[str]
) -> Iterator[Violation]:
    """A launch, or a row that says why not, and the reason is true."""
    for job in evidence.jobs.values():
        if job.acknowledged is None or job.id is None:
            continue
        for minute in job.due(job.acknowledged, evidence.record.end):
            if job.delete_sent is not None and minute >= job.delete_sent:
                break
            hosts = evidence.record.hosts if job.everywhere else ("",)
            for host in hosts:
                yield from _minute(evidence, counts, job, (job.id, minute, host))


def _minute(evidence: Evidence, counts: Counter[str], job: Job, key: Key) -> Iterator[Violation]:
    name, minute, host = key
    counts["due"] += 1
    if evidence.launches.get(key):
        counts["due launched"] += 1
        return
    rows = [row for row in evidence.rows.get(key, []) if row.state in NOT_RUN]
    if not rows:
        if _overtaken_by_deletion(evidence, job, minute):
            counts["excused: deleted"] += 1
        elif host and evidence.faulty(minute - 60, minute + job.deadline, host):
            counts["excused: host away"] += 1
        else:
            counts["misses"] += 1
            yield Violation("miss", name, minute, f"neither launch nor row {host}")
        return
    row = rows[-1]
    counts[f"excused: {row.state}"] += 1
    if not row.reason:
        yield Violation("excuse", name, minute, f"{row.state} without a reason")
    elif not _excuse_is_true(evidence, job, row):
        yield Violation("excuse", name, minute, f"{row.state}, but not true: {row.reason}")


def _overtaken_by_deletion(evidence: Evidence, job: Job, minute: int) -> bool:
    if job.delete_sent is None:
        return False
    late = job.delete_sent - minute
    return late < PROMPT or (late < job.deadline and evidence.faulty(minute, job.delete_sent))


def _excuse_is_true(evidence: Evidence, job: Job, row: Row) -> bool:
    said = row.finished or row.minute
    if row.state == "skipped":
        return not job.overlaps and _was_running(evidence, job, row.minute, said, row.worker or "")
    # Anything else needs something that was broken at that time.
    return evidence.faulty(row.minute - 60, max(said, row.minute + 60.0))


def _was_running(evidence: Evidence, job: Job, minute: int, said: float, host: str) -> bool:
    """An earlier run lived when this one was skipped, or its end could not be told yet."""
    for (name, earlier, at), launches in evidence.launches.items():
        if name != job.id or earlier >= minute or (at and at != host):
            continue
        for launch in launches:
            if launch.start > said:
                continue
            if launch.seen + PROMPT >= minute or evidence.faulty(launch.seen, said):
                return True
    return False


def nothing_ran_twice(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """One launch of a (job, minute, attempt)."""
    for (job, minute, _), launches in evidence.launches.items():
        for attempt, number in Counter(one.attempt for one in launches).items():
            if number > 1:
                counts["doubles"] += number - 1
                hosts = [one.host for one in launches if one.attempt == attempt]
                yield Violation("double", job, minute, f"attempt {attempt} on {hosts}")


def nothing_ran_beside_itself(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """Attempts of a minute follow each other; so do minutes of a job that forbids overlap."""
    lines: dict[tuple[str, str], list[Launch]] = defaultdict(list)
    for (job, minute, host), launches in evidence.launches.items():
        known = evidence.jobs.get(job)
        line = f"{host}/{minute}" if known is None or known.overlaps else host
        lines[job, line] += launches
    for (job, _), line_launches in lines.items():
        last: Launch | None = None
        for launch in sorted(line_launches, key=lambda one: one.start):
            if last is not None and launch.start < last.seen:
                if evidence.frozen(last, launch.start):
                    counts["overlaps after a thaw"] += 1
                else:
                    counts["overlaps"] += 1
                    yield Violation(
                        "overlap",
                        job,
                        launch.minute,
                        f"attempt {launch.attempt} on {launch.host} began "
                        f"{last.seen - launch.start:.1f} s before {last.minute} attempt "
                        f"{last.attempt} on {last.host} was last seen",
                    )
            if last is None or launch.seen > last.seen:
                last = launch


def epochs_only_rise(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """No launch by a holder that had been replaced."""
    highest: dict[tuple[str, str], Launch] = {}
    for launch in sorted(evidence.record.launches, key=lambda one: one.start):
        job = evidence.jobs.get(launch.job)
        line = (launch.job, launch.host if job and job.everywhere else "")
        before = highest.get(line)
        if before is not None and launch.epoch < before.epoch:
            if evidence.frozen(launch, launch.start):
                counts["old epochs after a thaw"] += 1
                continue
            yield Violation(
                "epoch",
                launch.job,
                launch.minute,
                f"epoch {launch.epoch} on {launch.host} after {before.epoch} on {before.host}",
            )
        else:
            highest[line] = launch


def only_what_was_due_ran(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """A launch belongs to a due minute of its job, not before it, nor long after a deletion."""
    for launch in evidence.record.launches:
        job = evidence.jobs.get(launch.job)
        if job is None:
            counts["launches of unacknowledged jobs"] += 1
            continue
        if launch.minute not in job.due(launch.minute - 60, launch.minute):
            yield Violation("not due", launch.job, launch.minute, f"ran on {launch.host}")
        elif launch.minute <= job.sent - 60 or launch.start < launch.minute:
            yield Violation("too early", launch.job, launch.minute, f"ran on {launch.host}")
        if launch.attempt == 1 and launch.start > launch.minute + job.deadline + PROMPT:
            yield Violation("too late", launch.job, launch.minute, f"ran on {launch.host}")
        if job.deleted is not None:
            cut_off = evidence.faulty(job.deleted, job.deleted + LEASE)
            allowed = LEASE + KILL if cut_off else 1.0
            if launch.start > job.deleted + allowed:
                counts["after deletion"] += 1
                late = launch.start - job.deleted
                yield Violation("deleted", launch.job, launch.minute, f"{late:.1f} s later")


def every_launch_has_its_row(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """And the row says what the process said."""
    for key, launches in evidence.launches.items():
        job = evidence.jobs.get(key[0])
        if job is None:
            continue
        rows = {row.attempt: row for row in evidence.rows.get(key, [])}
        for launch in launches:
            row = rows.get(launch.attempt)
            if row is None:
                yield Violation("no row", launch.job, launch.minute, f"attempt {launch.attempt}")
            elif row.state in ("missed", "skipped"):
                yield Violation("false row", launch.job, launch.minute, f"{row.state}, but it ran")
            elif launch.end is None and row.state == "succeeded":
                yield Violation("false row", launch.job, launch.minute, "succeeded, but no end")
    for row in evidence.record.rows:
        if row.state not in ENDED | {"missed", "skipped"}:
            counts["running for ever"] += 1
            yield Violation("running", row.job, row.minute, f"attempt {row.attempt}: {row.state}")


def all_agree_in_the_end(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """Crontabs, the API and the coordination service say the same, and nothing is left over."""
    final = evidence.record.final
    for what in final.leftovers:
        yield Violation("leftover", "-", None, what)
    for name, job in evidence.jobs.items():
        where = sorted(host for host, jobs in final.crontabs.items() if name in jobs)
        if job.deleted is not None:
            if where:
                yield Violation("stale", name, None, f"deleted, but in the crontab of {where}")
            continue
        if job.acknowledged is None or job.delete_sent is not None:
            continue
        if job.schedule.startswith("@at "):
            continue
        counts["standing"] += 1
        if job.everywhere:
            if where != sorted(evidence.record.hosts):
                yield Violation("crontab", name, None, f"on all, but only on {where}")
        elif where != [final.holders.get(name)]:
            said = final.holders.get(name)
            yield Violation("crontab", name, None, f"stands on {where}, the API says {said}")


Rule = Callable[[Evidence, Counter[str]], Iterator[Violation]]
RULES: tuple[Rule, ...] = (
    every_due_minute_is_accounted_for,
    nothing_ran_twice,
    nothing_ran_beside_itself,
    epochs_only_rise,
    only_what_was_due_ran,
    every_launch_has_its_row,
    all_agree_in_the_end,
)


def by_kind(faults: list[Fault]) -> dict[str, int]:
    """How often each kind of fault was injected."""
    return dict(sorted(Counter(fault.kind for fault in faults).items()))
