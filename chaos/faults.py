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
from dataclasses import dataclass, replace

from chaos.model import Fault

CONTROL = ("ctl1", "ctl2", "ctl3")
NODES = ("node1", "node2")
HOSTS = CONTROL + NODES
WORKER_UNITS = ("dcron-worker", "dcron-launcher")
UNITS = (*WORKER_UNITS, "dcron-manager", "dcron-api")
SERVERS = ("mariadb", "dcron-zookeeper", "haproxy", "cron")
STORE = ("swift-proxy", "swift-object")  # of each control host: one is missed by nobody for long
EVERYWHERE = (*WORKER_UNITS, "cron")  # units that all hosts have
HEALS = 180.0  # seconds until all is whole again after a fault
SINGLE = 0.7  # part of the faults that come alone

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


@dataclass(frozen=True, slots=True)
class Aim:
    """Draws a host; one that leads something twice as often."""

    rng: random.Random
    led: Sequence[str] = ()

    def any(self) -> str:
        return self.rng.choice([*HOSTS, *self.led, *self.led])

    def control(self) -> str:
        return self.rng.choice([*CONTROL, *self.led, *self.led])

    def unit(self, units: Sequence[str]) -> tuple[str, str]:
        """One of these units, and a host that has it."""
        unit = self.rng.choice(units)
        return unit, self.any() if unit in EVERYWHERE else self.control()


def draw(rng: random.Random, kinds: Sequence[str] = (), led: Sequence[str] = ()) -> list[Plan]:
    """The next fault, or two at a time; `kinds` narrows the choice, `led` are hosts that lead
    something now."""
    makers = [maker for name, maker in MAKERS.items() if not kinds or name in kinds]
    aim = Aim(rng, led)
    first = rng.choice(makers)(aim)
    if rng.random() < SINGLE:
        return [first]
    for _ in range(10):
        second = rng.choice(makers)(aim)
        if _together(first, second):
            return [first, second]
    return [first]


def _together(one: Plan, other: Plan) -> bool:
    """Whether both may be at a time: a minority of the control hosts, and healing is for all."""
    hosts = (*one.hosts, *other.hosts)
    control = {host for host in hosts if host in CONTROL}
    cuts = [plan for plan in (one, other) if any(words[0] == "cut" for words in plan.breaks)]
    return len(set(hosts)) == len(hosts) and len(control) <= 1 and len(cuts) <= 1


def _power(aim: Aim) -> Plan:
    host = aim.any()
    return Plan("power", (host,), aim.rng.uniform(2, 40), (("kill", host),), (("start", host),))


def _power_all(aim: Aim) -> Plan:
    return Plan(
        "power all", HOSTS, aim.rng.uniform(1, 5), (("kill", *HOSTS),), (("start", *HOSTS),)
    )


def _freeze(aim: Aim) -> Plan:
    host = aim.any()
    return Plan("freeze", (host,), aim.rng.uniform(2, 35), (("freeze", host),), (("thaw", host),))


def _partition(aim: Aim) -> Plan:
    host = aim.any()
    return Plan("cut", (host,), aim.rng.uniform(3, 40), (("cut", host),), (("heal",),))


def _halves(aim: Aim) -> Plan:
    minority = (aim.control(), aim.rng.choice(NODES))
    return Plan("halves", minority, aim.rng.uniform(5, 40), (("cut", *minority),), (("heal",),))


def _one_way(aim: Aim) -> Plan:
    pair = tuple(aim.rng.sample(HOSTS, 2))
    words = (("cut", "--one-way", *pair),)
    return Plan("one way", pair, aim.rng.uniform(5, 40), words, (("heal",),))


def _kill_unit(aim: Aim) -> Plan:
    unit, host = aim.unit(UNITS)
    words = ("exec", host, f"systemctl kill -s KILL {unit}")
    return Plan(f"kill {unit}", (host,), 1.0, (words,), ())


def _restart_unit(aim: Aim) -> Plan:
    return _restarted(*aim.unit(UNITS))


def _restart_server(aim: Aim) -> Plan:
    return _restarted(*aim.unit((*SERVERS, *STORE)))


def _restarted(unit: str, host: str) -> Plan:
    """As an administrator does it. systemctl waits until it runs again: so long the fault lasts."""
    words = ("exec", host, f"systemctl restart {unit}")
    return Plan(f"restart {unit}", (host,), 1.0, (words,), ())


def _stop_unit(aim: Aim) -> Plan:
    return _stopped(aim.rng.uniform(2, 25), *aim.unit(UNITS))


def _stop_server(aim: Aim) -> Plan:
    return _stopped(aim.rng.uniform(2, 25), *aim.unit(SERVERS[:3]))


