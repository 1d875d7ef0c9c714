"""GET /cluster."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from dcron_app.api import coordination
from dcron_app.api.serialize import instant
from dcron_app.api.shapes import ClusterShape
from dcron_common import paths
from dcron_common.db import progress, runs, workers
from dcron_common.errors import DatabaseUnavailable
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Registration, Result
from dcron_common.run import RunRecord, RunState, Trigger
from tests.unit.app.api_client import NOW, Api

MINUTE = int(NOW) // 60 * 60


def register(api: Api, name: str, ticked: int = MINUTE, ill: list[str] | None = None) -> None:
    """A worker as the leader and ZooKeeper see it."""
    seen = Registration(name, "b", "s", "10.0.0.1", {}, 10, "0.1.0", ticked, ill=ill or [])
    known = {row.name for row in workers.list_workers(api.services.database)} - {name}
    present = {other: Registration(other, "b", "s", "", {}, 1, "1", ticked) for other in known}
    workers.save_seen(api.services.database, {**present, name: seen}, NOW)
    for path in (*paths.below(name), paths.worker(name)):
        api.coordinator.ensure(path)
    api.coordinator.create(paths.registration(name), seen.encode(), ephemeral=True)


def lead(api: Api, name: str = "ctl1") -> None:
    path = f"{paths.ELECTION}/n-"
    api.coordinator.create(path, name.encode(), ephemeral=True, sequence=True)
    api.coordinator.set(paths.EPOCH, name.encode())


def claim(api: Api, minute: int, result: Result | None = None) -> None:
    made = Claim("R" * 26, "n", "node1", 1, 1, 1, Trigger.CRON, NOW, result=result)
    api.coordinator.create(paths.claim("node1", Slot(1), str(minute)), made.encode())


def test_a_cluster_that_is_well(api: Api) -> None:
    lead(api)
    lead(api, "ctl2")  # which waits
    register(api, "node1")
    shown = api.get("/cluster").json
    assert shown == {
        "leader": "ctl1",
        "epoch": 2,
        "workers": {"online": 1, "offline": 0, "drained": 0, "ill": 0, "isolated": 0},
        "queue": {"inbox": 0, "tasks": 0, "claims": 0},
        "lateness_seconds": 0.0,
        "isolated": [],
        "journals": {"waiting": 0, "looked_at": 0},
        "retention": None,
        "database": "ok",
        "coordinator": "ok",
        "object_store": "ok",
        "problems": [],
    }
    TypeAdapter(ClusterShape).validate_python(shown)


def test_the_last_round_of_retention_is_told(api: Api) -> None:
    counts = {"runs": 3, "outputs": 2, "strays": 0, "jobs": 1, "files": 0, "whole": True}
    for told in (counts, {**counts, "tokens": 4}):  # the first is of the release before
        progress.write(api.services.database, progress.ROUND, json.dumps(told), NOW)
        shown = api.get("/cluster").json
        assert shown["retention"] == {"tokens": 0, **told, "at": instant(NOW)}
        TypeAdapter(ClusterShape).validate_python(shown)


def test_every_user_may_look(api: Api) -> None:
    assert api.get("/cluster", user="viewer").status == 200


def test_what_waits_is_counted(api: Api) -> None:
    lead(api)
    register(api, "node1")
    done = Result(RunState.SUCCEEDED, NOW, NOW)
    claim(api, 60)
    claim(api, 120, done)
    claim(api, 180, done)
    api.coordinator.create(paths.task("node1", Slot(1), "240"))
    api.coordinator.create(paths.inbox_prefix(1), sequence=True)
    shown = api.get("/cluster").json
    assert shown["queue"] == {"inbox": 1, "tasks": 1, "claims": 3}
    assert shown["journals"] == {"waiting": 2, "looked_at": 3}


def test_no_more_claims_are_read_than_bounded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordination, "CLAIMS", 2)
    register(api, "node1")
    for minute in range(60, 360, 60):
        claim(api, minute, Result(RunState.SUCCEEDED, NOW, NOW))
    shown = api.get("/cluster").json
    assert shown["queue"]["claims"] == 5
    assert shown["journals"] == {"waiting": 2, "looked_at": 2}


def test_the_slowest_worker_tells_how_late_it_is(api: Api) -> None:
    register(api, "node1")
    register(api, "node2", ticked=MINUTE - 180)
    register(api, "node3", ticked=0)  # has just begun
    shown = api.get("/cluster").json
    assert shown["lateness_seconds"] == 150.0
    assert any("late by up to 150 s: node2" in one["what"] for one in shown["problems"])


def test_workers_are_told_apart(api: Api) -> None:
    register(api, "node1", ill=["crond", "clock"])
    for name in ("node2", "node3"):
        register(api, name)
        api.coordinator.delete(paths.registration(name))
    workers.set_drained(api.services.database, "node3", True, NOW, "test")
    row = RunRecord("R" * 26, 1, MINUTE, 1, Trigger.CRON, RunState.RUNNING, worker="node2")
    runs.record_runs(api.services.database, [row], NOW)
    shown = api.get("/cluster").json
    assert shown["workers"] == {"online": 1, "offline": 2, "drained": 1, "ill": 1, "isolated": 1}
    assert shown["isolated"] == ["node2"]
    whats = " ".join(one["what"] for one in shown["problems"])
    assert "no manager leads" in whats and "offline: node2;" in whats and "node1: crond" in whats


def test_a_worker_that_no_leader_has_recorded_yet_is_online(api: Api) -> None:
    register(api, "node1")
    workers.forget(api.services.database, "node1", NOW, "test")
    assert api.get("/cluster").json["workers"]["online"] == 1


def test_with_the_coordination_away_the_record_is_told(api: Api) -> None:
    lead(api)
    register(api, "node1", ticked=MINUTE - 120, ill=["crond"])
    api.ensemble.disconnect(api.coordinator)
    shown = api.get("/cluster").json
    assert (shown["leader"], shown["epoch"], shown["queue"], shown["journals"]) == (None,) * 4
    assert (shown["coordinator"], shown["database"]) == ("ill", "ok")
    assert shown["workers"]["online"] == 1 and shown["lateness_seconds"] == 90.0
    assert "ZooKeeper does not answer" in shown["problems"][0]["what"]
    TypeAdapter(ClusterShape).validate_python(shown)


def test_with_the_database_away_behind_the_token_the_coordination_is_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> object:
        raise DatabaseUnavailable("gone")

    lead(api)
    monkeypatch.setattr(workers, "list_workers", away)
    shown = api.get("/cluster").json
    assert (shown["leader"], shown["workers"], shown["database"]) == ("ctl1", None, "ill")
    TypeAdapter(ClusterShape).validate_python(shown)


def test_a_registration_that_cannot_be_read_hides_no_other(api: Api) -> None:
    register(api, "node1")
    register(api, "node2")
    api.coordinator.set(paths.registration("node1"), b"{}")
    assert api.get("/cluster").json["workers"]["online"] == 1
