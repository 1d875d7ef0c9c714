"""Hosts lose their power: jobs outlive them, the API comes back, nothing acknowledged is lost.

The hosts are those of the lab that LAB names. They are up again when a test ends, however it ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from tests.system.cluster import (
    CONTROL,
    HOSTS,
    NEVER,
    Cluster,
    figure,
    hosts_with_job,
    lab,
    leaders,
    moment,
    needs_cluster,
    needs_lab,
    script,
    wait_for,
)

pytestmark = [needs_cluster, needs_lab]

# Seconds, for a machine that is busy with five hosts. How long each thing took is printed.
MOVED = 90.0  # until a dead host's job stands elsewhere
EMPTY = 90.0  # until drained workers have no job, and until resumed ones have some
API_BACK = 45.0  # seconds after a power cut until the API answers, and goes on answering
WATCHED = 60.0  # how long after a cut every answer is looked at
A_MINUTE = 150.0
RECOVERED = 240.0
LONG = "#!/bin/sh\necho began on $(hostname)\nsleep 20\necho ended on $(hostname)\n"


def on_kind(kind: str) -> dict[str, Any]:
    """A placement on the lab's control hosts or on its nodes, which have a label for it."""
    return {"labels": {"kind": kind}}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.clean()


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> Iterator[None]:
    """Each test begins with five healthy hosts, and leaves them so."""
    wait_for("all is well before the test", cluster.is_well, RECOVERED, pause=1)
    yield
    lab("start", *HOSTS)
    wait_for("all is well after the test", cluster.is_well, RECOVERED, pause=1)


def test_a_job_outlives_the_host_that_holds_it_and_its_script_is_resumed(
    cluster: Cluster,
) -> None:
    # On a host that can be nobody's leader.
    job_id = cluster.post(script(LONG, catch_up="none", placement=on_kind("node")))["id"]

    def running() -> bool:
        return any(run["state"] == "running" for run in cluster.runs(job_id))

    wait_for("the script runs", running, A_MINUTE)
    lost = cluster.runs(job_id)[0]
    victim: str = lost["worker"]
    survivors = [host for host in HOSTS if host != victim]
    assert hosts_with_job(job_id) == [victim]
    figure("the script runs on", victim)

    lab("kill", victim)
    wait_for(
        "the job stands on another host",
        lambda: len(hosts_with_job(job_id, survivors)) == 1,
        MOVED,
    )

    def resumed() -> list[dict[str, Any]]:
        return [
            run
            for run in cluster.runs(job_id)
            if run["scheduled_at"] == lost["scheduled_at"] and run["worker"] in survivors
        ]

    wait_for("the script is resumed", lambda: bool(resumed()), A_MINUTE)
    assert resumed()[0]["trigger"] == "resume"
    wait_for(
        "the resumed script has ended",
        lambda: resumed()[0]["state"] == "succeeded",
        A_MINUTE,
        pause=1,
    )
    (again,) = resumed()
    assert f"ended on {again['worker']}" in again["output_tail"]
    assert again["attempt"] == lost["attempt"] + 1
    (first,) = [run for run in cluster.runs(job_id) if run["id"] == lost["id"]]
    assert first["state"] == "lost"

    booted, power_on = datetime.now(UTC), time.monotonic()
    lab("start", victim)
    wait_for("all is well again", cluster.is_well, RECOVERED, pause=1)
    figure(f"{victim}: power on to healthy", f"{time.monotonic() - power_on:.1f} s")
    wait_for("the job stands on one host", lambda: len(hosts_with_job(job_id)) == 1, MOVED)
    for run in cluster.runs(job_id):
        if run["worker"] == victim and run["id"] != lost["id"]:
            assert moment(run["scheduled_at"]) >= booted, f"stale launch: {run}"
    keys = [(run["scheduled_at"], run["attempt"]) for run in cluster.runs(job_id)]
    assert len(keys) == len(set(keys)), keys
    cluster.delete(job_id)


