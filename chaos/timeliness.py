"""When a launch may be: at the minutes of the change that stood then, not before them, no later
than its job allows, and not after what was answered (P15)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from chaos.evidence import CUTS_OFF, KILL, LEASE, UNDER_WAY, Evidence, Violation
from chaos.model import Job, Launch, due


def only_what_was_due_ran(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """A launch belongs to a due minute of its job, not before it, nor long after a deletion."""
    for launch in evidence.record.launches:
        job = evidence.jobs.get(launch.job)
        if job is None:
            counts["launches of unacknowledged jobs"] += 1
            continue
        if launch.start < launch.minute:
            yield Violation("too early", launch.job, launch.minute, f"ran on {launch.host}")
        if not launch.manual:
            yield from _minute(evidence, job, launch)
            first = launch.attempt == 1
            if first and launch.start > launch.minute + job.allowed + UNDER_WAY:
                yield Violation("too late", launch.job, launch.minute, f"ran on {launch.host}")
        yield from _by_an_old_state(evidence, counts, job, launch)


def _minute(evidence: Evidence, job: Job, launch: Launch) -> Iterator[Violation]:
    """Whether a change that may have stood at the minute has it due. One that had surely been
    replaced counts only for a host that could not hear of it."""
    paused = False
    for begin, end, change in job.possibly():
        if launch.minute < begin or launch.minute not in due(
            change.schedule, launch.minute - 60, launch.minute, job.timezone
        ):
            continue
        if launch.minute >= end and not _unheard(evidence, job, launch, end):
            continue
        if not change.paused:
            return
        paused = True
    what = f"ran on {launch.host} at {launch.start - launch.minute:.1f} s"
    if paused:
        yield Violation("paused", launch.job, launch.minute, f"{what}, but was paused at its time")
    else:
        yield Violation("not due", launch.job, launch.minute, what)


def minutes_go_forward(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """No minute begins after a later one (P2); nor when a later one is due, but of a job that
    catches up all of them."""
    newest: dict[tuple[str, str], Launch] = {}
    for launch in sorted(evidence.record.launches, key=lambda one: one.start):
        job = evidence.jobs.get(launch.job)
        if job is None or launch.manual or launch.attempt > 1 or job.isolates:
            continue
        line = (launch.job, launch.host if job.everywhere else "")
        before = newest.setdefault(line, launch)
        if launch.minute < before.minute:
            what = f"began after {before.minute} had"
            yield Violation("backward", launch.job, launch.minute, what)
        else:
            newest[line] = launch
        # Between a claim and its process may be a lease at most; a file or a secret may have to be
        # waited for.
        claimed = launch.start - LEASE - KILL - UNDER_WAY
        waits = job.file or job.secret
        late = job.catch_up != "all" and not waits and claimed > launch.minute + 60
        if late and any(launch.minute < one <= claimed for one in job.surely_due(claimed)):
            what = f"began at {launch.start - launch.minute:.1f} s, and a later minute was due"
            yield Violation("overtaken", launch.job, launch.minute, what)


def _by_an_old_state(
    evidence: Evidence, counts: Counter[str], job: Job, launch: Launch
) -> Iterator[Violation]:
    """What was answered holds: a deletion, a pause, a new text."""
    stops: list[tuple[str, float, float | None]] = []
    if job.deleted is not None:
        stops.append(("deleted", job.deleted, None))
    for begin, _, change in job.surely():
        # What was sent last may be in force without an answer.
        lifts = [one.sent for one in job.changes if one.sent > change.sent and not one.paused]
        end = min(lifts, default=None)
        if change.paused and not launch.manual:
            stops.append(("paused", begin, end))
        if change.revision > launch.revision:
            stops.append(("old text", begin, None))
    for what, begin, end in stops:
        late = launch.start - begin
        if late <= UNDER_WAY or (end is not None and launch.start >= end):
            continue
        if _unheard(evidence, job, launch, begin):
            counts[f"{what}, on a host cut off"] += 1
            continue
        counts[f"after: {what}"] += 1
        yield Violation(what, launch.job, launch.minute, f"started {late:.1f} s after it")


def _unheard(evidence: Evidence, job: Job, launch: Launch, answered: float) -> bool:
    """Whether the launch's host could not hear of what was answered, and may have gone on.

    What was claimed before the answer, which the fence's write precedes, may start late: where its
    host was cut off or stood still, by a lease and what it takes to end a run; once that has
    passed, or a lease after the fault is over, the claim is void. A process that was forked before
    its host was frozen says its first word at the thaw. What goes without a claim goes by what the
    host knew, until it must have heard: from the answer on it was cut off all the time, or, with a
    member of ZooKeeper away, nobody could tell it.
    """
    if evidence.isolated(launch):
        return launch.start <= evidence.heard_by({launch.host}, answered)
    if not evidence.caused(CUTS_OFF, {launch.host}, answered, launch.start, traces=LEASE):
        return False
    # Nothing ends what has no lease just because the host stood still.
    thawed = replace(launch, seen=launch.start) if job.isolates else launch
    return launch.start - answered <= LEASE + KILL or evidence.thawed(thawed, launch.start)
