"""`bin/bench-fire`: what firing costs, under bare crond and under dcron, on the lab that LAB names.

N jobs are due every minute. Each tells its own start by shell builtins: it appends the seconds
since boot (hundredths) to a file. The text is the same under both. The reference is bare crond,
one line a job, on the host without dcron's worker and its lines; ratios are dcron's figure by
crond's. crond sleeps whole seconds and wakes one to two seconds after the minute, as it happens,
under dcron with it (docs/adr/0070): one more line, in both, tells when that was, and so
how long the way to the last start was from there. CPU is that of all processes of a service with
the children they reaped, over the measured minute.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from bench.host import on_host
from dcron_worker.crontab import job_ids

CHECKOUT = Path(__file__).resolve().parents[1]
TRUTH = "/var/tmp/bench-starts"  # on the lab host
COMMAND = f"read t rest < /proc/uptime; echo $t >> {TRUTH}"
BARE = "/etc/cron.d/bench"
WOKE = "/var/tmp/bench-woke"  # on the lab host: when crond's line of the last minute ran
WAKING = "/etc/cron.d/bench-woke"
USER = "dcron-job"
POSTERS = 8
AIMS = {1000: 0.5}  # the last start as a part of crond's is to be less; elsewhere 1
UNITS = {
    "cron": "cron",
    "systemd-journald": "journald",
    "dcron-worker": "worker",
    "dcron-launcher": "launcher, jobs",
    "dcron-zookeeper": "ZooKeeper",
    "mariadb": "MariaDB",
    "dcron-manager": "manager",
    "haproxy": "HAProxy",
    "dcron-api": "API",
}

# On the host: CPU seconds of each service, resident kilobytes of dcron's processes, and what has
# to be added to seconds since boot to have the time of day.
SAMPLE = """
import glob, json, os, time
ticks, cpu, memory = os.sysconf("SC_CLK_TCK"), {}, {}
for folder in glob.glob("/proc/[0-9]*"):
    try:
        stat = open(folder + "/stat").read().rpartition(")")[2].split()
        unit = open(folder + "/cgroup").read()
        status = open(folder + "/status").read()
    except OSError:
        continue
    found = [part for line in unit.splitlines() for part in line.split("/")
             if part.endswith(".service")]
    if not found:
        continue
    name = found[-1].removesuffix(".service")
    cpu[name] = cpu.get(name, 0) + sum(map(int, stat[11:15])) / ticks
    if name.startswith("dcron") and "VmRSS:" in status:
        memory.setdefault(name, []).append(int(status.split("VmRSS:")[1].split()[0]))
print(json.dumps({"cpu": cpu, "memory": memory,
                  "offset": time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)}))
"""


@dataclass(frozen=True)
class Measured:
    """One minute. `starts`: seconds after the minute, sorted; `woke`: when crond's first line ran,
    likewise. `cpu`: seconds by service.
    `memory`: kilobytes of each process by dcron's services. `load`: the machine's load average
    just before, which says how much else it had to do."""

    starts: list[float]
    woke: float
    cpu: dict[str, float]
    memory: dict[str, list[int]]
    load: float

    @property
    def last(self) -> float:
        return self.starts[-1]

    @property
    def way(self) -> float:
        """Seconds from crond's waking to the last start."""
        return self.last - self.woke

    def quantile(self, part: float) -> float:
        return self.starts[min(len(self.starts) - 1, int(part * len(self.starts)))]

    @property
    def seconds(self) -> float:
        """CPU of all services together."""
        return sum(self.cpu.values())


