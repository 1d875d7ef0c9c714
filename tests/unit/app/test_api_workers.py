"""/workers and what is below it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter

from dcron_app.api.shapes import WorkerShape
from dcron_common import paths
from dcron_common.coordinator.contract import Operation
from dcron_common.db import runs, workers
from dcron_common.protocol import Registration
from dcron_common.run import RunRecord, RunState, Trigger
from tests.unit.app.api_client import COMMAND, NOW, Answer, Api


def register(api: Api, *names: str) -> None:
    seen = {
        name: Registration(name, "boot", "s", "10.0.0.1", {"rack": "a"}, 10, "0.1.0", 0)
        for name in names
    }
    workers.save_seen(api.services.database, seen, NOW)


def test_workers_are_listed_by_name_dead_ones_too(api: Api) -> None:
    register(api, "node2", "node1")
    register(api, "node2")
    listed = api.get("/workers").json
    assert [(one["name"], one["state"]) for one in listed] == [
        ("node1", "offline"),
        ("node2", "online"),
    ]
    assert listed[0]["labels"] == {"rack": "a"}
    assert listed[0]["last_seen"] == "2027-01-15T08:00:30Z"


def test_a_worker_is_shown_with_the_number_of_its_jobs(api: Api) -> None:
    register(api, "node1")
    for _ in range(2):
        api.post("/jobs", COMMAND)
    workers.save_places(api.services.database, {1: "node1", 2: "node1"})
    assert api.get("/workers").json[0]["jobs"] == 2
    api.delete("/jobs/1")
    assert api.get("/workers").json[0]["jobs"] == 1


def test_a_worker_is_drained_and_resumed(api: Api) -> None:
    register(api, "node1")
    drained = api.call("POST", "/workers/node1/drain")
    assert (drained.status, drained.json["drained"]) == (200, True)
    assert workers.settings(api.services.database).drained == {"node1"}
    assert api.post("/workers/node1/resume", {}).json["drained"] is False


def test_draining_twice_is_audited_once(api: Api) -> None:
    register(api, "node1")
    before = api.stored()["audit"]
    for _ in range(2):
        assert api.call("POST", "/workers/node1/drain").status == 200
    assert api.stored()["audit"] == before + 1


def test_an_unknown_worker_is_404(api: Api) -> None:
    assert api.call("POST", "/workers/nobody/drain").status == 404


def test_only_admins_drain(api: Api) -> None:
    register(api, "node1")
    assert api.call("POST", "/workers/node1/drain", user="operator").status == 403


def test_a_body_with_fields_is_refused(api: Api) -> None:
    register(api, "node1")
    assert api.post("/workers/node1/drain", {"force": True}).fields == ["force"]


def test_one_worker_is_shown(api: Api) -> None:
    register(api, "node1")
    assert api.get("/workers/node1").json == api.get("/workers").json[0]
    assert api.get("/workers/node2").status == 404


def test_a_worker_says_what_is_ill_and_how_far_it_has_looked(api: Api) -> None:
    seen = Registration(
        "node1", "boot", "s", "10.0.0.1", {}, 10, "0.1.0", int(NOW) // 60 * 60, ill=["crond"]
    )
    workers.save_seen(api.services.database, {"node1": seen}, NOW)
    shown = api.get("/workers/node1").json
    assert (shown["ill"], shown["ticked_through"]) == (["crond"], "2027-01-15T08:00:00Z")
    workers.save_seen(api.services.database, {}, NOW)
    shown = api.get("/workers/node1").json
    assert (shown["state"], shown["ill"]) == ("offline", [])


def test_runs_that_go_on_are_counted(api: Api) -> None:
    register(api, "node1", "node2")
    rows = [
        RunRecord(f"{n:026d}", n, 60, 1, Trigger.CRON, state, worker="node1")
        for n, state in enumerate((RunState.RUNNING, RunState.RUNNING, RunState.SUCCEEDED))
    ]
    runs.record_runs(api.services.database, rows, NOW)
    assert [one["running"] for one in api.get("/workers").json] == [2, 0]


def test_a_worker_looks_as_it_is_described(api: Api) -> None:
    register(api, "node1")
    TypeAdapter(list[WorkerShape]).validate_python(api.get("/workers").json)


def put_labels(api: Api, labels: object, **more: Any) -> Answer:
    body = json.dumps({"labels": labels}).encode()
    return api.call("PUT", "/workers/node1/labels", body, **more)


def test_labels_are_laid_over_the_nodes_own(api: Api) -> None:
    register(api, "node1")
    shown = put_labels(api, {"rack": "b", "tier": "gold"}).json
    assert shown["labels"] == {"rack": "b", "tier": "gold"}
    assert shown["own_labels"] == {"rack": "a"}
    assert shown["set_labels"] == {"rack": "b", "tier": "gold"}
    register(api, "node1")  # the leader's next look does not take them away
    assert put_labels(api, {}).json["labels"] == {"rack": "a"}


def test_labels_are_audited_once(api: Api) -> None:
    register(api, "node1")
    before = api.stored()["audit"]
    for _ in range(2):
        assert put_labels(api, {"tier": "gold"}).status == 200
    assert api.stored()["audit"] == before + 1


def test_labels_are_checked(api: Api) -> None:
    register(api, "node1")
    assert put_labels(api, {"a b": "c"}).fields == ["labels.a b"]
    assert put_labels(api, {"a": 1}).fields == ["labels.a"]
    assert put_labels(api, None).fields == ["labels"]
    assert api.call("PUT", "/workers/node1/labels", b'{"label": {}}').status == 422


def test_only_admins_label_and_forget(api: Api) -> None:
    register(api, "node1")
    assert put_labels(api, {}, user="operator").status == 403
    assert api.delete("/workers/node1", user="operator").status == 403
    assert api.call("PUT", "/workers/nobody/labels", b'{"labels": {}}').status == 404


# -- forgetting


def places(api: Api, name: str) -> None:
    """What the leader makes for a worker that registers."""
    for path in (*paths.below(name), paths.worker(name)):
        api.coordinator.ensure(path)


def test_a_worker_that_is_gone_is_forgotten_with_its_places(api: Api) -> None:
    register(api, "node1")
    places(api, "node1")
    api.coordinator.create(paths.follow("node1", "R" * 26))
    put_labels(api, {"tier": "gold"})
    assert api.delete("/workers/node1").status == 204
    assert api.get("/workers").json == []
    assert [api.coordinator.exists(path) for path in paths.below("node1")] == [None] * 5
    assert api.coordinator.exists(paths.worker("node1")) is not None, "it may register again"
    assert api.delete("/workers/node1").status == 404
    register(api, "node1")
    assert api.get("/workers/node1").json["set_labels"] == {}


def test_a_worker_that_never_had_places_is_forgotten(api: Api) -> None:
    register(api, "node1")
    assert api.delete("/workers/node1").status == 204


def test_a_worker_that_is_online_is_not_forgotten(api: Api) -> None:
    register(api, "node1")
    places(api, "node1")
    api.coordinator.create(paths.registration("node1"), ephemeral=True)
    refused = api.delete("/workers/node1")
    assert refused.status == 409 and "drain it" in refused.json["detail"]
    assert api.get("/workers/node1").status == 200


@pytest.mark.parametrize("parent", [paths.assignments, paths.runs, paths.tasks])
def test_a_worker_that_holds_something_is_not_forgotten(
    api: Api, parent: Callable[[str], str]
) -> None:
    register(api, "node1")
    places(api, "node1")
    api.coordinator.create(f"{parent('node1')}/1.60")
    refused = api.delete("/workers/node1")
    assert refused.status == 409 and "still holds 1 jobs or runs" in refused.json["detail"]
    assert api.coordinator.exists(paths.kills("node1")) is not None, "all or nothing"


def test_a_worker_that_registers_in_this_moment_keeps_its_places(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(api, "node1")
    places(api, "node1")
    coordinator = api.coordinator
    commit = coordinator.commit

    def late(operations: Sequence[Operation]) -> object:
        coordinator.ensure(paths.registration("node1"))
        return commit(operations)

    monkeypatch.setattr(coordinator, "commit", late)
    assert api.delete("/workers/node1").status == 409
    assert coordinator.exists(paths.tasks("node1")) is not None


def test_with_the_coordination_away_nothing_is_forgotten(api: Api) -> None:
    register(api, "node1")
    api.ensemble.disconnect(api.coordinator)
    assert api.delete("/workers/node1").status == 503
    assert api.get("/workers/node1").status == 200
