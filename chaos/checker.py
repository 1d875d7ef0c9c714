"""The judge: what was promised against what happened. A pure function of the record.

Each rule below is a function that yields Violations; `judge` applies all of them and counts.
What is excused is excused by the record alone: a row's reason counts only if it is true.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chaos.agreement import all_agree_in_the_end
from chaos.endings import (
    a_kill_is_heeded,
    a_retry_waits_for_its_delay,
    nothing_outlives_its_row,
    timeouts_hold,
)
from chaos.evidence import Evidence, Violation
from chaos.excuses import every_due_minute_is_accounted_for, every_excuse_is_true
from chaos.model import Fault, Launch, Record
from chaos.outcomes import (
    a_loss_is_not_repeated_against_the_jobs_will,
    a_process_has_what_its_job_gives,
    an_id_names_one_row,
    attempts_follow_where_owed,
    every_launch_has_its_row,
    every_row_is_true,
    what_was_asked_for_is_told,
)
from chaos.timeliness import minutes_go_forward, only_what_was_due_ran


@dataclass(slots=True)
class Verdict:
    """`counts` are for people; any violation fails the run, and so does `idle`."""

    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    idle: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.violations and not self.idle


def judge(record: Record, minima: dict[str, int] | None = None) -> Verdict:
    """Apply every rule. `minima`: counts below which the run was too idle to prove anything."""
    evidence, verdict = Evidence(record), Verdict()
    for rule in RULES:
        verdict.violations += list(rule(evidence, verdict.counts))
    verdict.counts["jobs"] = len(record.jobs)
    verdict.counts["launches"] = len(record.launches)
    verdict.counts["faults"] = len(record.faults)
    verdict.counts["kinds of faults"] = len(by_kind(record.faults))
    verdict.counts["deletions"] = sum(job.deleted is not None for job in record.jobs)
    verdict.counts["pauses"] = sum(job.pauses for job in record.jobs)
    for name, least in (minima or {}).items():
        if verdict.counts[name] < least:
            verdict.idle.append(f"{name}: {verdict.counts[name]}, at least {least} are needed")
    return verdict


def nothing_ran_twice(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """One launch of a (job, minute, attempt); beside it one on each host that was cut off, of a
    job that wants it so."""
    for (job, minute, _), launches in evidence.launches.items():
        attempts: dict[int, list[Launch]] = defaultdict(list)
        for launch in launches:
            attempts[launch.attempt].append(launch)
        for attempt, same in attempts.items():
            claimed = [one.host for one in same if not evidence.isolated(one)]
            alone = Counter(one.host for one in same if evidence.isolated(one))
            if len(claimed) <= 1 and all(number == 1 for number in alone.values()):
                if len(same) > 1:
                    counts["doubles of isolated workers"] += len(same) - 1
                continue
            counts["doubles"] += len(same) - 1
            hosts = [one.host for one in same]
            yield Violation("double", job, minute, f"attempt {attempt} on {hosts}")


def nothing_ran_beside_itself(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """Attempts of a minute follow each other; so do minutes of a job that forbids overlap."""
    lines: dict[tuple[str, str], list[Launch]] = defaultdict(list)
    for (job, minute, host), launches in evidence.launches.items():
        known = evidence.jobs.get(job)
        line = f"{host}/{minute}" if known is None or known.overlaps else host
        # An isolated one may run where its worker is cut off, whatever runs elsewhere.
        lines[job, line] += [one for one in launches if not evidence.isolated(one)]
    for (job, _), line_launches in lines.items():
        last: Launch | None = None
        for launch in sorted(line_launches, key=lambda one: one.start):
            if last is not None and launch.start < last.seen:
                if evidence.thawed(last, launch.start) or evidence.stood_still(last, launch.start):
                    counts["overlaps after a thaw"] += 1
                else:
                    counts["overlaps"] += 1
                    yield _beside(job, launch, last)
            if last is None or launch.seen > last.seen:
                last = launch


def _beside(job: str, launch: Launch, last: Launch) -> Violation:
    return Violation(
        "overlap",
        job,
        launch.minute,
        f"attempt {launch.attempt} on {launch.host} began {last.seen - launch.start:.1f} s before "
        f"{last.minute} attempt {last.attempt} on {last.host} was last seen",
    )


def only_who_may_is_isolated(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """A launch without a claim is for on_isolation: run, on a host that was cut off."""
    for row in evidence.record.rows:
        if row.job not in evidence.jobs or not row.isolated:
            continue
        counts["isolated"] += 1
        if not all(evidence.isolated(one) for one in evidence.by_run.get(row.run, [])):
            yield Violation("isolated", row.job, row.minute, f"on {row.worker}")


def epochs_only_rise(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """No launch by a holder that had been replaced."""
    highest: dict[tuple[str, str], Launch] = {}
    for launch in sorted(evidence.record.launches, key=lambda one: one.start):
        job = evidence.jobs.get(launch.job)
        each = job is not None and (job.everywhere or job.isolates)
        line = (launch.job, launch.host if each else "")
        before = highest.get(line)
        if before is not None and launch.epoch < before.epoch:
            if evidence.thawed(launch, launch.start):
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


Rule = Callable[[Evidence, Counter[str]], Iterator[Violation]]
RULES: tuple[Rule, ...] = (
    every_due_minute_is_accounted_for,
    every_excuse_is_true,
    nothing_ran_twice,
    nothing_ran_beside_itself,
    a_loss_is_not_repeated_against_the_jobs_will,
    only_who_may_is_isolated,
    epochs_only_rise,
    only_what_was_due_ran,
    minutes_go_forward,
    what_was_asked_for_is_told,
    every_launch_has_its_row,
    a_process_has_what_its_job_gives,
    an_id_names_one_row,
    every_row_is_true,
    attempts_follow_where_owed,
    timeouts_hold,
    a_kill_is_heeded,
    nothing_outlives_its_row,
    a_retry_waits_for_its_delay,
    all_agree_in_the_end,
)


def by_kind(faults: list[Fault]) -> dict[str, int]:
    """How often each kind of fault was injected."""
    return dict(sorted(Counter(fault.kind for fault in faults).items()))
