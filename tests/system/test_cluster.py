"""The deployed cluster, through its virtual address: what is posted runs from a real crontab.

All jobs that wait for a minute are posted at once, so that they wait for the same one. Times are
printed (pytest -rP shows them); only the bounds that the product promises are asserted.
"""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.system.cluster import (
    HOSTS,
    NEVER,
    Cluster,
    base64_of,
    crontabs,
    figure,
    hosts_with_job,
    moment,
    needs_cluster,
    next_minute,
    script,
    wait_for,
)

pytestmark = needs_cluster

SEED_KINDS = ("command", "script", "binary")
# Seconds, for a machine that is busy with five hosts. How long each thing took is printed.
IN_CRONTAB = 30.0  # from the answer to the line in /etc/cron.d, and until it is gone
TOLD = 60.0  # from a run's row to its job's status
A_MINUTE = 150.0  # until something due at the next full minute has run, on a busy machine
MOVED = 90.0
ANSWER = {"id", "job_id", "scheduled_at", "attempt", "trigger", "state", "worker"} | {
    *("started_at", "finished_at", "exit_code", "signal", "reason", "isolated"),
    *("output_tail", "output_url"),
}


@dataclass(frozen=True)
class Posted:
    """The jobs of this module: what the API answered, and how soon they stood where."""

    jobs: dict[str, dict[str, Any]]
    stood: dict[str, list[str]]
    took: float

    def id(self, name: str) -> str:
        found: str = self.jobs[name]["id"]
        return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.clean()


@pytest.fixture(scope="module")
def posted(cluster: Cluster) -> Posted:
    """The seed's three kinds, a script that fails, a one-shot; all due at the same minute."""
    at = next_minute()
    bodies: dict[str, dict[str, Any]] = {
        "command": {"executable": "echo on $(hostname)", "schedule": "* * * * *"}
        | {"type": "command"},
        "script": script("#!/bin/sh\necho a script of job $DCRON_JOB_ID\n", filename="hello.sh"),
        "binary": {
            "executable": base64_of(Path("/usr/bin/id").read_bytes()),
            "schedule": "*/1 * * * *",
            "type": "binary",
            "filename": "id",
            "arguments": ["-un"],
        },
        "failing": script("#!/bin/sh\necho no good >&2\nexit 3\n"),
        "one-shot": {
            "executable": "echo once",
            "schedule": f"@at {at:%Y-%m-%dT%H:%M:%SZ}",
            "type": "command",
        },
    }
    jobs = {name: cluster.post(body) for name, body in bodies.items()}
    wanted = {job["id"] for job in jobs.values()}
    seen: dict[str, set[str]] = {}

    def all_stand_once() -> bool:
        seen.update(crontabs())
        return all(sum(job in ids for ids in seen.values()) == 1 for job in wanted)

    took = wait_for("five jobs stand in a crontab each", all_stand_once, IN_CRONTAB)
    stood = {job: [host for host, ids in seen.items() if job in ids] for job in wanted}
    return Posted(jobs, stood, took)


@pytest.fixture(scope="module")
def ran(cluster: Cluster, posted: Posted) -> dict[str, dict[str, Any]]:
    """The first run of each job that came to an end."""

    def all_ended() -> bool:
        return all(cluster.ended(job["id"]) for job in posted.jobs.values())

    wait_for("all five jobs have run", all_ended, A_MINUTE, pause=1)
    return {name: cluster.ended(job["id"])[-1] for name, job in posted.jobs.items()}


def status_becomes(cluster: Cluster, job_id: str, status: str) -> None:
    """A run's report and its job's status are one transaction, but the answer may be older."""
    wait_for(
        f"job {job_id} is {status}", lambda: cluster.job(job_id)["status"] == status, IN_CRONTAB
    )


@pytest.mark.parametrize("kind", SEED_KINDS)
def test_the_answer_to_a_post_has_the_seeds_fields_first(posted: Posted, kind: str) -> None:
    job = posted.jobs[kind]
    assert list(job)[:5] == ["id", "status", "executable", "schedule", "type"]
    assert job["id"].isdigit()
    assert job["status"] == "scheduled"
    assert job["type"] == kind


@pytest.mark.parametrize("kind", ["script", "binary"])
def test_a_file_is_shown_by_its_address_in_the_object_store(posted: Posted, kind: str) -> None:
    assert urlsplit(posted.jobs[kind]["executable"]).scheme in ("http", "https")


@pytest.mark.parametrize("name", [*SEED_KINDS, "failing", "one-shot"])
def test_within_five_seconds_a_job_stands_in_the_crontab_of_exactly_one_host(
    posted: Posted, name: str
) -> None:
    figure("all stood after", f"{posted.took:.1f} s")
    assert len(posted.stood[posted.id(name)]) == 1


