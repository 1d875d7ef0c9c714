"""What is wrong in the cluster now, for whoever is called at night: a function of what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LATE = 90.0  # seconds after a minute's begin: a silent crond is replaced after as many
MANY_NOTICES = 200  # changes that wait: a leader takes all that there are each second
MANY_ENDS = 100
_NAMED = 5

# By the word in a registration's `ill`: what it means, and what to do there.
_ILL: Mapping[str, tuple[str, str]] = {
    "crond": (
        "crond gave no tick for 90 s; the worker fires by itself",
        "there: systemctl status cron; dcron doctor",
    ),
    "crontab": (
        "its crontab cannot be written; the worker fires by itself what crond does not know",
        "there: df -h /etc/cron.d; journalctl -u dcron-worker",
    ),
    "launcher": (
        "its launcher does not answer: nothing can start there, and its jobs move",
        "there: systemctl restart dcron-launcher; journalctl -u dcron-launcher",
    ),
    "records": (
        "rows were refused by the database and set aside; these runs do not show",
        "there: journalctl -u dcron-worker says which; systemctl restart dcron-worker tries them "
        "again",
    ),
    "outputs": (
        "large outputs were given up, since too many waited; their ends are kept",
        "see that the object store takes files (GET /health/ready)",
    ),
    "lease": (
        "its lease cannot be written; runs that need it are ended",
        "there: df -h /run /var/lib; journalctl -u dcron-worker",
    ),
    "clock": (
        "its clock is off by more than 2 s",
        "there: chronyc tracking; systemctl restart chrony",
    ),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """`what`: a sentence; `remedy`: what to do, commands where there are any."""

    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; None: that part did not answer. `leader` "": nobody leads. `ill`: workers by
    the word that they say of themselves. `ends`: ends that wait for their rows."""

    database: bool
    coordinator: bool
    object_store: bool
    leader: str | None = None
    online: Sequence[str] | None = None
    offline: Sequence[str] = ()
    drained: Sequence[str] = ()
    isolated: Sequence[str] = ()
    ill: Mapping[str, Sequence[str]] | None = None
    late: Mapping[str, float] | None = None
    inbox: int = 0
    ends: int = 0


def troubles(seen: Seen) -> list[Trouble]:
    """Everything that is wrong, what stops most first."""
    found = [*_services(seen), *_leading(seen), *_workers(seen)]
    for word, names in sorted((seen.ill or {}).items()):
        what, remedy = _ILL.get(word, (f"says {word!a}", "there: dcron doctor"))
        found.append(Trouble(f"{_named(names)}: {what}", remedy))
    return found


def _services(seen: Seen) -> list[Trouble]:
    found: list[Trouble] = []
    if not seen.coordinator:
        found.append(
            Trouble(
                "ZooKeeper does not answer this control node; without a majority of its servers "
                "only jobs with on_isolation: run start",
                "on the hosts of group zookeeper: systemctl status zookeeper; two of three have to "
                "run and reach each other",
            )
        )
    if not seen.database:
        found.append(
            Trouble(
                "the database does not answer; jobs fire, and results wait on their nodes",
                "ansible-playbook -i INVENTORY playbooks/recover.yml says what is wrong and mends "
                "it",
            )
        )
    if not seen.object_store:
        found.append(
            Trouble(
                "the object store does not answer: files that are not cached cannot be fetched, "
                "and large outputs wait on their nodes",
                "see that the service behind [object_store] in /etc/dcron/app.toml runs and can "
                "be reached",
            )
        )
    return found


def _leading(seen: Seen) -> list[Trouble]:
    found: list[Trouble] = []
    if seen.leader == "":
        found.append(
            Trouble(
                "no manager leads: jobs fire where they stand, but nothing is placed, moved or "
                "accounted for",
                "on the control nodes: systemctl status dcron-manager; journalctl -u dcron-manager",
            )
        )
    if seen.inbox >= MANY_NOTICES:
        found.append(
            Trouble(
                f"{seen.inbox} changes of jobs wait for the leader",
                f"on {seen.leader or 'the control node that leads'}: journalctl -u dcron-manager "
                "says what holds it up; systemctl restart dcron-manager lets another lead",
            )
        )
    if seen.ends >= MANY_ENDS:
        found.append(
            Trouble(
                f"the ends of {seen.ends} runs or more wait for their rows",
                "see that the database takes writes: its disk, its load; on the nodes journalctl "
                "-u dcron-worker says what it answers",
            )
        )
    return found


def _workers(seen: Seen) -> list[Trouble]:
    found: list[Trouble] = []
    gone = [name for name in seen.offline if name not in seen.drained]
    if seen.online is not None and not seen.online:
        found.append(
            Trouble(
                "no worker is online: nothing runs", "on the nodes: systemctl start dcron-worker"
            )
        )
    elif seen.online and all(name in seen.drained for name in seen.online):
        found.append(
            Trouble(
                "every worker that is online is drained: no job can be placed",
                "POST /workers/NAME/resume",
            )
        )
    if gone:
        found.append(
            Trouble(
                f"offline: {_named(gone)}; their jobs stand elsewhere, if others may have them",
                "there: systemctl status dcron-worker; dcron doctor. One that is gone for good: "
                "drain it, then DELETE /workers/NAME",
            )
        )
    if seen.isolated:
        found.append(
            Trouble(
                f"offline with runs that are not over by the record: {_named(seen.isolated)}; "
                "those of on_isolation: run may go on there",
                "see that they reach ZooKeeper (dcron doctor there); where a host is gone, what it "
                "had claimed is recorded as lost within half a minute, and what it started while "
                "it was cut off after ten minutes",
            )
        )
    late = {name: seconds for name, seconds in (seen.late or {}).items() if seconds > LATE}
    if late:
        worst = max(late.values())
        found.append(
            Trouble(
                f"late by up to {worst:.0f} s: {_named(sorted(late))}",
                "there: journalctl -u dcron-worker; dcron doctor",
            )
        )
    return found


def _named(names: Sequence[str]) -> str:
    """Some names, and how many others."""
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} others"
