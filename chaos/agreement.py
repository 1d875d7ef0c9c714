"""What stands when all is healed: crontabs, the API and ZooKeeper say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chaos.evidence import Evidence, Violation
from chaos.model import Job


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


def _waits_for_its_job(evidence: Evidence, what: str) -> bool:
    """Whether it is what the next attempt of a run waits in while its job is paused."""
    name, _, key = what.rpartition("/")[2].partition(".")
    job = evidence.jobs.get(name.partition("@")[0])
    if job is None or job.paused_to_the_end() is None or not key.isdigit():
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


def _job(slot: str) -> str:
    return slot.partition("@")[0]
