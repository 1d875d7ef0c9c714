"""What a node needs from others: ZooKeeper, the database, the object store; and its own API."""

from __future__ import annotations

from collections.abc import Iterator

from dcron_cli.doctor.facts import Api, AppFacts, Facts, Service, Trouble, WorkerFacts, ZooKeeper
from dcron_cli.doctor.finding import Finding, ill, ok, warn
from dcron_common.protocol import Registration

_ZOOKEEPER = "systemctl start dcron-zookeeper (on the control nodes; two of three must run)"
_RECOVER = "ansible-playbook -i INVENTORY playbooks/recover.yml"
# What a worker may say of itself in its registration, and the way out.
_ILL_PARTS = {
    "crond": ("crond is silent, the worker ticks in its place", "systemctl restart cron"),
    "crontab": ("the crontab cannot be written", "journalctl -u dcron-worker -g crontab"),
    "records": ("a result cannot be recorded", "journalctl -u dcron-worker -g record"),
    "launcher": ("no launcher answers it: its jobs move", "journalctl -u dcron-launcher"),
    "lease": ("the lease cannot be written", "df -h; journalctl -u dcron-worker -g beat"),
    "clock": (
        "its clock is not ZooKeeper's: ahead, jobs start up to 2 s early; behind, late by it",
        "chronyc tracking",
    ),
    "outputs": (
        "too many outputs wait for the object store, of some only the tail is kept",
        "journalctl -u dcron-worker -g 'outputs wait|tail is kept'",
    ),
}


def judge_worker_services(worker: WorkerFacts, facts: Facts) -> list[Finding]:
    """What the worker needs."""
    found = [*_zookeeper("zookeeper", worker.zookeeper)]
    if isinstance(worker.zookeeper, ZooKeeper) and not worker.zookeeper.session:
        found += _registration(worker, worker.zookeeper, facts)
        found += _assigned(worker, worker.zookeeper)
    found += _service("database", worker.database, _RECOVER)
    found += _store("store", worker.store)
    return found


def judge_app(app: AppFacts) -> list[Finding]:
    """What the API and the manager need, and whether the API serves."""
    found = [*_zookeeper("app zookeeper", app.zookeeper)]
    if isinstance(app.zookeeper, ZooKeeper) and app.zookeeper.managers == 0:
        found.append(
            ill(
                "manager",
                "no manager of the cluster runs: nothing is placed",
                "systemctl start dcron-manager",
            )
        )
    found += _service("app database", app.database, _RECOVER)
    found += _store("app store", app.store)
    found += _api(app.api)
    return found


def _zookeeper(what: str, seen: ZooKeeper | Trouble) -> Iterator[Finding]:
    if isinstance(seen, Trouble):
        yield ill(what, f"was not asked: {seen.why}", _ZOOKEEPER)
        return
    serving = [f"{host} ({mode})" for host, mode in seen.servers.items() if mode]
    silent = [f"{host} ({seen.problems.get(host, '')})" for host in seen.servers
              if not seen.servers[host]]  # fmt: skip
    if seen.session:
        yield ill(what, f"gives this node no session: {seen.session}", _ZOOKEEPER)
    elif silent:
        yield warn(what, f"does not serve on {', '.join(silent)}", _ZOOKEEPER)
    else:
        yield ok(what, f"serves on {', '.join(serving)}")


def _registration(worker: WorkerFacts, seen: ZooKeeper, facts: Facts) -> Iterator[Finding]:
    own = seen.registered
    if not seen.admitted:
        yield ill(
            "registration",
            f"worker {worker.name} was never admitted to the cluster: it cannot register",
            f"dcron-app worker admit {worker.name} (on a control node)",
        )
    elif own is None:
        yield ill(
            "registration",
            f"worker {worker.name} is not registered: its jobs go elsewhere",
            "systemctl restart dcron-worker; journalctl -u dcron-worker",
        )
    elif own.boot_id != facts.boot_id:
        yield ill(
            "registration",
            f"another machine ({own.address}) or an earlier boot is registered as {worker.name}",
            "give each node a name of its own in [worker] name",
        )
    else:
        yield from _own(own, facts)


def _own(own: Registration, facts: Facts) -> Iterator[Finding]:
    for part in own.ill:
        message, remedy = _ILL_PARTS.get(part, (f"{part} is ill", "journalctl -u dcron-worker"))
        yield ill("registration", f"the worker says: {message}", remedy)
    if own.version != facts.version:
        yield warn(
            "registration",
            f"the worker is of version {own.version}, this command of {facts.version}",
            "systemctl restart dcron-worker",
        )
    if not own.ill:
        yield ok("registration", f"{own.worker} is online at {own.address}")


def _assigned(worker: WorkerFacts, seen: ZooKeeper) -> Iterator[Finding]:
    if isinstance(worker.crontab, Trouble) or not worker.crontab:
        return  # said already
    written = frozenset().union(*(file.jobs for file in worker.crontab))
    missing, extra = sorted(seen.assigned - written), sorted(written - seen.assigned)
    for jobs, message in ((missing, "are not in the crontab"), (extra, "are not assigned here")):
        if jobs:
            named = ", ".join(map(str, jobs[:10])) + (" …" if len(jobs) > 10 else "")
            yield warn(
                "crontab",
                f"jobs {named} {message}; right for a moment after a change",
                "dcron doctor again in 5 s, then systemctl restart dcron-worker",
            )


def _service(what: str, seen: Service | Trouble, remedy: str) -> Iterator[Finding]:
    if isinstance(seen, Trouble):
        yield ill(what, f"did not answer: {seen.why}", remedy)
    elif seen.refused:
        yield ill(what, f"{seen.name} refuses this node: {seen.problem}", "run site.yml again")
    elif seen.problem:
        yield ill(what, f"{seen.name}: {seen.problem}", remedy)
    else:
        yield ok(what, f"{seen.name} answers and takes writes")


def _store(what: str, seen: Service | Trouble) -> Iterator[Finding]:
    remedy = "ansible-playbook -i INVENTORY playbooks/s3_store.yml, or ask the service's owner"
    if isinstance(seen, Trouble):
        yield ill(what, f"did not answer: {seen.why}", remedy)
    elif seen.problem:
        yield ill(what, f"{seen.name}: {seen.problem}", remedy)
    else:
        yield ok(what, f"{seen.name} answers")


def _api(seen: Api | Trouble) -> Iterator[Finding]:
    remedy = "systemctl restart dcron-api; journalctl -u dcron-api"
    if isinstance(seen, Trouble):
        yield ill("api", f"does not answer here: {seen.why}", remedy)
    elif seen.ill:
        level = ill if seen.status >= 500 else warn
        yield level("api", f"says that these are ill: {', '.join(seen.ill)}")
    elif seen.status != 200:
        yield ill("api", f"answers {seen.status}", remedy)
    else:
        yield ok("api", "is ready")