class Client(threading.Thread):
    """Posts jobs all the while; notes which were acknowledged and how many were not."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(name="client")
        self._cluster = cluster
        self._over = threading.Event()
        self.acknowledged: list[str] = []
        self.refused = 0

    def run(self) -> None:
        body = {"executable": "true", "schedule": NEVER, "type": "command"}
        while not self._over.wait(1):
            try:
                answer = self._cluster.ask("POST", "/jobs", body, seconds=10)
            except requests.RequestException:
                self.refused += 1
                continue
            if answer.status_code == 201:
                self.acknowledged.append(answer.json()["id"])
                self._cluster.made.append(self.acknowledged[-1])
            else:
                self.refused += 1

    def stop(self) -> None:
        """End the thread; it is in no request any more."""
        self._over.set()
        self.join(30)
        assert not self.is_alive()


def silence(cluster: Cluster, cut: float) -> float:
    """Ask for WATCHED seconds after a cut; seconds from it until the API answers for good.

    `cut` in monotonic seconds. Infinite if the last answer still failed.
    """
    back = 0.0
    while time.monotonic() - cut < WATCHED:
        if not cluster.answers():
            back = float("inf")
        elif back == float("inf"):
            back = time.monotonic() - cut
        time.sleep(0.2)  # between two of the questions that the deadline bounds
    return back


def bring(cluster: Cluster, job_id: str, host: str) -> None:
    """Make the job stand on this control host while the other two may have it as well."""
    others = [each for each in CONTROL if each != host]

    def alone() -> bool:
        jobs = {name: one["jobs"] for name, one in cluster.workers().items()}
        return not any(jobs[each] for each in others) and hosts_with_job(job_id) == [host]

    def open_again() -> bool:
        workers = cluster.workers()
        return all(workers[each]["jobs"] for each in others)

    try:
        for each in others:
            cluster.steer(each, "drain")
        wait_for(f"the job stands on {host}, the others are empty", alone, EMPTY)
    finally:
        for each in others:
            cluster.steer(each, "resume")
    # The client's jobs go there: the manager knows that they may be used.
    wait_for("the others have jobs again", open_again, EMPTY)
    assert hosts_with_job(job_id) == [host], "a job that may stay is not moved"


def cut_and_measure(cluster: Cluster, job_id: str, host: str, bound: float) -> float:
    """Cut the power of `host`; seconds from then until the job stood on another host, which are
    no more than `bound`. The API has to be back in time, too."""
    survivors = [each for each in HOSTS if each != host]
    cut = time.monotonic()
    lab("kill", host)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(silence, cluster, cut)
        wait_for(
            f"without {host}: the job stands",
            lambda: len(hosts_with_job(job_id, survivors)) == 1,
            bound - (time.monotonic() - cut),
        )
        took = time.monotonic() - cut
        away = asked.result()
    figure(f"{host} cut: the API answers for good after", f"{away:.1f} s")
    assert away < API_BACK
    return took


def test_every_control_host_may_lose_its_power_in_turn(cluster: Cluster) -> None:
    every_minute = {"executable": "date", "schedule": "* * * * *", "type": "command"}
    firing = cluster.post({**every_minute, "placement": on_kind("control")})["id"]
    wait_for("the job stands", lambda: len(hosts_with_job(firing)) == 1, MOVED)
    # Leaders first: the first cut then hits one for certain.
    led_at_first = leaders()
    led_when_cut: dict[str, list[str]] = {}
    client = Client(cluster)
    client.start()
    try:
        for host in sorted(CONTROL, key=lambda each: not led_at_first[each]):
            bring(cluster, firing, host)
            led = led_when_cut[host] = leaders()[host]
            cut_at = datetime.now(UTC)
            took = cut_and_measure(cluster, firing, host, MOVED)
            what = " and ".join(led) or "nothing"
            figure(f"{host} held the job, led {what}: it stands elsewhere after", f"{took:.1f} s")

            def fired(since: datetime = cut_at) -> bool:
                try:
                    runs = cluster.runs(firing)
                except requests.RequestException:
                    return False
                return any(
                    run["state"] == "succeeded" and moment(run["scheduled_at"]) > since
                    for run in runs
                )

            wait_for(f"the job fired with {host} down", fired, A_MINUTE, pause=1)
            booted = time.monotonic()
            lab("start", host)
            wait_for(f"{host} is back", cluster.is_well, RECOVERED, pause=1)
            figure(f"{host}: power on to healthy", f"{time.monotonic() - booted:.1f} s")
    finally:
        client.stop()
    figure("jobs acknowledged meanwhile", len(client.acknowledged))
    figure("posts not acknowledged", client.refused)
    assert any(led_when_cut.values()), "no cut hit a leader"
    assert client.acknowledged
    missing = set(client.acknowledged) - {job["id"] for job in cluster.get("/jobs")}
    assert not missing
