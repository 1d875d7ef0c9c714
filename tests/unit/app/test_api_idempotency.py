"""Idempotency-Key on POST /jobs."""

from __future__ import annotations

from typing import Any

import pytest

from dcron_common.db import idempotency, jobs
from dcron_common.db.models import Idempotency
from dcron_common.errors import DatabaseUnavailable, ObjectStoreUnavailable
from tests.unit.app.api_client import COMMAND, NOW, Answer, Api


def post(api: Api, body: Any = COMMAND, key: str = '"k1"', user: str = "admin") -> Answer:
    return api.post("/jobs", body, user=user, headers={"HTTP_IDEMPOTENCY_KEY": key})


def keys(api: Api) -> list[tuple[str, str, int | None]]:
    rows = api.services.database.read(lambda: list(Idempotency.select().order_by(Idempotency.id)))
    return [(row.user, row.key, row.job_id) for row in rows]


def test_a_bad_key_is_refused_in_a_dry_run_too(api: Api) -> None:
    headers = {"HTTP_IDEMPOTENCY_KEY": 'a"b'}
    answer = api.post("/jobs?dry_run=true", COMMAND, headers=headers)
    assert (answer.status, answer.fields) == (400, ["Idempotency-Key"])


def test_the_same_request_again_is_answered_with_the_same_job(api: Api) -> None:
    first = post(api)
    before = api.stored()
    again = post(api)
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"] == "/jobs/1"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert api.stored() == before
    assert keys(api) == [("admin", "k1", 1)]


def test_the_order_of_keys_and_the_blanks_of_a_body_do_not_matter(api: Api) -> None:
    post(api)
    again = post(api, dict(reversed(COMMAND.items())))
    assert (again.status, again.json["id"]) == (201, "1")


def test_another_body_with_the_key_is_refused(api: Api) -> None:
    post(api)
    answer = post(api, {**COMMAND, "retries": 1})
    assert (answer.status, answer.fields) == (422, ["Idempotency-Key"])
    assert api.stored()["jobs"] == 1


def test_another_key_or_user_makes_another_job(api: Api) -> None:
    assert post(api).json["id"] == "1"
    assert post(api, key='"k2"').json["id"] == "2"
    assert post(api, user="operator").json["id"] == "3"
    assert api.post("/jobs", COMMAND).json["id"] == "4"


def test_a_key_may_come_without_quotes(api: Api) -> None:
    assert post(api, key="k1").json == post(api, key='"k1"').json


@pytest.mark.parametrize("key", ["", '""', '"a', "a b", '"a\\b"', "x" * 256, "ü"])
def test_what_is_no_key_is_refused(api: Api, key: str) -> None:
    answer = post(api, key=key)
    assert (answer.status, answer.fields) == (400, ["Idempotency-Key"])
    assert api.stored()["jobs"] == 0


def test_the_same_job_is_shown_as_it_is_by_now(api: Api) -> None:
    post(api)
    api.call("POST", "/jobs/1/pause")
    again = post(api)
    assert (again.status, again.json["paused"], again.headers["ETag"]) == (201, True, '"2"')


def test_a_one_shot_whose_time_has_come_is_replayed_all_the_same(api: Api) -> None:
    body = {**COMMAND, "schedule": "@at 2027-01-15T08:05:00Z"}
    post(api, body)
    api.time[0] += 3600
    assert post(api, body).headers["Idempotent-Replayed"] == "true"


def claimed(api: Api, key: str = "k1") -> idempotency.Claim:
    """As a request that is being served leaves it."""
    post(api, key=f'"{key}"')
    api.services.database.transaction(lambda: Idempotency.update(job_id=None).execute())
    row = api.services.database.read(lambda: Idempotency.get())
    return idempotency.Claim(row.user, row.key, row.digest, row.incarnation)


def test_while_the_first_is_being_served_the_second_has_to_wait(api: Api) -> None:
    claimed(api)
    answer = post(api)
    assert (answer.status, answer.fields) == (409, ["Idempotency-Key"])
    assert answer.headers["Retry-After"]
    assert api.stored()["jobs"] == 1


def test_a_first_that_never_ends_is_passed_over_and_cannot_end_any_more(
    api: Api, monkeypatch
) -> None:
    claimed(api)
    api.time[0] += idempotency.IN_HAND + 1
    insert = jobs.insert_job

    def slow(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(jobs, "insert_job", insert)
        api.time[0] += idempotency.IN_HAND + 1
        assert post(api).status == 201
        return insert(*arguments, **more)

    monkeypatch.setattr(jobs, "insert_job", slow)
    before = api.stored()["jobs"]
    assert post(api).status == 409
    assert api.stored()["jobs"] == before + 1


@pytest.mark.parametrize("body", [{**COMMAND, "schedule": "x"}, {**COMMAND, "name": "taken"}])
def test_a_request_that_makes_no_job_leaves_its_key_free(api: Api, body: Any) -> None:
    api.post("/jobs", {**COMMAND, "name": "taken"})
    assert post(api, body).status in (409, 422)
    assert keys(api) == []
    assert post(api).status == 201


def test_the_key_is_free_again_where_the_object_store_is_away(api: Api, monkeypatch) -> None:
    script = {"executable": "IyEvYmluL3No", "schedule": "@daily", "type": "script"}

    def away(*arguments: object) -> None:
        raise ObjectStoreUnavailable("made up")

    with monkeypatch.context() as without:
        without.setattr(type(api.services.object_store), "put", away)
        assert post(api, script).status == 503
    assert post(api, script).status == 201


def test_the_job_and_its_key_are_stored_together_or_not_at_all(api: Api, monkeypatch) -> None:
    def away(*arguments: object) -> None:
        raise DatabaseUnavailable("made up")

    with monkeypatch.context() as ill:
        ill.setattr(idempotency, "settle", away)
        assert post(api).status == 503
    assert api.stored()["jobs"] == 0
    assert post(api).json["id"]


def test_after_a_day_a_key_is_forgotten(api: Api) -> None:
    post(api)
    post(api, key='"k2"')
    api.time[0] = NOW + idempotency.KEPT - 1
    assert post(api).headers["Idempotent-Replayed"] == "true"
    api.time[0] = NOW + idempotency.KEPT + 1
    assert post(api).json["id"] == "3"
    assert keys(api) == [("admin", "k1", 3)]


def test_a_key_of_a_day_ago_counts_no_more_though_it_is_still_there(api: Api, monkeypatch) -> None:
    monkeypatch.setattr(idempotency, "_BATCH", 0)
    post(api)
    api.time[0] = NOW + idempotency.KEPT + 1
    assert post(api, {**COMMAND, "retries": 1}).json["id"] == "2"
    assert keys(api) == [("admin", "k1", 2)]