@pytest.mark.parametrize("kind", SEED_KINDS)
def test_a_job_runs_at_its_minute(ran: dict[str, dict[str, Any]], kind: str) -> None:
    run = ran[kind]
    due, started, finished = (
        moment(run[key]) for key in ("scheduled_at", "started_at", "finished_at")
    )
    figure(f"the {kind} started after its minute by", started - due)
    assert due.second == 0
    assert timedelta(0) <= started - due < timedelta(minutes=1)
    assert finished >= started


@pytest.mark.parametrize(
    ("kind", "output"),
    [("command", "on {worker}"), ("script", "a script of job {job_id}"), ("binary", "dcron-job")],
)
def test_a_run_shows_host_times_exit_code_and_output(
    ran: dict[str, dict[str, Any]], kind: str, output: str
) -> None:
    run = ran[kind]
    assert set(run) >= ANSWER
    assert run["state"] == "succeeded"
    assert run["exit_code"] == 0
    assert run["worker"] in HOSTS
    assert run["output_tail"].strip() == output.format(**run)


@pytest.mark.parametrize("kind", SEED_KINDS)
def test_a_job_that_ran_stays_scheduled_and_shows_its_last_run(
    cluster: Cluster, posted: Posted, ran: dict[str, dict[str, Any]], kind: str
) -> None:
    job = cluster.job(posted.id(kind))
    assert job["status"] == "scheduled"
    assert moment(job["last_run"]["scheduled_at"]) >= moment(ran[kind]["scheduled_at"])
    assert job["worker"] in HOSTS


def test_no_minute_has_two_runs_of_a_job(
    cluster: Cluster, posted: Posted, ran: dict[str, dict[str, Any]]
) -> None:
    assert ran
    for job in posted.jobs.values():
        minutes = [run["scheduled_at"] for run in cluster.runs(job["id"])]
        assert len(minutes) == len(set(minutes)), minutes


def test_the_list_shows_every_job(cluster: Cluster, posted: Posted) -> None:
    listed = {job["id"] for job in cluster.get("/jobs")}
    assert listed >= {job["id"] for job in posted.jobs.values()}


def test_a_failing_script_makes_its_job_error(
    cluster: Cluster, posted: Posted, ran: dict[str, dict[str, Any]]
) -> None:
    assert (ran["failing"]["state"], ran["failing"]["exit_code"]) == ("failed", 3)
    assert "no good" in ran["failing"]["output_tail"]
    status_becomes(cluster, posted.id("failing"), "error")


def test_a_one_shot_is_finished_after_its_run(
    cluster: Cluster, posted: Posted, ran: dict[str, dict[str, Any]]
) -> None:
    assert ran["one-shot"]["output_tail"].strip() == "once"
    status_becomes(cluster, posted.id("one-shot"), "finished")
    job = cluster.job(posted.id("one-shot"))
    assert job["next_run_at"] is None
    assert len(cluster.runs(posted.id("one-shot"))) == 1


def test_a_stored_file_can_be_downloaded(cluster: Cluster, posted: Posted) -> None:
    answer = cluster.ask("GET", f"/jobs/{posted.id('binary')}/executable")
    assert answer.status_code == 200
    assert answer.content == Path("/usr/bin/id").read_bytes()


def test_a_deleted_job_is_out_of_all_crontabs_within_five_seconds(cluster: Cluster) -> None:
    job_id = cluster.post({"executable": "true", "schedule": NEVER, "type": "command"})["id"]
    wait_for(f"job {job_id} stands", lambda: len(hosts_with_job(job_id)) == 1, IN_CRONTAB)
    assert cluster.delete(job_id)["status"] == "finished"
    wait_for(f"job {job_id} is gone", lambda: not hosts_with_job(job_id), IN_CRONTAB)
    assert cluster.job(job_id)["status"] == "finished"


def telling_label(cluster: Cluster) -> tuple[str, str, set[str]]:
    """A label that some workers carry and others do not: name, value, who carries it."""
    workers = cluster.workers()
    for one in workers.values():
        for name, value in one["labels"].items():
            having = {w for w, each in workers.items() if each["labels"].get(name) == value}
            if having != set(workers):
                return name, value, having
    raise AssertionError("no label tells the workers apart: set dcron_worker_labels")


