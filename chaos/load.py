"""The load: jobs of all kinds, made and deleted all the while by a client that keeps a diary."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from chaos.model import Job

TRUTH = "/var/tmp/dcron-truth"
ASK = 10.0  # seconds until the client gives a request up

# Each line of the truth is one write of a few bytes to a file opened for appending: lines never
# mix. The text itself is one line, since a command must be.
_TEXT = (
    'say() {{ echo "$* $(date +%s.%N)" >> {truth}/$(hostname); }}; '
    "say S $DCRON_JOB_ID $DCRON_SCHEDULED_AT $DCRON_ATTEMPT $DCRON_EPOCH $DCRON_RUN_ID; "
    "left={seconds}; "
    "while [ $left -gt 0 ]; do sleep 1; left=$((left - 1)); say B $DCRON_RUN_ID; done; "
    "say E $DCRON_RUN_ID; "
    "[ $DCRON_ATTEMPT -gt {failures} ]"
)


class Answer(Protocol):
    """What is needed of an HTTP answer."""

    status_code: int

    def json(self) -> Any: ...


Ask = Callable[[str, str, Any, float], Answer]  # method, path, body, seconds


def script(seconds: int, failures: int = 0) -> str:
    """What a job runs: it tells its truth, lives for `seconds`, fails its first attempts."""
    return _TEXT.format(truth=TRUTH, seconds=seconds, failures=failures)


def kinds(rng: random.Random, now: float) -> list[tuple[str, dict[str, Any]]]:
    """One body of each kind of job, with a name for the kind."""
    every, second = "* * * * *", f"{rng.randrange(2)}-59/2 * * * *"
    later = datetime.fromtimestamp((now // 60 + rng.randrange(2, 5)) * 60, UTC)
    return [
        ("quick", _command(every, script(0))),
        ("file", _file(every, script(rng.randrange(1, 4)))),
        ("long", _command(every, script(rng.randrange(20, 50)))),
        ("longer", _command(every, script(80))),
        ("overlapping", _command(every, script(80), concurrency="allow")),
        ("failing", _command(every, script(1, 1), retries=2, retry_delay_seconds=3)),
        ("alternate", _command(second, script(5))),
        ("everywhere", _command(every, script(2), placement={"labels": {}, "on": "all"})),
        ("once only", _command(every, script(15), on_worker_loss="fail")),
        ("node", _command(every, script(3), placement={"labels": {"kind": "node"}})),
        ("one-shot", _command(f"@at {later:%Y-%m-%dT%H:%M:%SZ}", script(2))),
    ]


def _command(schedule: str, text: str, **more: Any) -> dict[str, Any]:
    return {"executable": text, "schedule": schedule, "type": "command", **more}


def _file(schedule: str, text: str) -> dict[str, Any]:
    encoded = base64.b64encode(f"#!/bin/sh\n{text}\n".encode()).decode()
    return {"executable": encoded, "schedule": schedule, "type": "script"}


class Load(threading.Thread):
    """Makes and deletes jobs until `stop`; `jobs` is its diary."""

    def __init__(self, ask: Ask, rng: random.Random, *, at_once: int, most: int) -> None:
        super().__init__(name="load", daemon=True)
        self._ask = ask
        self._rng = rng
        self._at_once = at_once
        self._most = most
        self._over = threading.Event()
        self._began = time.time()
        self.jobs: list[Job] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(self._at_once):
                self._make()
            while not self._over.wait(self._rng.uniform(2.0, 6.0)):
                if len(self.jobs) < self._most:
                    self._make()
                if self._rng.random() < 0.4:
                    self._delete()
        except BaseException as error:  # noqa: BLE001  # `stop` raises it: no load, no proof
            self.failure = error

    def check(self) -> None:
        """Raise what ended the thread, if something did."""
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """End the thread; no request is under way any more."""
        self._over.set()
        self.join(ASK * 3)
        self.check()
        if self.is_alive():
            raise TimeoutError("the load did not stop")

    def _make(self) -> None:
        bodies = kinds(self._rng, time.time())
        kind, body = bodies[len(self.jobs) % len(bodies)]
        job = Job(
            name=f"{kind} {len(self.jobs)}",
            schedule=body["schedule"],
            overlaps=body.get("concurrency") == "allow",
            everywhere=body.get("placement", {}).get("on") == "all",
            fails_on_loss=body.get("on_worker_loss") == "fail",
            sent=time.time(),
        )
        self.jobs.append(job)
        name = f"chaos {self._began:.0f} {job.name}"  # names of an earlier run may stand
        answer = self._send("POST", "/jobs", {"name": name, **body})
        if answer is not None and answer.status_code == 201:
            job.acknowledged = time.time()
            job.id = answer.json()["id"]
        elif answer is not None and answer.status_code < 500:
            raise RuntimeError(f"the load itself is wrong: {answer.status_code} {answer.json()}")

    def _delete(self) -> None:
        living = [job for job in self.jobs if job.id is not None and job.delete_sent is None]
        if len(living) < self._at_once:
            return
        job = self._rng.choice(living)
        job.delete_sent = time.time()
        answer = self._send("DELETE", f"/jobs/{job.id}", None)
        if answer is not None and answer.status_code == 200:
            job.deleted = time.time()

    def _send(self, method: str, path: str, body: Any) -> Answer | None:
        try:
            return self._ask(method, path, body, ASK)
        except OSError:  # no answer: whether it was done is not known (requests' errors are these)
            return None
