"""The record, sorted for questions; above all: what a fault can have caused, and for how long.

An excuse is believed only for a cause of its own: a fault of a kind that can bring it about, on a
host that can. That *something* was broken somewhere explains nothing: under chaos it always is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from chaos.faults import CONTROL
from chaos.model import Job, Launch, Record, Row

LEASE, KILL = 9.0, 2.0  # seconds; see docs/guarantees.md, P4
RETURN = 30.0  # seconds after its fault's end until a host has booted, joined and adopted
THAW = 1.5  # a thawed process may write this long until the guard ends it
LOOK = 5.0  # seconds between two looks at who was there
UNDER_WAY = 3.0  # seconds from a claim to the process's first word, on a busy machine
PROMPT = 10.0  # seconds in which a worker that nothing hinders has launched

Key = tuple[str, int, str]  # job, minute, host of a job that runs everywhere

# By the beginning of a fault's kind: what keeps all workers from launching; what makes one look
# away; what keeps one from launching; what keeps one from hearing of a change; what keeps its runs
# from being guarded; what keeps files from being had; what may take ZooKeeper's leader from
# everybody, for longer than a lease.
STOPS_ALL = ("ZooKeeper away", "power all")
TAKES_AWAY = (
    *STOPS_ALL,
    *("power", "freeze", "cut", "halves", "one way"),
    *("kill dcron-worker", "stop dcron-worker", "restart dcron-worker"),
    *("kill dcron-launcher", "stop dcron-launcher", "restart dcron-launcher"),
)
KILLS_STARTER = ("kill dcron-launcher",)  # and with it what would see a run's exit code
STOPS_GUARD = ("freeze", "kill dcron-launcher", "stop dcron-launcher", "restart dcron-launcher")
# A crond that is killed, restarted or stands still as a minute begins is silent until the next, or
# until its worker ticks in its place.
STOPS_WORKER = (*TAKES_AWAY, "crond", "kill cron", "stop cron", "restart cron")
CUTS_OFF = (
    *STOPS_ALL,
    *("freeze", "cut", "halves", "one way", "stop dcron-worker", "stop dcron-launcher"),
)
STOPS_STORE = ("object store away", "power", "freeze", "cut", "halves", "one way")
ANYTHING = ("",)
TAKES_MEMBER = (
    *("power", "freeze", "cut", "halves", "one way"),
    *("kill dcron-zookeeper", "stop dcron-zookeeper", "restart dcron-zookeeper"),
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise."""

    rule: str
    job: str
    minute: int | None
    what: str


