"""What a worker has on its own host: crontab, crond's ticks, FIFO, launcher, lease, results."""

from __future__ import annotations

from collections.abc import Iterator

from dcron_cli.doctor.facts import CrontabFile, Facts, Fifo, Launcher, Results, Trouble, WorkerFacts
from dcron_cli.doctor.finding import Finding, ill, ok, warn
from dcron_common import timing

_MODE = 0o644
_OLD_RESULT = 120.0  # seconds
_REWRITE = "systemctl restart dcron-worker"


def judge_worker(worker: WorkerFacts, facts: Facts) -> list[Finding]:
    """Findings that need nothing but this host."""
    found = [*_crontab(worker.crontab)]
    found += _tick(worker.tick_age, _chance(worker, facts))
    found += _fifo(worker.fifo)
    found += _launcher(worker.launcher, facts.now)
    return found


def _crontab(files: tuple[CrontabFile, ...] | Trouble) -> Iterator[Finding]:
    if isinstance(files, Trouble):
        yield ill("crontab", f"was not looked at: {files.why}")
        return
    if not any(file.name == "dcron" for file in files):
        yield ill("crontab", "/etc/cron.d/dcron is missing: no job fires by crond", _REWRITE)
        return
    wrong = [*_wrong_files(files)]
    yield from wrong
    if not any(file.ticks for file in files):
        yield ill("crontab", "the line of every minute is missing", _REWRITE)
    elif not wrong:
        jobs = len(frozenset().union(*(file.jobs for file in files)))
        yield ok("crontab", f"is as dcron wrote it: {jobs} jobs")


def _wrong_files(files: tuple[CrontabFile, ...]) -> Iterator[Finding]:
    for file in files:
        path = f"/etc/cron.d/{file.name}"
        if file.owner != 0:
            yield ill("crontab", f"{path} is not root's: crond leaves it out", f"chown root {path}")
        elif file.mode != _MODE:
            yield ill("crontab", f"{path} has mode {file.mode:04o}", f"chmod 644 {path}")
        elif not file.intact:
            # The daemon looks every few seconds: what still stands there, it could not put back.
            yield ill("crontab", f"{path} was edited by hand, and not put back", _REWRITE)


def _chance(worker: WorkerFacts, facts: Facts) -> float:
    """For how long crond could have fired the line: it runs, and, where it never has of late, the
    line stands there."""
    units = () if isinstance(facts.units, Trouble) else facts.units
    ages = [facts.uptime, *(unit.age for unit in units if unit.name == "cron.service")]
    if worker.tick_age is None and not isinstance(worker.crontab, Trouble):
        ages += [file.age for file in worker.crontab]
    return min(ages)


def _tick(age: float | None | Trouble, chance: float) -> Iterator[Finding]:
    remedy = "systemctl restart cron; journalctl -u cron"
    if isinstance(age, Trouble):
        yield warn("crond", f"its log was not read: {age.why}")
    elif age is not None and age <= timing.TICK_SILENCE:
        yield ok("crond", f"fired the line of every minute {age:.0f} s ago")
    elif chance < timing.TICK_SILENCE:
        yield warn("crond", f"had {chance:.0f} s, and has not fired yet", "wait for a minute")
    else:
        since = "for ten minutes" if age is None else f"for {age:.0f} s"
        yield ill("crond", f"has not fired the line of every minute {since}", remedy)


def _fifo(fifo: Fifo | Trouble) -> Iterator[Finding]:
    remedy = "systemctl restart dcron-fire.socket dcron-worker"
    if isinstance(fifo, Trouble):
        yield ill("fifo", f"was not looked at: {fifo.why}")
    elif fifo.kind == "missing":
        yield ill("fifo", f"{fifo.path} is missing: crond's lines do nothing", remedy)
    elif fifo.kind == "other":
        yield ill("fifo", f"{fifo.path} is no FIFO", f"rm {fifo.path}; {remedy}")
    elif not fifo.held:
        yield ill("fifo", f"nobody reads {fifo.path}", remedy)
    elif fifo.mode & 0o077:
        yield warn("fifo", f"{fifo.path} is open to others", f"chmod 600 {fifo.path}")
    else:
        yield ok("fifo", f"{fifo.path} is held open")


def _launcher(launcher: Launcher | Trouble, now: float) -> Iterator[Finding]:
    if isinstance(launcher, Trouble):
        yield ill("launcher", f"was not looked at: {launcher.why}")
        return
    if launcher.listens:
        yield ok("launcher", f"listens at {launcher.socket}")
    else:
        yield ill(
            "launcher",
            f"nobody listens at {launcher.socket}: no run starts",
            "systemctl restart dcron-launcher",
        )
    yield from _lease(launcher.lease)
    yield from _results(launcher.results, now)


def _lease(left: float | None) -> Iterator[Finding]:
    remedy = "journalctl -u dcron-worker; systemctl status dcron-worker"
    if left is None:
        yield ill("lease", "this boot has none: no run that needs one starts", remedy)
    elif left <= 0:
        yield ill("lease", f"passed {-left:.0f} s ago: runs that need it were ended", remedy)
    else:
        yield ok("lease", f"was renewed {max(0.0, timing.LEASE - left):.1f} s ago")


def _results(results: Results | Trouble, now: float) -> Iterator[Finding]:
    if isinstance(results, Trouble):
        yield ill("results", f"the launcher's journal was not read: {results.why}")
        return
    age = 0.0 if results.oldest is None else now - results.oldest
    told = f"{results.running} runs go on, {results.waiting} results wait to be taken"
    if results.waiting and age > _OLD_RESULT:
        yield warn(
            "results",
            f"{told}, the oldest for {age:.0f} s; none is lost",
            "journalctl -u dcron-worker (is ZooKeeper or the database away?)",
        )
    else:
        yield ok("results", told)
