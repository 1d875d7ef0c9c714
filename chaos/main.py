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
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from pydantic import TypeAdapter

from chaos import gather, report, roles, standing
from chaos.checker import judge
from chaos.faults import CONTROL, HOSTS, MAKERS, Faults
from chaos.load import TRUTH, Load
from chaos.model import Record
from dcron_common.ids import ulid_time
from dcron_common.run import MANUAL

CHECKOUT = Path(__file__).resolve().parents[1]
AGAIN = 120.0  # seconds for which a question is asked again that is answered by 503
HEALED = 300.0  # seconds until a healed cluster must be whole, and all runs of before over
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
        """The JSON of an answer, asked again while it is 503; RuntimeError if it is not 200."""
        return self._patiently("GET", path).json()

    def delete(self, path: str) -> None:
        """The same for what is to go."""
        self._patiently("DELETE", path)

    def _patiently(self, method: str, path: str) -> requests.Response:
        deadline = time.monotonic() + AGAIN
        answer = self.ask(method, path, None, 30)
        while answer.status_code == 503 and time.monotonic() < deadline:
            _say(f"{method} {path}: 503, asked again")
            threading.Event().wait(float(answer.headers.get("Retry-After", 5)))
            answer = self.ask(method, path, None, 30)
        if answer.status_code != 200:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

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
    if options.record is not None:
        text = options.record.read_bytes()
        return _judged(TypeAdapter(Record).validate_json(text), options)
    api, rng = Api(), random.Random(options.seed)
    _clear(api)
    begin = time.time()
    for host in HOSTS:
        _exec(host, f"rm -rf {TRUTH}; install -d -m 1777 {TRUTH}")
    load = Load(api.ask, random.Random(options.seed + 1), at_once=26, most=options.jobs)
    faults = Faults(_lab, rng, options.faults, _led, _say)
    load.make_secret()
    load.start()
    until = begin + options.minutes * 60
    threading.Event().wait(70)  # a first quiet minute: every kind of job has stood and run
    faults.run(until, lambda: _healthy(api), load.check)
    load.stop()
    _heal(api)
    record = Record(options.seed, begin, time.time() // 60 * 60, HOSTS, load.jobs)
    _say(f"healed; waiting {QUIET:.0f} s until all is told")
    threading.Event().wait(QUIET)
    _let_end(record.end)
    record.launches = [
        launch for launch in gather.truth(_exec, HOSTS) if launch.minute <= record.end
    ]
    # The last questions need nothing to be under way: jobs of later minutes are over first.
    record.rows = [row for row in gather.rows(api.get, load.jobs) if row.minute <= record.end]
    record.final = standing.final(_exec, api.get, HOSTS, CONTROL[0])
    record.final.leftovers = _of_judged(record.final.leftovers, record.end)
    record.faults = faults.done
    return _tell(record, options)


def _clear(api: Api) -> None:
    """Take away what an earlier run left: its jobs, and then what still ran of them."""
    standing = [job["id"] for job in api.get("/jobs") if job["status"] != "finished"]
    for job in standing:
        api.delete(f"/jobs/{job}")
    _wait("nothing of an earlier run is left", lambda: not _standing(), HEALED)


def _healthy(api: Api) -> bool:
    return api.healthy() and roles.whole(_lab_exec, CONTROL)


def _standing() -> list[str]:
    return standing.zookeeper(_exec, CONTROL[0]).leftovers


def _let_end(end: float) -> None:
    """Let runs that were asked for until then end: several of one job wait for each other. The
    judge finds what has not ended in time."""
    deadline = time.monotonic() + HEALED
    while time.monotonic() < deadline:
        if not any(f".{MANUAL}" in name for name in _of_judged(_standing(), end)):
            return
        threading.Event().wait(1.0)


def _of_judged(leftovers: Sequence[str], end: float) -> list[str]:
    """Leftovers but for claims of runs that are still going on: due or asked for later."""
    return [name for name in leftovers if _began(name) <= end]


def _began(name: str) -> float:
    """For when a claim or a task is; a notice of the inbox should always be gone."""
    if name.startswith("/inbox/"):
        return 0.0
    key = name.rpartition(".")[2]
    return int(key) if key.isdigit() else ulid_time(key)


def _heal(api: Api) -> None:
    _lab("heal")
    _lab("start", *HOSTS)
    _wait("all is whole", lambda: _healthy(api), HEALED)


def _wait(what: str, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:.0f} s: {what}")
        threading.Event().wait(1.0)


def _tell(record: Record, options: argparse.Namespace) -> int:
    folder = CHECKOUT / ".cache" / "chaos"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"seed-{record.seed}"
    (folder / f"{name}.json").write_text(json.dumps(asdict(record), default=sorted))
    (folder / f"{name}.svg").write_text(report.timeline(record))
    return _judged(record, options)


def _judged(record: Record, options: argparse.Namespace) -> int:
    if record.final.details is None:
        _say("an older record: delays, kills and how jobs stand in the end are not asked")
    verdict = judge(record, minima(options.minutes, options.faults))
    for line in report.violations(verdict):
        _say(line)
    print(report.last_line(record, verdict), flush=True)
    return 0 if verdict.passed else 1


def minima(minutes: int, aimed: Sequence[str] = ()) -> dict[str, int]:
    """Below which a run proves too little: what 15 minutes have at least, in proportion. `aimed`:
    the kinds of faults that were asked for, if not all."""

    def scaled(number: int) -> int:
        return number * minutes // 15

    kinds = min(scaled(4), len(aimed)) if aimed else scaled(4)
    return {
        "due": 20 * minutes,
        "launches": 20 * minutes,
        "faults": max(2, minutes // 2),
        "kinds of faults": max(1, kinds),
        "retries": scaled(5),
        "pauses": scaled(3),
        "kills": scaled(2),  # 7 to 17 were seen in 15 minutes: none in 5 is no wonder
        "deletions": scaled(10),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bin/chaos", description=__doc__)
    parser.add_argument("--minutes", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=120, help="at most so many are made")
    parser.add_argument("--faults", nargs="*", choices=sorted(MAKERS), default=[])
    parser.add_argument("--record", type=Path, help="judge this record of a run that was, only")
    return parser.parse_args()


def _run_lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CHECKOUT / "bin" / "lab"), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def _lab(*words: str) -> str:
    done = _run_lab(*words)
    if done.returncode != 0:
        # A host that was just cut answers nothing: faults go on, what they did is judged.
        _say(f"bin/lab {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def _exec(host: str, command: str) -> str:
    """What a host says; RuntimeError where it does not: the truth must be whole."""
    done = _run_lab("exec", host, command)
    if done.returncode != 0:
        raise RuntimeError(f"{host}: {command[:80]}: {done.stdout}{done.stderr}")
    return done.stdout


def _led() -> list[str]:
    """The control hosts that lead something, as often as they do; those that cannot be asked are
    left out."""
    address = urlsplit(os.environ["DCRON_URL"]).hostname or ""
    led = [
        *roles.zookeeper_leaders(_lab_exec, CONTROL),
        roles.manager_leader(_lab_exec, CONTROL),
        *roles.address_holders(_lab_exec, CONTROL, address),
        roles.database_writer(_lab_exec, CONTROL),
    ]
    return [host for host in led if host in CONTROL]


def _lab_exec(host: str, command: str) -> str:
    return _lab("exec", host, command)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