class Api:
    """The cluster's API."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._ca = os.environ["DCRON_CA"]
        self._session.headers["Authorization"] = f"Bearer {os.environ['DCRON_TOKEN']}"
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=POSTERS)
        self._session.mount("https://", adapter)
        self._url = os.environ["DCRON_URL"].rstrip("/")

    def post(self) -> None:
        """One more job that is due every minute."""
        body = {"type": "command", "executable": COMMAND, "schedule": "* * * * *"}
        while True:
            # Named each time: a bundle in the environment would count for more than the session's.
            answer = self._session.post(f"{self._url}/jobs", json=body, timeout=60, verify=self._ca)
            if answer.status_code == 201:
                return
            if answer.status_code != 503:
                raise RuntimeError(f"POST /jobs: {answer.status_code} {answer.text}")
            threading.Event().wait(1.0)


def main() -> int:
    """0: every aim is reached. 1: the last line names what is not."""
    options = _options()
    _put(WAKING, f"* * * * * root read t rest < /proc/uptime; echo $t > {WOKE}\n")
    # As on a host without dcron, whose tick line has crond wake earlier; the worker puts it back.
    # The shell of its last tick ends with the minute.
    on_host("systemctl stop dcron-worker && : > /etc/cron.d/dcron")
    _until(lambda second: second > 55)
    _until(lambda second: 2 < second < 10)
    bare = {size: _bare(size, options.minutes) for size in options.sizes}
    on_host("systemctl start dcron-worker")
    ours = _ours(options.sizes, options.minutes)
    _table(bare, ours)
    results = {"bare": bare, "dcron": ours}
    path = CHECKOUT / ".cache" / "bench-fire.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, default=vars))
    last = [f"{n}: {ours[n].last / bare[n].last:.2f}" for n in options.sizes]
    way = [f"{n}: {ours[n].way / bare[n].way:.2f}" for n in options.sizes]
    cpu = [f"{n}: {ours[n].seconds / bare[n].seconds:.1f}" for n in options.sizes]
    missed = _missed(bare, ours)
    print(f"dcron by bare crond, from crond's waking to the last start: {', '.join(way)}")
    print(f"dcron by bare crond: last start {', '.join(last)}; CPU {', '.join(cpu)}", end="")
    print(f"; NOT REACHED: {'; '.join(missed)}" if missed else "", flush=True)
    return 1 if missed else 0


def _missed(bare: dict[int, Measured], ours: dict[int, Measured]) -> list[str]:
    """What was aimed at and is not reached."""
    found = []
    for size in bare:
        for name, one in (("bare crond", bare[size]), ("dcron", ours[size])):
            if len(one.starts) != size:
                found.append(f"{size}: under {name} {len(one.starts)} started")
        part, aim = ours[size].last / bare[size].last, AIMS.get(size, 1.0)
        if part >= aim:
            found.append(f"{size}: the last start at {part:.2f} of crond's, not before {aim:g}")
    return found


def _median(minutes: list[Measured]) -> Measured:
    """crond wakes at another moment each minute: the one in the middle speaks for all."""
    return sorted(minutes, key=lambda one: one.last)[len(minutes) // 2]


def _bare(size: int, minutes: int) -> Measured:
    lines = "".join(f"* * * * * {USER} {COMMAND}\n" for _ in range(size))
    _until(lambda second: 10 < second < 35)
    _put(BARE, lines)
    what = f"bare crond, {size} lines"
    found = [_minute(what, size, settled=0) for _ in range(minutes)]
    on_host(f"rm {BARE}")
    return _median(found)


def _ours(sizes: list[int], minutes: int) -> dict[int, Measured]:
    api, made, found = Api(), 0, {}
    for size in sizes:
        _say(f"posting {size - made} jobs")
        with ThreadPoolExecutor(POSTERS) as pool:
            for done in [pool.submit(api.post) for _ in range(size - made)]:
                done.result()
        made = size
        _await_crontab(size)
        # The first minute of the last jobs is the next one.
        _until(lambda second: 5 < second < 45)
        what = f"dcron, {size} jobs"
        found[size] = _median([_minute(what, size, settled=50) for _ in range(minutes)])
    return found


def _await_crontab(size: int) -> None:
    deadline = time.monotonic() + 120
    while len(job_ids(on_host("cat /etc/cron.d/dcron*"))) < size:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker's crontab does not have {size} jobs")
        threading.Event().wait(2.0)


def _minute(what: str, size: int, settled: float) -> Measured:
    """The minute that comes next, from just before it until all have started and the second
    `settled`, so that what comes after the starts is counted too."""
    _until(lambda second: second > 55)  # the minute before has started all by now
    on_host(f"install -m 666 /dev/null {TRUTH}")
    before, load = _sample(), os.getloadavg()[0]
    minute = (time.time() // 60 + 1) * 60
    _until(lambda second: 1 < second < 50)
    deadline = time.time() // 60 * 60 + 52
    while int(on_host(f"wc -l < {TRUTH}")) < size and time.time() < deadline:
        threading.Event().wait(2.0)
    _until(lambda second: second > settled)
    lines = on_host(f"cat {TRUTH}").split()
    after = _sample()
    starts = sorted(float(line) + after["offset"] - minute for line in lines)
    if not starts:
        raise RuntimeError(f"{what}: nothing was started")
    woke = float(on_host(f"cat {WOKE}")) + after["offset"] - minute
    if woke < 0:
        raise RuntimeError(f"{what}: crond did not run the line of {WAKING} in this minute")
    cpu = {unit: after["cpu"].get(unit, 0) - before["cpu"].get(unit, 0) for unit in UNITS}
    _say(f"{what}: {len(starts)} started, the last at {starts[-1]:.2f} s")
    return Measured(starts, min(woke, starts[0]), cpu, after["memory"], load)


def _until(condition: Any) -> None:
    """Wait for a second of the minute."""
    while not condition(time.time() % 60):
        threading.Event().wait(0.2)


def _sample() -> Any:
    return json.loads(on_host("python3 -", SAMPLE))


def _table(bare: dict[int, Measured], ours: dict[int, Measured]) -> None:
    head = [
        "jobs",
        "under",
        "crond woke",
        "first",
        "p50",
        "p99",
        "last",
        "started",
        *UNITS.values(),
    ]
    head.append("load before")
    print("\nSeconds after the minute; then CPU seconds.")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for size in bare:
        for name, one in (("bare crond", bare[size]), ("dcron", ours[size])):
            times = [one.woke, one.starts[0], one.quantile(0.5), one.quantile(0.99), one.last]
            cells = [f"{size:,}", name, *(f"{x:.2f}" for x in times), f"{len(one.starts):,}"]
            cells += [*(f"{one.cpu[unit]:.2f}" for unit in UNITS), f"{one.load:.1f}"]
            print(f"| {' | '.join(cells)} |")
    most = ours[max(ours)].memory
    for unit in ("dcron-worker", "dcron-launcher"):
        each = ", ".join(f"{kilobytes / 1024:.0f}" for kilobytes in sorted(most.get(unit, [])))
        print(f"Resident with {max(ours):,} jobs, {unit}: {each} MiB")


def _put(path: str, text: str) -> None:
    """Write a crontab file on the host, whole or not at all."""
    on_host(f"cat > {path}.new && chmod 644 {path}.new && mv {path}.new {path}", text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/bench-fire")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--minutes", type=int, default=3, help="of each; the median is shown")
    options = parser.parse_args()
    options.sizes.sort()  # jobs are only ever added
    return options


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
