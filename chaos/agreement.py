"""What stands when all is healed: crontabs, the API and ZooKeeper say the same.

By then nothing is under way: the last fault was healed, all workers were online, and QUIET seconds
have passed, in which leader and workers have compared what they have several times. So nothing is
tolerated here, but where the client itself does not know what it wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from chaos.evidence import Evidence, Violation
from chaos.model import Details, How, Job, due

TICK = "* * * * *"  # the line for jobs that no line of their own can serve
DAY = 86_400
UTC = ("UTC", "Etc/UTC")


def all_agree_in_the_end(evidence: Evidence, counts: Counter[str]) -> Iterator[Violation]:
    """And nothing is left over."""
    final = evidence.record.final
    for what in final.leftovers:
        if not _waits_for_its_job(evidence, what):
            yield Violation("leftover", "-", None, what)
    for name, job in evidence.jobs.items():
        where = sorted(host for host, jobs in final.crontabs.items() if name in jobs)
        if job.deleted is not None:
            yield from _gone(evidence, name, where)
            continue
        if job.acknowledged is None or job.delete_sent is not None:
            continue
        if job.newest.schedule.startswith("@at ") or job.newest.acknowledged is None:
            continue
        counts["standing"] += 1
        if job.everywhere:
            if where != sorted(evidence.record.hosts):
                yield Violation("crontab", name, None, f"on all, but only on {where}")
        elif where != [final.holders.get(name)]:
            said = final.holders.get(name)
            yield Violation("crontab", name, None, f"stands on {where}, the API says {said}")
        yield from _in_zookeeper(evidence, name, job)
        if final.details is not None:
            counts["compared whole"] += 1
            yield from _details(evidence, final.details, name, where)


def _waits_for_its_job(evidence: Evidence, what: str) -> bool:
    """Whether it is what the next attempt of a run waits in while its job is paused."""
    name, _, key = what.rpartition("/")[2].partition(".")
    job = evidence.jobs.get(name.partition("@")[0])
    if job is None or job.deleted is not None or not key.isdigit():
        return False
    if job.paused_to_the_end() is None:
        return False
    rows = [row for row in evidence.record.rows if row.job == job.id and row.minute == int(key)]
    newest = max(rows, key=lambda row: row.attempt, default=None)
    return newest is not None and newest.state in ("lost", "failed", "timed_out")


def _gone(evidence: Evidence, name: str, where: list[str]) -> Iterator[Violation]:
    final = evidence.record.final
    if where:
        yield Violation("stale", name, None, f"deleted, but in the crontab of {where}")
    fences = sorted(slot for slot in final.fences if _job(slot) == name)
    if fences:
        yield Violation("stale", name, None, f"deleted, but fences {fences} stand")
    assigned = sorted(host for host, slots in final.assignments.items() if name in map(_job, slots))
    if assigned:
        yield Violation("stale", name, None, f"deleted, but assigned to {assigned}")


def _in_zookeeper(evidence: Evidence, name: str, job: Job) -> Iterator[Violation]:
    """Each slot has a fence, whose holder alone has it assigned, and is whom the API names."""
    final = evidence.record.final
    if job.everywhere:
        wanted: dict[str, str | None] = {f"{name}@{host}": host for host in evidence.record.hosts}
    else:
        wanted = {name: final.holders.get(name)}
    held = {slot: holder for slot, holder in final.fences.items() if _job(slot) == name}
    if held != wanted:
        yield Violation("fence", name, None, f"fences say {held}, the API {wanted}")
    assigned = {
        (slot, host)
        for host, slots in final.assignments.items()
        for slot in slots
        if _job(slot) == name
    }
    if assigned != set(wanted.items()):
        what = f"assigned are {sorted(assigned)}, the API says {wanted}"
        yield Violation("assignment", name, None, what)


def _details(
    evidence: Evidence, details: Details, name: str, where: list[str]
) -> Iterator[Violation]:
    """Revision, state and schedule are one in API, fences, assignments and crontabs."""
    told = details.jobs.get(name)
    if told is None:
        yield Violation("record", name, None, "stands, and the API tells of no such job")
        return
    if not _as_asked(evidence.jobs[name], told):
        what = f"the API has {told}, asked for was {evidence.jobs[name].newest}"
        yield Violation("record", name, None, what)
    for slot, fence in details.fences.items():
        if _job(slot) == name and (fence.revision, fence.state) != (told.revision, told.state):
            yield Violation("fence", name, None, f"the fence of {slot} has {fence}, the API {told}")
    for host, slots in details.assignments.items():
        for slot, editions in slots.items():
            if _job(slot) == name and editions != [told]:
                what = f"{slot} is assigned to {host} as {editions}, the API has {told}"
                yield Violation("assignment", name, None, what)
    for host in where:
        lines = details.lines.get(host, {}).get(name, [])
        if len(lines) != 1 or not _fires(lines[0], told, details.zones.get(host, "")):
            what = f"in the crontab of {host} by {lines}, the API has {told}"
            yield Violation("crontab", name, None, what)


def _as_asked(job: Job, told: How) -> bool:
    """Whether the record has what its client wanted last. A request without an answer may be
    carried out late, even after one that was answered: then anything may stand."""
    if any(change.acknowledged is None for change in job.changes):
        return True
    newest = job.newest
    state = "paused" if newest.paused else "active"
    wanted = (state, job.timezone, _minutes(newest.schedule))
    return wanted == (told.state, told.timezone, _minutes(told.schedule or ""))


def _fires(fields: str, told: How, zone: str) -> bool:
    """Whether a crontab's line is the job's: at the same minutes, or each minute where its
    schedule is of another zone than crond's, or that cannot be told."""
    if told.timezone == zone or (told.timezone in UTC and zone in UTC):
        return _minutes(fields) == _minutes(told.schedule or "")
    return fields == TICK


@lru_cache(maxsize=256)
def _minutes(schedule: str) -> frozenset[int]:
    """When it fires within a day, whatever it is written like."""
    return frozenset(due(schedule, -1, DAY - 1))


def _job(slot: str) -> str:
    return slot.partition("@")[0]
