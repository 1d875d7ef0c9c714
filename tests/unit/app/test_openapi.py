"""The API's description: whole, and true to what is answered."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from dcron_app.api.app import all_routes
from dcron_app.api.routes import Access, Route
from dcron_app.api.shapes import JobShape
from tests.unit.app.api_client import COMMAND, Api

PUBLIC = {"/health/live", "/health/ready", "/login"}


@pytest.fixture
def routes(api: Api) -> list[Route]:
    return all_routes(api.services)


def test_every_route_is_described_with_its_security(api: Api, routes: list[Route]) -> None:
    document = api.get("/openapi.json").json
    described = {
        (path, method.upper()): operation["security"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert set(described) == {
        (route.path, route.method) for route in routes if not route.path.startswith("/static/")
    }
    assert {path for (path, _), security in described.items() if not security} == PUBLIC


def test_operation_ids_are_unique(api: Api) -> None:
    paths = api.get("/openapi.json").json["paths"].values()
    ids = [operation["operationId"] for path in paths for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_every_route_but_the_public_ones_needs_a_token(api: Api, routes: list[Route]) -> None:
    values = {"job_id": "1", "run_id": "0" * 26, "worker": "w", "user": "u", "token_id": "1"}
    values |= {"secret": "S", "file": "api.html"}
    for route in routes:
        answer = api.call(route.method, route.path.format(**values), user=None)
        assert (answer.status == 401) is (route.access is not Access.PUBLIC), route.path


def test_a_job_looks_as_it_is_described(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "limits": {"memory_bytes": 2**24}, "labels": {"a": "b"}})
    TypeAdapter(list[JobShape]).validate_python(api.get("/jobs").json)


def test_bounds_of_numbers_in_queries_are_told_as_json_schema_tells_them(api: Api) -> None:
    """pydantic writes a bound down as `le` where it stands after what reads the text."""
    paths = api.get("/openapi.json").json["paths"]
    schemas = [
        parameter["schema"]
        for path in paths.values()
        for operation in path.values()
        for parameter in operation.get("parameters", [])
        if parameter["schema"].get("type") == "integer"
    ]
    assert schemas
    assert [one for one in schemas if not {"minimum", "maximum"} <= set(one)] == []
