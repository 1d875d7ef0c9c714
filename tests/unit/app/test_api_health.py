from dataclasses import replace

from dcron_common.errors import DatabaseUnavailable
from tests.unit.app.api_client import Api


def test_a_live_process_says_so_without_a_token(api: Api) -> None:
    assert api.get("/health/live", user=None).json == {"status": "live"}


def test_ready_names_every_part(api: Api) -> None:
    answer = api.get("/health/ready", user=None)
    parts = {"database": "ok", "coordinator": "ok", "object_store": "ok"}
    assert (answer.status, answer.json) == (200, {"status": "ready", **parts})


def test_without_the_database_it_is_not_ready(api: Api, monkeypatch) -> None:
    def away() -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(api.services.database, "check", away)
    answer = api.get("/health/ready", user=None)
    assert (answer.status, answer.json["status"]) == (503, "unready")
    assert answer.json["database"] == "ill"


def test_without_the_coordinator_it_is_degraded_and_serves(api: Api) -> None:
    api.ensemble.disconnect(api.coordinator)
    answer = api.get("/health/ready", user=None)
    assert (answer.status, answer.json["status"]) == (200, "degraded")
    assert answer.json["coordinator"] == "ill"


def test_the_object_store_is_asked_every_few_seconds_only(api: Api, monkeypatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(api.services.object_store, "ready", lambda: asked.append(1))
    api = replace(api)  # whose resources see what was replaced
    assert api.get("/health/ready", user=None).json["object_store"] == "ok"

    assert api.get("/health/ready", user=None).json["object_store"] == "ok"
    assert len(asked) == 1
    api.time[0] += 5
    assert api.get("/health/ready", user=None).json["object_store"] == "ok"
    assert len(asked) == 2