def test_a_job_with_labels_stands_only_where_they_are_carried(cluster: Cluster) -> None:
    name, value, having = telling_label(cluster)
    bodies = [
        {"executable": "true", "schedule": NEVER, "type": "command"}
        | {"placement": {"labels": {name: value}}}
        for _ in range(3)
    ]
    made = [cluster.post(body)["id"] for body in bodies]

    def placed() -> bool:
        return all(len(hosts_with_job(job_id)) == 1 for job_id in made)

    wait_for("three jobs with labels stand", placed, 2 * IN_CRONTAB)
    for job_id in made:
        assert set(hosts_with_job(job_id)) <= having


def test_a_job_on_all_stands_on_every_matching_host(cluster: Cluster) -> None:
    name, value, having = telling_label(cluster)
    placement = {"labels": {name: value}, "on": "all"}
    body = {"executable": "true", "schedule": NEVER, "type": "command", "placement": placement}
    job_id = cluster.post(body)["id"]
    wait_for("it stands on all", lambda: set(hosts_with_job(job_id)) == having, IN_CRONTAB)


def test_a_job_whose_labels_nobody_carries_stands_nowhere_and_is_kept(cluster: Cluster) -> None:
    placement = {"labels": {"nobody-carries": "this"}}
    body = {"executable": "true", "schedule": NEVER, "type": "command", "placement": placement}
    job_id = cluster.post(body)["id"]
    other = cluster.post({"executable": "true", "schedule": NEVER, "type": "command"})["id"]
    # The later one stands: then the leader has seen both.
    wait_for("the later job stands", lambda: len(hosts_with_job(other)) == 1, IN_CRONTAB)
    assert hosts_with_job(job_id) == []
    assert cluster.job(job_id)["status"] == "scheduled"
    assert cluster.job(job_id)["worker"] is None


def test_a_drained_worker_loses_its_jobs_and_gets_none_until_it_is_resumed(
    cluster: Cluster,
) -> None:
    job_id = cluster.post({"executable": "true", "schedule": NEVER, "type": "command"})["id"]
    wait_for("the job stands", lambda: len(hosts_with_job(job_id)) == 1, IN_CRONTAB)
    (drained,) = hosts_with_job(job_id)
    try:
        assert cluster.steer(drained, "drain")["drained"] is True

        def moved() -> bool:
            now = hosts_with_job(job_id)
            return len(now) == 1 and now != [drained]

        wait_for(f"the job left {drained}", moved, MOVED)
        made = [
            cluster.post({"executable": "true", "schedule": NEVER, "type": "command"})["id"]
            for _ in range(6)
        ]

        def all_placed() -> bool:
            found = crontabs()
            return all(any(one in ids for ids in found.values()) for one in made)

        wait_for("six more jobs stand", all_placed, 2 * IN_CRONTAB)
        assert not set(made) & crontabs([drained])[drained]
    finally:
        assert cluster.steer(drained, "resume")["drained"] is False


def test_five_workers_are_shown_online(cluster: Cluster) -> None:
    assert {name: one["state"] for name, one in cluster.workers().items()} == dict.fromkeys(
        HOSTS, "online"
    )


def test_plain_http_is_redirected_to_https(cluster: Cluster) -> None:
    host = urlsplit(cluster.url).hostname
    answer = requests.get(f"http://{host}/jobs", allow_redirects=False, timeout=10)
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"https://{host}/jobs"


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_a_right_token_the_answer_is_401(cluster: Cluster, token: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for method, path in (("GET", "/jobs"), ("POST", "/jobs"), ("GET", "/nowhere")):
        answer = requests.request(
            method, cluster.url + path, headers=headers, verify=cluster.ca, timeout=10
        )
        assert answer.status_code == 401, (method, path)
        assert answer.headers["Content-Type"].startswith("application/problem+json")


def raw_answer(cluster: Cluster, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """The answer to a POST /jobs of these very bytes: status and Content-Type."""
    address = urlsplit(cluster.url)
    assert address.hostname
    tls = ssl.create_default_context(cafile=cluster.ca)
    connection = http.client.HTTPSConnection(
        address.hostname, address.port or 443, context=tls, timeout=10
    )
    try:
        connection.putrequest("POST", "/jobs")
        token = os.environ["DCRON_TOKEN"]
        more = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for name, value in {**more, **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", "")
    finally:
        connection.close()


def test_a_body_that_is_too_large_is_refused_at_its_beginning(cluster: Cluster) -> None:
    # As much of it as the load balancer reads before it decides.
    status, kind = raw_answer(cluster, {"Content-Length": str(2**30)}, b" " * 2**14)
    assert (status, kind) == (413, "application/problem+json")


def test_a_chunked_body_is_refused(cluster: Cluster) -> None:
    status, kind = raw_answer(cluster, {"Transfer-Encoding": "chunked"}, b"2\r\n{}\r\n0\r\n\r\n")
    assert (status, kind) == (411, "application/problem+json")
