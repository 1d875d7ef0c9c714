"""What is broken, when and for how long: drawn from a seed, carried out through the lab.

Never more than one control host is taken away at a time, but for the faults that take all: a
minority is what the cluster promises to survive, and all at once is what it promises to recover
from by itself.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chaos.model import Fault

CONTROL = ("ctl1", "ctl2", "ctl3")
NODES = ("node1", "node2")
HOSTS = CONTROL + NODES
UNITS = ("dcron-worker", "dcron-launcher", "dcron-manager", "dcron-api")
SERVERS = ("mariadb", "dcron-zookeeper", "haproxy", "cron")

Lab = Callable[..., str]  # bin/lab's words; its output
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """A fault before it happens: what breaks it and what mends it, as words for the lab."""

    kind: str
    hosts: tuple[str, ...]
    seconds: float
    breaks: tuple[tuple[str, ...], ...]
    mends: tuple[tuple[str, ...], ...]


def draw(rng: random.Random, kinds: Sequence[str] = ()) -> Plan:
    """The next fault; `kinds` narrows the choice."""
    makers = [maker for name, maker in MAKERS.items() if not kinds or name in kinds]
    return rng.choice(makers)(rng)


def _power(rng: random.Random) -> Plan:
    host = rng.choice(HOSTS)
    return Plan("power", (host,), rng.uniform(2, 40), (("kill", host),), (("start", host),))


def _power_all(rng: random.Random) -> Plan:
    return Plan("power all", HOSTS, rng.uniform(1, 5), (("kill", *HOSTS),), (("start", *HOSTS),))


def _freeze(rng: random.Random) -> Plan:
    host = rng.choice(HOSTS)
    return Plan("freeze", (host,), rng.uniform(2, 35), (("freeze", host),), (("thaw", host),))


def _partition(rng: random.Random) -> Plan:
    host = rng.choice(HOSTS)
    return Plan("cut", (host,), rng.uniform(3, 40), (("cut", host),), (("heal",),))


def _halves(rng: random.Random) -> Plan:
    minority = (rng.choice(CONTROL), rng.choice(NODES))
    return Plan("halves", minority, rng.uniform(5, 40), (("cut", *minority),), (("heal",),))


def _one_way(rng: random.Random) -> Plan:
    pair = tuple(rng.sample(HOSTS, 2))
    words = (("cut", "--one-way", *pair),)
    return Plan("one way", pair, rng.uniform(5, 40), words, (("heal",),))


def _kill_unit(rng: random.Random) -> Plan:
    unit = rng.choice(UNITS)
    host = rng.choice(HOSTS if unit in UNITS[:2] else CONTROL)
    words = ("exec", host, f"systemctl kill -s KILL {unit}")
    return Plan(f"kill {unit}", (host,), 1.0, (words,), ())


def _stop_unit(rng: random.Random) -> Plan:
    unit = rng.choice(UNITS)
    host = rng.choice(HOSTS if unit in UNITS[:2] else CONTROL)
    return Plan(
        f"stop {unit}",
        (host,),
        rng.uniform(2, 25),
        (("exec", host, f"systemctl kill -s STOP {unit}"),),
        (("exec", host, f"systemctl kill -s CONT {unit}"),),
    )


def _restart_unit(rng: random.Random) -> Plan:
    unit = rng.choice(UNITS)
    host = rng.choice(HOSTS if unit in UNITS[:2] else CONTROL)
    words = ("exec", host, f"systemctl restart {unit}")
    return Plan(f"restart {unit}", (host,), 1.0, (words,), ())


def _kill_server(rng: random.Random) -> Plan:
    unit = rng.choice(SERVERS)
    host = rng.choice(CONTROL)
    return Plan(
        f"kill {unit}",
        (host,),
        rng.uniform(1, 15),
        (("exec", host, f"systemctl kill -s KILL {unit}"),),
        (("exec", host, f"systemctl start {unit}"),),
    )


def _zookeeper_away(rng: random.Random) -> Plan:
    return Plan(
        "ZooKeeper away",
        HOSTS,
        rng.uniform(5, 30),
        tuple(("exec", host, "systemctl kill -s STOP dcron-zookeeper") for host in CONTROL),
        tuple(("exec", host, "systemctl kill -s CONT dcron-zookeeper") for host in CONTROL),
    )


def _database_away(rng: random.Random) -> Plan:
    return Plan(
        "database away",
        HOSTS,
        rng.uniform(5, 40),
        tuple(("exec", host, "systemctl stop haproxy") for host in CONTROL),
        tuple(("exec", host, "systemctl start haproxy") for host in CONTROL),
    )


def _store_away(rng: random.Random) -> Plan:
    unit = "swift-proxy"
    return Plan(
        "object store away",
        HOSTS,
        rng.uniform(5, 30),
        tuple(("exec", host, f"systemctl stop {unit}") for host in CONTROL),
        tuple(("exec", host, f"systemctl start {unit}") for host in CONTROL),
    )


def _crond_stopped(rng: random.Random) -> Plan:
    host = rng.choice(HOSTS)
    return Plan(
        "crond stopped",
        (host,),
        rng.uniform(30, 120),
        (("exec", host, "systemctl stop cron"),),
        (("exec", host, "systemctl start cron"),),
    )


MAKERS: dict[str, Callable[[random.Random], Plan]] = {
    "power": _power,
    "power-all": _power_all,
    "freeze": _freeze,
    "cut": _partition,
    "halves": _halves,
    "one-way": _one_way,
    "kill-unit": _kill_unit,
    "stop-unit": _stop_unit,
    "restart-unit": _restart_unit,
    "kill-server": _kill_server,
    "zookeeper-away": _zookeeper_away,
    "database-away": _database_away,
    "store-away": _store_away,
    "crond-stopped": _crond_stopped,
}


class Faults:
    """Injects drawn faults one after the other until `until`; `done` is the list of them."""

    def __init__(self, lab: Lab, rng: random.Random, kinds: Sequence[str], say: Say) -> None:
        self._lab = lab
        self._rng = rng
        self._kinds = kinds
        self._say = say
        self.done: list[Fault] = []

    def run(self, until: float, healthy: Callable[[], bool], check: Callable[[], None]) -> None:
        """Break, wait, mend, wait for health (at most a minute), breathe, and again; `check`
        raises if there is no point in going on."""
        while time.time() < until:
            check()
            plan = draw(self._rng, self._kinds)
            fault = Fault(plan.kind, plan.hosts, time.time())
            self.done.append(fault)
            self._say(f"{plan.kind}: {' '.join(plan.hosts)} for {plan.seconds:.0f} s")
            try:
                for words in plan.breaks:
                    self._lab(*words)
                _pause(min(plan.seconds, max(1.0, until - time.time())))
            finally:
                for words in plan.mends:
                    self._lab(*words)
                fault.end = time.time()
            deadline = time.time() + 60
            while not healthy() and time.time() < deadline:
                _pause(1.0)
            _pause(self._rng.uniform(1, 15))


def _pause(seconds: float) -> None:
    """A fault lasts as long as it was drawn to last: this is what the time is for."""
    threading.Event().wait(seconds)
