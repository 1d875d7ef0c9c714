"""Who may be made the owner of a job or a secret: somebody who is there."""

from __future__ import annotations

import pytest

from dcron_common.db.models import Job, Secret
from tests.unit.app.api_client import COMMAND, Answer, Api

SECRET = "/secrets/DB_PASSWORD"


def refused(answer: Answer) -> bool:
    """Whether it names field and remedy; AssertionError where it is refused for something else."""
    if answer.status < 400:
        return False
    assert (answer.status, answer.fields) == (422, ["owner"])
    assert (
        "no user nobody; name another, or have it made first" in answer.json["errors"][0]["message"]
    )
    return True


def disown(api: Api) -> None:
    """As it was while anybody could be named."""
    for table in (Job, Secret):
        query = table.update(owner="nobody")
        api.services.database.transaction(query.execute, idempotent=True)


@pytest.mark.parametrize("dry", ["", "?dry_run=true"])
def test_a_new_job_belongs_to_somebody_who_is_there(api: Api, dry: str) -> None:
    before = api.stored()
    assert refused(api.post(f"/jobs{dry}", {**COMMAND, "owner": "nobody"}))
    assert api.stored() == before
    assert not refused(api.post(f"/jobs{dry}", {**COMMAND, "owner": "viewer"}))


def test_a_job_is_given_to_somebody_who_is_there(api: Api) -> None:
    api.post("/jobs", {**COMMAND, "name": "report"})
    body = {**COMMAND, "owner": "nobody"}
    assert refused(api.patch("/jobs/1", {"owner": "nobody"}))
    assert refused(api.put("/jobs/1", body))
    assert refused(api.put("/jobs?name=report", body))
    assert refused(api.put("/jobs?name=other", body))
    assert not refused(api.patch("/jobs/1", {"owner": "operator"}))


def test_a_disabled_user_may_own_a_job(api: Api) -> None:
    api.patch("/users/operator", {"disabled": True})
    assert not refused(api.post("/jobs", {**COMMAND, "owner": "operator"}))


def test_a_job_of_nobody_is_changed_paused_and_given_away_by_admins(api: Api) -> None:
    api.post("/jobs", COMMAND)
    disown(api)
    assert not refused(api.patch("/jobs/1", {"schedule": "@daily"}))
    assert not refused(api.patch("/jobs/1", {"owner": "nobody", "retries": 1}))
    assert not refused(api.put("/jobs/1", {**COMMAND, "owner": "nobody"}))
    paused = api.call("POST", "/jobs/1/pause", b"{}")
    assert (paused.status, paused.json["owner"]) == (200, "nobody")
    assert api.patch("/jobs/1", {"owner": "operator"}).json["owner"] == "operator"
    assert refused(api.patch("/jobs/1", {"owner": "nobody"}))


def test_a_secret_belongs_to_somebody_who_is_there(api: Api) -> None:
    assert refused(api.put(SECRET, {"value": "x", "owner": "nobody"}))
    assert api.get("/secrets").json == []
    assert not refused(api.put(SECRET, {"value": "x", "owner": "operator"}))
    assert refused(api.put(SECRET, {"value": "y", "owner": "nobody"}))
    disown(api)
    assert not refused(api.put(SECRET, {"value": "y"}))
    assert not refused(api.put(SECRET, {"value": "y", "owner": "nobody"}))


def test_who_may_name_nobody_learns_nothing_of_who_there_is(api: Api) -> None:
    for owner in ("nobody", "viewer"):
        answer = api.post("/jobs", {**COMMAND, "owner": owner}, user="operator")
        assert (answer.status, answer.fields) == (403, ["owner"])
