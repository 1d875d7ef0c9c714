"""A deployed cluster as tests see it: its API by HTTPS, its hosts through bin/lab.

Nothing here waits without a condition and a deadline; `wait_for` says how long it took.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from chaos import roles
from dcron_worker.crontab import job_ids

CHECKOUT = Path(__file__).resolve().parents[2]
LAB = os.environ.get("LAB", "dcron")
HOSTS = ("ctl1", "ctl2", "ctl3", "node1", "node2")
CONTROL = HOSTS[:3]
NEVER = "0 0 1 1 *"  # due on one minute of the year

needs_cluster = pytest.mark.skipif(
    any(not os.environ.get(name) for name in ("DCRON_URL", "DCRON_TOKEN", "DCRON_CA")),
    reason="no cluster: make lab, then source .lab/env",
)
needs_lab = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-nspawn") is None,
    reason="needs root and systemd-nspawn: hosts of the lab lose their power",
)


def wait_for(what: str, condition: Callable[[], bool], seconds: float, pause: float = 0.3) -> float:
    """Ask until the condition holds; return the seconds that it took. AssertionError after.

    A question takes its time (five hosts over ssh, most of a second): the last one is begun when
    the deadline has come, so that a slow question is not taken for a slow cluster.
    """
    begin = time.monotonic()
    while True:
        asked = time.monotonic() - begin
        if condition():
            break
        assert asked < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(min(pause, max(0.0, begin + seconds - time.monotonic())))
    took = time.monotonic() - begin
    print(f"{what}: {took:.1f} s at most, {asked:.1f} s until it was asked")
    return took


def figure(what: str, value: object) -> None:
    """A measured value, for the record (pytest -s, or -rP)."""
    print(f"{what}: {value}")


def moment(text: str) -> datetime:
    """An instant of the API as a datetime."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def next_minute(ahead: int = 12) -> datetime:
    """The first full minute that is at least `ahead` seconds off."""
    later = datetime.now(UTC) + timedelta(seconds=ahead + 60)
    return later.replace(second=0, microsecond=0)


def base64_of(text: str | bytes) -> str:
    """What `executable` holds for a script or binary."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def script(text: str, **more: Any) -> dict[str, Any]:
    """The body of a request for a script that is due every minute."""
    return {"executable": base64_of(text), "schedule": "* * * * *", "type": "script", **more}


def lab(*words: str, seconds: float = 600) -> str:
    """Run bin/lab on the lab that LAB names; its output. AssertionError if it failed."""
    done = subprocess.run(
        [str(CHECKOUT / "bin" / "lab"), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"bin/lab {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def _jobs_on(host: str) -> set[str]:
    """Ids of the jobs in the host's /etc/cron.d. A host without a crontab of ours has none."""
    # find succeeds where there is no such file, so a failure is never taken for "none". A name
    # with a dot is a file in the making.
    look = "find /etc/cron.d -name 'dcron*' ! -name '*.*' -exec cat {} +"
    return set(map(str, job_ids(lab("exec", host, look, seconds=90))))


def crontabs(hosts: Iterable[str] = HOSTS) -> dict[str, set[str]]:
    """Host to the ids of the jobs that stand in its crontabs, all hosts asked at once."""
    names = list(hosts)
    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(_jobs_on, names), strict=True))


def hosts_with_job(job_id: str, hosts: Iterable[str] = HOSTS) -> list[str]:
    """The hosts in whose /etc/cron.d the job stands."""
    return [host for host, ids in crontabs(hosts).items() if job_id in ids]


def zookeeper_leader() -> str:
    """The control host whose ZooKeeper leads."""
    leading = roles.zookeeper_leaders(_ask, CONTROL)
    assert len(leading) == 1, f"there lead: {leading}"
    return leading[0]


def manager_leader() -> str:
    """The control host whose manager leads."""
    leader = roles.manager_leader(_ask, CONTROL)
    assert leader is not None, "no manager says in its journal that it leads"
    assert leader in CONTROL, leader
    return leader


