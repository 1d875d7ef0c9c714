"""`dcron doctor` on a deployed cluster: quiet where all is well, clear where something is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.cluster import CONTROL, HOSTS, lab, needs_cluster, needs_lab, wait_for

pytestmark = [needs_cluster, needs_lab]

WELL = 150.0  # seconds until crond has fired again after it was started


def doctor(host: str) -> dict[str, Any]:
    """What it says on a host. Its exit code has to agree, and it has to end in time."""
    answer = lab("exec", host, "timeout 40 dcron doctor --json; echo $?", seconds=60)
    text, _, code = answer.rstrip().rpartition("\n")
    told: dict[str, Any] = json.loads(text)
    assert code == ("0" if told["well"] else "1")
    return told


def ill(host: str) -> dict[str, str]:
    """What is ill on a host, and the remedy."""
    found = [one for one in doctor(host)["findings"] if one["level"] == "ill"]
    return {one["what"]: one["remedy"] for one in found}


@pytest.fixture(params=["node1", "ctl1"])
def crond_stopped(request: pytest.FixtureRequest) -> Iterator[str]:
    host: str = request.param
    lab("exec", host, "systemctl stop cron")
    yield host
    lab("exec", host, "systemctl start cron")
    wait_for(f"{host} is well again", lambda: ill(host) == {}, WELL, pause=1)


@pytest.mark.parametrize("host", HOSTS)
def test_where_all_is_well_nothing_is_ill(host: str) -> None:
    wait_for(f"nothing is ill on {host}", lambda: ill(host) == {}, WELL, pause=1)
    parts = {one["what"] for one in doctor(host)["findings"]}
    assert parts >= {"crontab", "crond", "launcher", "zookeeper", "registration", "database"}
    assert ("api" in parts) == (host in CONTROL)


def test_a_stopped_crond_is_named_with_the_remedy(crond_stopped: str) -> None:
    assert "systemctl start cron" in ill(crond_stopped)["cron"]


def test_a_worker_that_stands_still_is_named_with_the_remedy() -> None:
    lab("exec", "node1", "systemctl kill --kill-whom=main -s STOP dcron-worker")
    try:
        assert "systemctl kill -s CONT dcron-worker" in ill("node1")["dcron-worker"]
    finally:
        lab("exec", "node1", "systemctl kill --kill-whom=main -s CONT dcron-worker")
    wait_for("node1 is well again", lambda: ill("node1") == {}, WELL, pause=1)


def test_a_database_that_is_stopped_on_one_host_is_named_there_and_serves_elsewhere() -> None:
    lab("exec", "ctl3", "systemctl stop mariadb")
    try:
        assert "playbooks/recover.yml" in ill("ctl3")["mariadb"]
        wait_for("the writer serves node1", lambda: "database" not in ill("node1"), WELL, pause=1)
    finally:
        lab("exec", "ctl3", "systemctl start mariadb")
    wait_for("ctl3 is well again", lambda: ill("ctl3") == {}, WELL, pause=1)
