"""`bin/chaos`: load, faults, healing, judgement, on the lab that LAB names (and that is up)."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import requests

from chaos import gather, report
from chaos.checker import judge
from chaos.faults import CONTROL, HOSTS, MAKERS, Faults
from chaos.load import TRUTH, Load
from chaos.model import Record

CHECKOUT = Path(__file__).resolve().parents[1]
HEALED = 300.0  # seconds until a healed cluster must be whole
QUIET = 100.0  # seconds after the last judged minute until everything has been told


class Api:
    """The cluster's API through the virtual address."""

    def __init__(self) -> None:
        self._url = os.environ["DCRON_URL"].rstrip("/")
        self._ca = os.environ["DCRON_CA"]
        self._headers = {"Authorization": f"Bearer {os.environ['DCRON_TOKEN']}"}

    def ask(self, method: str, path: str, body: Any, seconds: float) -> requests.Response:
        """One request on a connection of its own. OSError: no answer."""
        return requests.request(
            method,
            self._url + path,
            json=body,
            headers=self._headers,
            verify=self._ca,
            timeout=seconds,
            allow_redirects=False,
        )

    def get(self, path: str) -> Any:
        """The JSON of an answer; RuntimeError if it is not 200."""
        answer = self.ask("GET", path, None, 30)
        if answer.status_code != 200:
            raise RuntimeError(f"GET {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def healthy(self) -> bool:
        """All five workers are online."""
        try:
            answer = self.ask("GET", "/workers", None, 3)
            states = [worker["state"] for worker in answer.json()]
        except (OSError, ValueError, TypeError):
            return False
        return answer.status_code == 200 and states == ["online"] * len(HOSTS)


def main() -> int:
    """0: the promises held. 1: they did not, or the run was too idle to tell."""
    options = _options()
    api, begin = Api(), time.time()
    rng = random.Random(options.seed)
    for host in HOSTS:
        _exec(host, f"rm -rf {TRUTH}; install -d -m 1777 {TRUTH}")
    load = Load(api.ask, random.Random(options.seed + 1), at_once=22, most=options.jobs)
    faults = Faults(_lab, rng, options.faults, _say)
    load.start()
    until = begin + options.minutes * 60
    threading.Event().wait(70)  # a first quiet minute: every kind of job has stood and run
    faults.run(until, api.healthy, load.check)
    load.stop()
    _heal(api)
    record = Record(options.seed, begin, time.time() // 60 * 60, HOSTS, load.jobs)
    _say(f"healed; waiting {QUIET:.0f} s until all is told")
    threading.Event().wait(QUIET)
    record.launches = [
        launch for launch in gather.truth(_exec, HOSTS) if launch.minute <= record.end
    ]
    # The last questions need nothing to be under way: jobs of later minutes are over first.
    record.rows = [row for row in gather.rows(api.get, load.jobs) if row.minute <= record.end]
    record.final = gather.final(_exec, api.get, HOSTS, CONTROL[0])
    record.final.leftovers = _of_judged(record)
    record.faults = faults.done
    return _tell(record, options)


def _of_judged(record: Record) -> list[str]:
    """Leftovers but for claims of minutes that are still going on."""
    later = [str(minute) for minute in range(int(record.end) + 60, int(time.time()) + 60, 60)]
    return [one for one in record.final.leftovers if one.rpartition(".")[2] not in later]


def _heal(api: Api) -> None:
    _lab("heal")
    _lab("start", *HOSTS)
    _wait("all workers are online", api.healthy, HEALED)


def _wait(what: str, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:.0f} s: {what}")
        threading.Event().wait(1.0)


def _tell(record: Record, options: argparse.Namespace) -> int:
    minima = {
        "due": 30 * options.minutes,
        "launches": 20 * options.minutes,
        "faults": max(2, options.minutes // 2),
    }
    verdict = judge(record, minima)
    folder = CHECKOUT / ".cache" / "chaos"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"seed-{record.seed}"
    (folder / f"{name}.json").write_text(json.dumps(asdict(record), default=sorted))
    (folder / f"{name}.svg").write_text(report.timeline(record))
    for line in report.violations(verdict):
        _say(line)
    print(report.last_line(record, verdict), flush=True)
    return 0 if verdict.passed else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/chaos", description=__doc__)
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=120, help="at most so many are made")
    parser.add_argument("--faults", nargs="*", choices=sorted(MAKERS), default=[])
    return parser.parse_args()


def _lab(*words: str) -> str:
    done = subprocess.run(
        [str(CHECKOUT / "bin" / "lab"), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode != 0:
        _say(f"bin/lab {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def _exec(host: str, command: str) -> str:
    return _lab("exec", host, command)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
