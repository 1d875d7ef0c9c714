"""People at the deployed cluster: logins and rights, secrets, output while it comes, the command
line; all through the load balancer and TLS."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.system.cluster import HOSTS, NEVER, Cluster, lab, needs_cluster, needs_lab, wait_for

pytestmark = needs_cluster

A_RUN = 60.0  # seconds until a run that was asked for has ended and is recorded
WHAT_A_PERSON_SEES = "/etc/cron.d /var/log /var/lib/dcron-worker /var/lib/dcron-launcher /run/dcron"


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.clean()


def idle(cluster: Cluster, executable: str, **more: Any) -> str:
    """A command that runs when it is asked to; the job's id."""
    body = {"executable": executable, "type": "command", "schedule": NEVER, **more}
    made: str = cluster.post(body)["id"]
    return made


def run_now(cluster: Cluster, job: str) -> str:
    """The id of a run that was asked for as soon as the job stands somewhere."""
    answers: list[requests.Response] = []

    def asked() -> bool:
        answers.append(cluster.ask("POST", f"/jobs/{job}/runs", {}))
        return answers[-1].status_code != 409

    wait_for(f"job {job} can be run", asked, A_RUN)
    assert answers[-1].status_code == 202, answers[-1].text
    run: str = answers[-1].json()["run_id"]
    return run


def ended(cluster: Cluster, job: str) -> dict[str, Any]:
    """Its one run, when that is over."""
    wait_for(f"job {job} has run", lambda: bool(cluster.ended(job)), A_RUN)
    return cluster.ended(job)[-1]


def test_a_person_logs_in_may_do_what_the_role_allows_and_logs_out(cluster: Cluster) -> None:
    name, password = f"person-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    made = cluster.ask("POST", "/users", {"name": name, "role": "viewer"})
    assert made.status_code == 201, made.text
    assert cluster.ask("PUT", f"/users/{name}/password", {"password": password}).status_code == 204
    wrong = cluster.ask("POST", "/login", {"name": name, "password": password + "x"})
    assert wrong.status_code == 401
    session = cluster.ask("POST", "/login", {"name": name, "password": password})
    assert session.status_code == 200, session.text

    def ask(method: str, path: str, body: Any = None) -> int:
        headers = {"Authorization": f"Bearer {session.json()['token']}"}
        answer = requests.request(
            method, cluster.url + path, json=body, headers=headers, verify=cluster.ca, timeout=15
        )
        return answer.status_code

    job = idle(cluster, "true")
    assert ask("GET", f"/jobs/{job}") == 200
    assert ask("DELETE", f"/jobs/{job}") == 403
    assert ask("GET", "/audit") == 403
    assert ask("POST", "/logout") == 204
    assert ask("GET", f"/jobs/{job}") == 401
    told = cluster.get(f"/audit?user={name}")
    assert {row["action"] for row in told} >= {"login", "revoke"}


def test_output_comes_while_the_run_goes_on(cluster: Cluster) -> None:
    job = idle(cluster, "for n in 1 2 3 4 5 6 7 8; do echo line $n; sleep 1; done")
    run = run_now(cluster, job)
    wait_for("the run has begun", lambda: bool(cluster.runs(job)), A_RUN, pause=0.1)
    came: list[tuple[float, bytes]] = []
    with requests.get(
        f"{cluster.url}/jobs/{job}/runs/{run}/output?follow=true",
        headers={"Authorization": f"Bearer {os.environ['DCRON_TOKEN']}"},
        verify=cluster.ca,
        stream=True,
        timeout=A_RUN,
    ) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Dcron-Output"] == "followed"
        came += [(time.monotonic(), piece) for piece in answer.iter_content(None)]
    text = b"".join(piece for _, piece in came).decode()
    assert [f"line {n}" for n in range(1, 9)] == [
        line for line in text.splitlines() if line.startswith("line ")
    ]
    with_lines = [at for at, piece in came if b"line " in piece]
    assert with_lines[-1] - with_lines[0] > 3.0, "it came in one piece, at the end"


@needs_lab
def test_a_secret_reaches_its_job_and_no_file_log_or_crontab_of_any_host(
    cluster: Cluster,
) -> None:
    name, value = f"PLANTED_{secrets.token_hex(4).upper()}", secrets.token_urlsafe(24)
    assert cluster.ask("PUT", f"/secrets/{name}", {"value": value}).status_code == 201
    job = idle(cluster, f'printf "%s" "${name}" | sha256sum; echo "${name}"', secrets=[name])
    try:
        run_now(cluster, job)
        found = ended(cluster, job)
        assert found["state"] == "succeeded", found
        digest = subprocess.run(
            ["sha256sum"], input=value.encode(), capture_output=True, check=True
        ).stdout.split()[0]
        assert digest.decode() in found["output_tail"]
        assert value not in found["output_tail"]
        look = (
            f"grep -rlF -e '{value}' {WHAT_A_PERSON_SEES} 2>/dev/null;"
            f" journalctl --no-pager | grep -cF -e '{value}'; true"
        )
        assert {host: lab("exec", host, look).split() for host in HOSTS} == dict.fromkeys(
            HOSTS, ["0"]
        )
    finally:
        cluster.delete(job)
        assert cluster.ask("DELETE", f"/secrets/{name}").status_code == 204


def test_the_command_line_finds_and_mends_a_job_that_fails(
    cluster: Cluster, tmp_path: Path
) -> None:
    def dcron(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("dcron")), *words],
            env={**os.environ, "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout

    name = f"report-{secrets.token_hex(4)}"
    dcron("job", "add", "--name", name, "--schedule", NEVER, "--command", "dat --utc")
    cluster.made.append(json.loads(dcron("job", "show", name, "--json"))["id"])
    dcron("job", "run", name, "--wait", code=1)
    assert "not found" in dcron("run", "logs", name)
    dcron("job", "edit", name, "--command", "date --utc")
    dcron("job", "run", name, "--wait")
    workers = json.loads(dcron("worker", "list", "--json"))
    assert {worker["name"] for worker in workers} == set(HOSTS)


def test_the_cluster_says_that_nothing_is_wrong(cluster: Cluster) -> None:
    wait_for("nothing is wrong", lambda: cluster.get("/cluster")["problems"] == [], 60)
    shown = cluster.get("/cluster")
    assert (shown["workers"]["online"], shown["isolated"]) == (len(HOSTS), [])
