"""The load: jobs of all kinds, made, changed, paused, run and deleted all the while
by a client that keeps a diary."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from chaos.model import Asked, Change, Job

TRUTH = "/var/tmp/dcron-truth"
ASK = 10.0  # seconds until the client gives a request up
FAILURES = 1  # first attempts that a "failing" job fails
SECRET, VALUE = "CHAOS_SECRET", "known to jobs only"
ARGUMENTS = ["one", "two words"]
LIMITS = {"memory_bytes": 64 << 20, "processes": 20, "output_bytes": 1 << 20, "cpu_percent": 100}
# Minutes that are even there are odd in UTC: it is ahead by 5 hours and 45 minutes, all year.
ZONE = "Asia/Kathmandu"

# Each line of the truth is one write of a few bytes to a file opened for appending: lines never
# mix. The text itself is one line, since a command must be. A process that lacks what its job gives
# it says so: W, and what.
_TEXT = (
    'say() {{ echo "$* $(date +%s.%N)" >> {truth}/$(hostname); }}; '
    "say S $DCRON_JOB_ID $DCRON_SCHEDULED_AT $DCRON_ATTEMPT $DCRON_EPOCH $DCRON_RUN_ID {revision}; "
    "{checks}left={seconds}; "
    "while [ $left -gt 0 ]; do sleep 1; left=$((left - 1)); say B $DCRON_RUN_ID; done; "
    "say E $DCRON_RUN_ID; "
    "[ $DCRON_ATTEMPT -gt {failures} ]"
)
_CHECK = '[ "{is_}" = "{should}" ] || say W $DCRON_RUN_ID {what}; '


class Answer(Protocol):
    """What is needed of an HTTP answer."""

    status_code: int

    def json(self) -> Any: ...


Ask = Callable[[str, str, Any, float], Answer]  # method, path, body, seconds


def script(
    seconds: int,
    failures: int = 0,
    revision: int = 0,
    *,
    arguments: bool = False,
    secret: bool = False,
) -> str:
    """What a job runs: it tells its truth, lives for `seconds`, fails its first attempts.
    `arguments`, `secret`: what it is to be given."""
    checks = ""
    if arguments:
        should = "|".join((*ARGUMENTS, str(len(ARGUMENTS))))
        checks += _CHECK.format(is_="$1|$2|$#", should=should, what="arguments")
    if secret:
        checks += _CHECK.format(is_=f"${SECRET}", should=VALUE, what="secret")
    return _TEXT.format(
        truth=TRUTH, seconds=seconds, failures=failures, revision=revision, checks=checks
    )


def kinds(rng: random.Random, now: float) -> list[tuple[str, dict[str, Any]]]:
    """One body of each kind of job, with a name for the kind."""
    every, second = "* * * * *", f"{rng.randrange(2)}-59/2 * * * *"
    later = datetime.fromtimestamp((now // 60 + rng.randrange(2, 5)) * 60, UTC)
    return [
        ("quick", _command(every, script(0))),
        ("file", _file(every, script(rng.randrange(1, 4), arguments=True), arguments=ARGUMENTS)),
        ("long", _command(every, script(rng.randrange(20, 50)))),
        ("longer", _command(every, script(80))),
        ("overlapping", _command(every, script(80), concurrency="allow")),
        ("failing", _command(every, script(1, FAILURES), retries=2, retry_delay_seconds=3)),
        ("too long", _command(every, script(40), timeout_seconds=15)),
        ("alternate", _command(second, script(5))),
        ("everywhere", _command(every, script(2), placement={"labels": {}, "on": "all"})),
        ("once only", _command(every, script(15), on_worker_loss="fail")),
        ("isolated", _command(every, script(3), on_isolation="run")),
        ("replaced", _command(every, script(70), concurrency="replace")),
        ("node", _command(every, script(3), placement={"labels": {"kind": "node"}})),
        ("caught up", _command(every, script(2), catch_up="all")),
        ("never late", _command(every, script(2), catch_up="none")),
        ("prompt", _command(every, script(4), starting_deadline_seconds=45)),
        ("zoned", _command("*/2 * * * *", script(1), timezone=ZONE)),
        ("limited", _command(every, script(2), limits=LIMITS)),
        ("secret", _command(every, script(2, secret=True), secrets=[SECRET])),
        ("binary", _file(second, script(rng.randrange(1, 4)), kind="binary")),
        ("one-shot", _command(f"@at {later:%Y-%m-%dT%H:%M:%SZ}", script(2))),
    ]


def _command(schedule: str, text: str, **more: Any) -> dict[str, Any]:
    return {"executable": text, "schedule": schedule, "type": "command", **more}


def _file(schedule: str, text: str, kind: str = "script", **more: Any) -> dict[str, Any]:
    return {"executable": _encoded(text), "schedule": schedule, "type": kind, **more}


def _encoded(text: str) -> str:
    """A file that runs this text."""
    return base64.b64encode(f"#!/bin/sh\n{text}\n".encode()).decode()


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
                self.act()
        except BaseException as error:  # noqa: BLE001  # `stop` raises it: no load, no proof
            self.failure = error

    def act(self) -> None:
        """What is done every few seconds."""
        if len(self.jobs) < self._most:
            self._make()
        for often, what in (
            (0.4, self._delete),
            (0.4, self._change),
            (0.4, self._pause_or_resume),
            (0.3, self._ask_for_a_run),
        ):
            if self._rng.random() < often:
                what()

    def make_secret(self) -> None:
        """What some jobs are given, before the first of them; RuntimeError if that is refused."""
        answer = self._send("PUT", f"/secrets/{SECRET}", {"value": VALUE})
        if answer is None or answer.status_code not in (200, 201):
            said = "no answer" if answer is None else f"{answer.status_code} {answer.json()}"
            raise RuntimeError(f"no secret for the load: {said}")

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
            isolates=body.get("on_isolation") == "run",
            replaces=body.get("concurrency") == "replace",
            file=body["type"] != "command",
            arguments="arguments" in body,
            secret="secrets" in body,
            catch_up=body.get("catch_up", "latest"),
            timeout=body.get("timeout_seconds"),
            retries=body.get("retries", 0),
            retry_delay=body.get("retry_delay_seconds", 0.0),
            failures=FAILURES if kind == "failing" else 0,
            timezone=body.get("timezone", "UTC"),
            kind=body.get("placement", {}).get("labels", {}).get("kind", ""),
            deadline=body.get("starting_deadline_seconds", 600),
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

    def _living(self) -> list[Job]:
        return [job for job in self.jobs if job.id is not None and job.delete_sent is None]

    def _steady(self) -> list[Job]:
        """Those that fire again and again."""
        return [job for job in self._living() if not job.schedule.startswith("@at ")]

    def _change(self) -> None:
        """Another text, and at times another schedule; first what was not answered."""
        steady = self._steady()
        unanswered = [job for job in steady if job.newest.acknowledged is None]
        if not steady:
            return
        job = self._rng.choice(unanswered or steady)
        newest = job.newest
        change = replace(newest, sent=time.time(), acknowledged=None, revision=newest.revision + 1)
        if not unanswered:
            change.schedule = self._rng.choice(["* * * * *", "*/2 * * * *", change.schedule])
        text = script(
            self._rng.randrange(1, 10),
            revision=change.revision,
            arguments=job.arguments,
            secret=job.secret,
        )
        executable = _encoded(text) if job.file else text
        body = {"executable": executable, "schedule": change.schedule, "paused": change.paused}
        self._patch(job, change, body)

    def _pause_or_resume(self) -> None:
        """At most one in three is paused at a time."""
        answered = [job for job in self._steady() if job.newest.acknowledged is not None]
        paused = [job for job in answered if job.newest.paused]
        pause = len(paused) < len(answered) // 3 and self._rng.random() < 0.5
        choice = [job for job in answered if job.newest.paused is not pause]
        if choice:
            job = self._rng.choice(choice)
            change = replace(job.newest, sent=time.time(), paused=pause, acknowledged=None)
            self._patch(job, change, {"paused": pause})

    def _patch(self, job: Job, change: Change, body: dict[str, Any]) -> None:
        job.changes.append(change)
        answer = self._send("PATCH", f"/jobs/{job.id}", body)
        if answer is not None and answer.status_code == 200:
            change.acknowledged = time.time()
        elif answer is not None and answer.status_code < 500:
            raise RuntimeError(f"the load itself is wrong: {answer.status_code} {answer.json()}")

    def _ask_for_a_run(self) -> None:
        """Run a job now, and at times end that run."""
        # One that is replaced each minute has no turn for it (docs/api.md).
        living = [job for job in self._steady() if not (job.everywhere or job.replaces)]
        if not living or not 1 < time.time() % 60 < 59 - ASK:
            return  # a run that is asked for is known by its second
        job = self._rng.choice(living)
        asked = Asked(time.time())
        job.asked.append(asked)
        answer = self._send("POST", f"/jobs/{job.id}/runs", {})
        if answer is None or answer.status_code != 202:
            return  # without a holder it is 409
        asked.run = answer.json()["runs"][0]["run_id"]
        if self._rng.random() < 0.3:
            asked.killed = True
            answer = self._send("POST", f"/jobs/{job.id}/runs/{asked.run}/kill", {})
            if answer is not None and answer.status_code == 202:
                asked.kill_acknowledged = time.time()

    def _delete(self) -> None:
        living = self._living()
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
