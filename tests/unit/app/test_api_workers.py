from dcron_common.db import workers
from dcron_common.protocol import Registration
from tests.unit.app.api_client import COMMAND, NOW, Api


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
    assert workers.drained(api.services.database) == {"node1"}
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