def _stopped(seconds: float, unit: str, host: str) -> Plan:
    """It stands still for a while, as if it were never scheduled."""
    words = f"kill -s STOP {unit}", f"kill -s CONT {unit}"
    return _systemctl(f"stop {unit}", (host,), seconds, *words)


def _kill_server(aim: Aim) -> Plan:
    unit, host = aim.unit(SERVERS)
    words = f"kill -s KILL {unit}", f"start {unit}"
    return _systemctl(f"kill {unit}", (host,), aim.rng.uniform(1, 15), *words)


def _zookeeper_away(aim: Aim) -> Plan:
    words = "kill -s STOP dcron-zookeeper", "kill -s CONT dcron-zookeeper"
    return _away("ZooKeeper away", aim.rng.uniform(5, 30), *words)


def _database_away(aim: Aim) -> Plan:
    return _away("database away", aim.rng.uniform(5, 40), "stop haproxy", "start haproxy")


def _store_away(aim: Aim) -> Plan:
    words = "stop swift-proxy", "start swift-proxy"
    return _away("object store away", aim.rng.uniform(5, 30), *words)


def _crond_stopped(aim: Aim) -> Plan:
    host = aim.any()
    return _systemctl("crond stopped", (host,), aim.rng.uniform(30, 120), "stop cron", "start cron")


def _crond_still(aim: Aim) -> Plan:
    """Also for longer than the worker waits for a tick: it has crond restarted then."""
    return _stopped(aim.rng.uniform(30, 120), "cron", aim.any())


def _systemctl(kind: str, on: tuple[str, ...], seconds: float, breaks: str, mends: str) -> Plan:
    """systemctl with these words on each of these hosts."""

    def each(words: str) -> tuple[tuple[str, ...], ...]:
        return tuple(("exec", host, f"systemctl {words}") for host in on)

    return Plan(kind, on, seconds, each(breaks), each(mends))


def _away(kind: str, seconds: float, breaks: str, mends: str) -> Plan:
    """Of all control hosts, which every host feels."""
    return replace(_systemctl(kind, CONTROL, seconds, breaks, mends), hosts=HOSTS)


MAKERS: dict[str, Callable[[Aim], Plan]] = {
    "power": _power,
    "power-all": _power_all,
    "freeze": _freeze,
    "cut": _partition,
    "halves": _halves,
    "one-way": _one_way,
    "kill-unit": _kill_unit,
    "stop-unit": _stop_unit,
    "restart-unit": _restart_unit,
    "restart-server": _restart_server,
    "kill-server": _kill_server,
    "stop-server": _stop_server,
    "zookeeper-away": _zookeeper_away,
    "database-away": _database_away,
    "store-away": _store_away,
    "crond-stopped": _crond_stopped,
    "crond-still": _crond_still,
}


class Faults:
    """Injects drawn faults until `until`; `done` is the list of them. `led` tells who leads
    something now."""

    def __init__(
        self,
        lab: Lab,
        rng: random.Random,
        kinds: Sequence[str],
        led: Callable[[], Sequence[str]],
        say: Say,
    ) -> None:
        self._lab = lab
        self._rng = rng
        self._kinds = kinds
        self._led = led
        self._say = say
        self.done: list[Fault] = []

    def run(self, until: float, healthy: Callable[[], bool], check: Callable[[], None]) -> None:
        """Break, wait, mend, wait for health, breathe, and again. `check` raises if there is no
        point in going on; RuntimeError: what was mended did not become healthy by itself."""
        while time.time() < until:
            check()
            self._carry_out(draw(self._rng, self._kinds, self._led()), until)
            deadline = time.monotonic() + HEALS
            while not healthy():
                if time.monotonic() > deadline:
                    raise RuntimeError(f"not whole {HEALS:.0f} s after {self.done[-1].kind}")
                _pause(1.0)
            _pause(self._rng.uniform(1, 15))

    def _carry_out(self, plans: Sequence[Plan], until: float) -> None:
        broken: list[tuple[Plan, Fault]] = []
        try:
            for plan in plans:
                fault = Fault(plan.kind, plan.hosts, time.time())
                self.done.append(fault)
                broken.append((plan, fault))
                self._say(f"{plan.kind}: {' '.join(plan.hosts)} for {plan.seconds:.0f} s")
                for words in plan.breaks:
                    self._lab(*words)
            broken.sort(key=lambda one: -one[0].seconds)
            while broken:
                end = min(broken[-1][1].begin + broken[-1][0].seconds, until)
                _pause(max(1.0, end - time.time()))
                self._mend(*broken.pop())
        finally:
            for plan, fault in broken:
                self._mend(plan, fault)

    def _mend(self, plan: Plan, fault: Fault) -> None:
        for words in plan.mends:
            self._lab(*words)
        fault.end = time.time()


def _pause(seconds: float) -> None:
    """A fault lasts as long as it was drawn to last: this is what the time is for."""
    threading.Event().wait(seconds)