def _ask(host: str, command: str) -> str:
    return lab("exec", host, command, seconds=90)


def servers_are_whole() -> bool:
    """Every control host is a synced member of all, and talks to its ZooKeeper peers."""
    try:
        return roles.whole(_ask, CONTROL)
    except AssertionError:  # one does not take connections yet
        return False


def leaders() -> dict[str, list[str]]:
    """Control host to what it leads now: "ZooKeeper", "manager", both, nothing."""
    led: dict[str, list[str]] = {host: [] for host in CONTROL}
    led[zookeeper_leader()].append("ZooKeeper")
    led[manager_leader()].append("manager")
    return led


class Cluster:
    """The API through the virtual address. Jobs made here are removed by `clean`."""

    def __init__(self) -> None:
        self.url = os.environ["DCRON_URL"].rstrip("/")
        self.ca = os.environ["DCRON_CA"]
        self._headers = {"Authorization": f"Bearer {os.environ['DCRON_TOKEN']}"}
        self.made: list[str] = []

    def ask(
        self, method: str, path: str, body: Any = None, *, seconds: float = 15
    ) -> requests.Response:
        """One request on a connection of its own, as a new client makes it."""
        return requests.request(
            method,
            self.url + path,
            json=body,
            headers=self._headers,
            verify=self.ca,
            timeout=seconds,
            allow_redirects=False,
        )

    def is_well(self) -> bool:
        """The API answers, five workers are online, and the servers under them are whole."""
        if not self.answers():
            return False
        try:
            states = {name: one["state"] for name, one in self.workers().items()}
        except (AssertionError, requests.RequestException):
            return False
        return states == dict.fromkeys(HOSTS, "online") and servers_are_whole()

    def get(self, path: str) -> Any:
        """The JSON of a GET. AssertionError if the answer is not 200."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def post(self, body: dict[str, Any]) -> dict[str, Any]:
        """Make a job; AssertionError if it was not accepted."""
        answer = self.ask("POST", "/jobs", body)
        assert answer.status_code == 201, f"{answer.status_code} {answer.text}"
        made: dict[str, Any] = answer.json()
        self.made.append(made["id"])
        return made

    def delete(self, job_id: str) -> dict[str, Any]:
        """Remove a job; what it is now."""
        answer = self.ask("DELETE", f"/jobs/{job_id}")
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        if job_id in self.made:
            self.made.remove(job_id)
        removed: dict[str, Any] = answer.json()
        return removed

    def job(self, job_id: str) -> dict[str, Any]:
        """A job."""
        found: dict[str, Any] = self.get(f"/jobs/{job_id}")
        return found

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        """Its runs, newest first."""
        found: list[dict[str, Any]] = self.get(f"/jobs/{job_id}/runs")
        return found

    def ended(self, job_id: str) -> list[dict[str, Any]]:
        """Its runs that have come to an end."""
        return [run for run in self.runs(job_id) if run["state"] != "running"]

    def workers(self) -> dict[str, dict[str, Any]]:
        """Workers by name."""
        return {worker["name"]: worker for worker in self.get("/workers")}

    def steer(self, worker: str, verb: str) -> dict[str, Any]:
        """`drain` or `resume` a worker."""
        answer = self.ask("POST", f"/workers/{worker}/{verb}")
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
        shown: dict[str, Any] = answer.json()
        return shown

    def clean(self) -> None:
        """Remove the jobs that were made; all are tried before a failure is told."""
        failed = []
        for job_id in list(self.made):
            try:
                self.delete(job_id)
            except (AssertionError, requests.RequestException) as error:
                failed.append(f"job {job_id}: {error}")
        assert not failed, failed

    def answers(self) -> bool:
        """Does GET /jobs succeed, within 2 s?"""
        try:
            return self.ask("GET", "/jobs?limit=1", seconds=2).status_code == 200
        except requests.RequestException:
            return False