class Evidence:
    """The record, sorted for questions."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.jobs = {job.id: job for job in record.jobs if job.id is not None}
        self.launches: dict[Key, list[Launch]] = defaultdict(list)
        self.rows: dict[Key, list[Row]] = defaultdict(list)
        self.by_job: dict[str, list[Launch]] = defaultdict(list)
        self.by_run: dict[str, list[Launch]] = defaultdict(list)
        self.row_of = {row.run: row for row in record.rows}
        for launch in sorted(record.launches, key=lambda one: one.start):
            self.launches[self._key(launch.job, launch.minute, launch.host)].append(launch)
            self.by_job[launch.job].append(launch)
            self.by_run[launch.run].append(launch)
        for row in record.rows:
            self.rows[self.key_of(row)].append(row)
        asked = [one for job in record.jobs for one in job.asked if one.killed]
        killed = [self.row_of[one.run] for one in asked if one.run in self.row_of]
        # A request to end a run ends all its attempts.
        self.killed = {(row.job, row.minute) for row in killed}

    def key_of(self, row: Row) -> Key:
        """Where the attempts of the row's run stand together."""
        return self._key(row.job, row.minute, row.worker or "")

    def _key(self, job: str, minute: int, host: str) -> Key:
        known = self.jobs.get(job)
        return (job, minute, host if known and known.everywhere else "")

    def caused(
        self,
        kinds: tuple[str, ...],
        hosts: Iterable[str],
        begin: float,
        end: float,
        traces: float = RETURN,
    ) -> bool:
        """Whether a fault of these kinds on one of the hosts, or its traces, which last so many
        seconds, touches the span."""
        wanted = set(hosts)
        return any(
            fault.kind.startswith(kinds)
            and wanted.intersection(fault.hosts)
            and fault.begin <= end
            and begin <= fault.end + traces
            for fault in self.record.faults
        )

    def put_off(
        self, kinds: tuple[str, ...], hosts: Iterable[str], moment: float, traces: float
    ) -> float:
        """Until when something that has to be done on the hosts by this moment may be left undone:
        a fault of these kinds that is there then, or whose traces are, puts it off until they are
        over, and so may the next."""
        wanted = set(hosts)
        for fault in sorted(self.record.faults, key=lambda one: one.begin):
            if fault.kind.startswith(kinds) and wanted.intersection(fault.hosts):
                over = fault.end + traces
                moment = over if fault.begin <= moment < over else moment
        return moment

    def heard_by(self, hosts: Iterable[str], moment: float, traces: float = RETURN) -> float:
        """When workers of these hosts must have heard of what ZooKeeper was told by this moment;
        without a leader of ZooKeeper's nobody hears of anything."""
        before, hosts = 0.0, list(hosts)
        while before != moment:
            before = moment
            moment = self.put_off(TAKES_AWAY, hosts, moment, traces)
            moment = self.put_off(TAKES_MEMBER, CONTROL, moment, traces)
        return moment

    def withheld(self, job: Job, hosts: Iterable[str], begin: float, end: float) -> bool:
        """Whether what the job needs may not have been to be had on these hosts: its file, by the
        object store; its secret, which the leader seals for the worker in the database, by
        anything on them or on a control host."""
        hosts = list(hosts)
        if job.file and self.caused(STOPS_STORE, hosts, begin, end):
            return True
        return job.secret and self.caused(ANYTHING, (*hosts, *CONTROL), begin, end)

    def stopped(self, hosts: Iterable[str], begin: float, end: float) -> bool:
        """Whether something kept a worker of these hosts from launching."""
        return self.caused(STOPS_WORKER, hosts, begin, end)

    def stopped_all_along(self, hosts: Iterable[str], begin: float, end: float) -> bool:
        """Whether at no moment of the span a worker of these hosts could launch."""
        wanted, at = list(hosts), begin
        while at < end:
            if not all(self.stopped({host}, at, at) for host in wanted):
                return False
            at += LOOK
        return bool(wanted)

    def begun(self, kinds: tuple[str, ...], host: str, begin: float, end: float) -> bool:
        """Whether a fault of these kinds began on the host within the span."""
        return any(
            fault.kind.startswith(kinds) and host in fault.hosts and begin <= fault.begin <= end
            for fault in self.record.faults
        )

    def leaderless(self, begin: float, end: float) -> bool:
        """Whether a member of ZooKeeper, which may have led it, went away in the span or a lease
        before: leases of all workers may pass until another leads."""
        return any(
            fault.kind.startswith(TAKES_MEMBER)
            and set(CONTROL).intersection(fault.hosts)
            and begin - LEASE - KILL <= fault.begin <= end
            for fault in self.record.faults
        )

    def may_have(self, job: Job) -> list[str]:
        """The hosts that carry the job's labels."""
        return [host for host in self.record.hosts if host.startswith(job.kind)]

    def hosts_of(self, job: Job, row: Row) -> set[str]:
        """Who had the job when the minute of a row that its worker told was due: that one, or
        whoever launched the job last before."""
        before = [one.host for one in self.by_job[row.job] if one.start < row.minute]
        last = [] if job.everywhere else before[-1:]
        return {host for host in (row.worker, *last) if host is not None}

    def isolated(self, launch: Launch) -> bool:
        """Whether it went without a claim, truly: its row says so, its job may, and its host was
        cut off."""
        row, job = self.row_of.get(launch.run), self.jobs.get(launch.job)
        if row is None or job is None or not (row.isolated and job.isolates):
            return False
        span = (launch.start - LEASE, launch.start)
        return self.caused(TAKES_AWAY, {launch.host}, *span) or self.leaderless(*span)

    def thawed(self, launch: Launch, moment: float) -> bool:
        """Whether the launch's host had just been thawed at this moment, or its launcher let go
        on."""
        return any(
            fault.kind in ("freeze", "stop dcron-launcher")
            and launch.host in fault.hosts
            and fault.end - THAW <= moment
            and launch.seen <= fault.end + THAW
            for fault in self.record.faults
        )

    def stood_still(self, launch: Launch, moment: float) -> bool:
        """Whether the launch's host was frozen at this moment, for so long that its lease had
        passed. Its process does nothing until the thaw, whatever begins elsewhere meanwhile."""
        return any(
            fault.kind == "freeze"
            and launch.host in fault.hosts
            and fault.begin + LEASE <= moment <= fault.end
            and launch.seen <= fault.end + THAW
            for fault in self.record.faults
        )
