"""/secrets, and jobs that name them."""

from __future__ import annotations

import json
import logging

import pytest
from pydantic import TypeAdapter

from dcron_app.api import text, validation
from dcron_app.api.shapes import SecretShape
from dcron_app.reencrypting import reencrypt
from dcron_common.db import secrets, tokens, users
from dcron_common.db.models import Audit, Secret
from dcron_common.errors import Conflict, SecretError
from dcron_common.sealing.ring import Ring
from tests.unit.app.api_client import COMMAND, NOW, Answer, Api

VALUE = "planted-dragon-7f3a"


def put(api: Api, name: str = "DB_PASSWORD", user: str = "operator", **more: object) -> Answer:
    return api.put(f"/secrets/{name}", {"value": VALUE, **more}, user=user)


def post(api: Api, *names: str, user: str = "operator", **more: object) -> Answer:
    body = {**COMMAND, "run_as": "dcron-job", "secrets": list(names), **more}
    return api.post("/jobs", body, user=user)


def patch(api: Api, job: str, user: str, **change: object) -> Answer:
    return api.call("PATCH", f"/jobs/{job}", json.dumps(change).encode(), user=user)


def member(api: Api, name: str, team: str, role: users.Role = users.Role.OPERATOR) -> str:
    database = api.services.database
    users.add_user(database, name, role, [team], ["dcron-job"], NOW, "test")
    api.tokens[name] = tokens.add_token(database, name, "test", None, NOW, "test").text
    return name


def stored(api: Api) -> str:
    """All of the database, as text."""
    return "\n".join(
        str(row)
        for table in (Secret, Audit)
        for row in api.services.database.read(lambda t=table: list(t.select().tuples()))
    )


def test_a_secret_is_made_changed_listed_and_removed_and_never_shown(api: Api) -> None:
    assert put(api).status == 201
    again = put(api)
    assert (again.status, again.json["revision"]) == (200, 2)
    listed = api.get("/secrets", user="viewer")
    assert [(one["name"], one["owner"], one["jobs"]) for one in listed.json] == [
        ("DB_PASSWORD", "operator", 0)
    ]
    TypeAdapter(list[SecretShape]).validate_python(listed.json)
    assert VALUE.encode() not in again.body + listed.body
    assert api.delete("/secrets/DB_PASSWORD", user="operator").status == 204
    assert api.get("/secrets").json == []
    assert api.delete("/secrets/DB_PASSWORD").status == 404


def test_the_value_is_encrypted_at_rest_and_no_part_of_the_audit(api: Api) -> None:
    put(api)
    put(api)
    api.delete("/secrets/DB_PASSWORD")
    put(api)
    assert VALUE not in stored(api)
    rows = api.services.database.read(lambda: list(Audit.select().order_by(Audit.id)))
    said = [
        (row.user, row.action, row.object_id, row.before, row.after)
        for row in rows
        if row.object_type == "secret"
    ]
    first = '{"owner": "operator", "team": null, "revision": 1}'
    second = first.replace("1}", "2}")
    assert said == [
        ("operator", "create", "DB_PASSWORD", None, first),
        ("operator", "update", "DB_PASSWORD", '{"revision": 1}', '{"revision": 2}'),
        ("admin", "delete", "DB_PASSWORD", second, None),
        ("operator", "create", "DB_PASSWORD", None, first),
    ]


def test_the_value_reaches_no_log_and_no_refusal(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        put(api),
        put(api, more=1),
        put(api, value=f"{VALUE}\0"),
        put(api, value=[VALUE]),
        put(api, value=VALUE * 1000),
        put(api, "LD_PRELOAD"),
        put(api, user="viewer"),
        put(api, owner="somebody"),
    ]
    assert [answer.status for answer in answers] == [201, 422, 422, 422, 422, 422, 403, 403]
    assert all(VALUE.encode() not in answer.body for answer in answers)
    assert VALUE not in caplog.text


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        ("x", True),
        ("two\nlines\n", True),
        ("é" * 8192, True),
        ("a" * 16_384, True),
        ("", False),
        ("a" * 16_385, False),
        ("é" * 8193, False),
        ("nul\0", False),
        ("\ud800", False),
        (7, False),
        (None, False),
    ],
)
def test_a_value_is_what_an_environment_can_hold(api: Api, value: object, fine: bool) -> None:
    answer = put(api, value=value)
    assert answer.status == (201 if fine else 422), answer.body
    assert fine or answer.fields == ["value"]


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "PATH", "BASH_ENV", "PYTHONPATH", "IFS", "HOME", "USER", "DCRON_JOB_ID"],
)
def test_names_that_steer_programs_are_refused_to_everybody(api: Api, name: str) -> None:
    answer = put(api, name, user="admin")
    assert (answer.status, answer.fields) == (422, ["secret"])
    answer = post(api, name, user="admin")
    assert (answer.status, answer.fields) == (422, ["secrets[0]"])


@pytest.fixture
def older_rule(api: Api, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of an operator's job whose secret and variable had names that nobody refused then."""
    with monkeypatch.context() as then:
        for module in (text, validation):
            then.setattr(module, "steers", lambda name: False)
        assert put(api, "PIP_INDEX_URL").status == put(api).status == 201
        made = post(api, "PIP_INDEX_URL", environment={"MAVEN_OPTS": "-Xmx1g"})
    assert made.status == 201
    return str(made.json["id"])


@pytest.mark.parametrize("user", ["operator", "admin"])
def test_a_job_goes_on_with_names_that_an_older_rule_took(
    api: Api, older_rule: str, user: str
) -> None:
    job = older_rule
    assert patch(api, job, user, schedule="@daily").status == 200
    assert patch(api, job, user, paused=True).status == 200
    assert api.call("POST", f"/jobs/{job}/resume", user=user).status == 200
    assert patch(api, job, user, secrets=["DB_PASSWORD", "PIP_INDEX_URL"]).status == 200
    got = api.get(f"/jobs/{job}").json
    again = api.put(f"/jobs/{job}", {**got, "retries": 3}, user=user)
    assert (again.status, again.json["secrets"]) == (200, ["DB_PASSWORD", "PIP_INDEX_URL"])
    assert again.json["environment"] == {"MAVEN_OPTS": "-Xmx1g"}


def test_a_secret_that_an_older_rule_took_gets_new_values(api: Api, older_rule: str) -> None:
    again = put(api, "PIP_INDEX_URL")
    assert (again.status, again.json["revision"]) == (200, 2)


def test_no_job_gets_a_secret_by_such_a_name_anew(api: Api, older_rule: str) -> None:
    answer = post(api, "DB_PASSWORD", "PIP_INDEX_URL", user="admin")
    assert (answer.status, answer.fields) == (422, ["secrets[1]"])
    assert patch(api, older_rule, "operator", secrets=["DB_PASSWORD"]).status == 200
    answer = patch(api, older_rule, "admin", secrets=["DB_PASSWORD", "PIP_INDEX_URL"])
    assert (answer.status, answer.fields) == (422, ["secrets[1]"])
    assert api.delete("/secrets/PIP_INDEX_URL", user="operator").status == 204
    assert put(api, "PIP_INDEX_URL", user="admin").fields == ["secret"]


@pytest.mark.parametrize("name", ["MAVEN_PASSWORD", "NODE_AUTH_TOKEN", "GEM_HOST_API_KEY"])
def test_a_credential_is_a_secret_whatever_its_prefix(api: Api, name: str) -> None:
    assert put(api, name).status == 201
    assert post(api, name).status == 201


@pytest.mark.parametrize("name", ["1A", "_A", "A-B", "A.B", "A" * 65, "A%0A", "A%2FB"])
def test_a_name_that_is_none_is_not_found(api: Api, name: str) -> None:
    assert put(api, name).status in (404, 405)


# Whose a secret is, against who asks: may that user write, remove and use it?
RIGHTS = [
    ("viewer", None, False),
    ("viewer-of-red", None, False),
    ("operator", "operator", True),
    ("operator", "admin", False),
    ("red-1", "red-2", True),
    ("red-1", "blue-1", False),
    ("admin", "operator", True),
    ("admin", "blue-1", True),
]


@pytest.mark.parametrize(("user", "maker", "allowed"), RIGHTS)
def test_a_secret_is_for_its_owner_its_team_and_admins(
    api: Api, user: str, maker: str | None, allowed: bool
) -> None:
    for name, team in (("red-1", "red"), ("red-2", "red"), ("blue-1", "blue")):
        member(api, name, team)
    member(api, "viewer-of-red", "red", users.Role.VIEWER)
    assert put(api, user=maker or "red-1").status == 201
    used = post(api, "DB_PASSWORD", user=user)
    assert used.status == (201 if allowed else 403), used.body
    if allowed:
        api.delete(f"/jobs/{used.json['id']}")
    assert put(api, user=user).status == (200 if allowed else 403)
    assert api.delete("/secrets/DB_PASSWORD", user=user).status == (204 if allowed else 403)


def test_only_an_admin_gives_a_secret_to_others(api: Api) -> None:
    member(api, "red-1", "red")
    assert put(api, user="red-1").json["team"] == "red"
    assert put(api, user="red-1", team="blue").fields == ["team"]
    assert put(api, user="red-1", owner="operator").fields == ["owner"]
    assert put(api, user="red-1", team=None).json["team"] is None
    given = put(api, user="admin", owner="operator", team="blue").json
    assert (given["owner"], given["team"]) == ("operator", "blue")
    kept = put(api, user="operator").json
    assert (kept["owner"], kept["team"]) == ("operator", "blue")


def test_a_secret_stays_while_a_live_job_names_it(api: Api) -> None:
    put(api)
    job = post(api, "DB_PASSWORD").json["id"]
    assert api.get("/secrets").json[0]["jobs"] == 1
    refused = api.delete("/secrets/DB_PASSWORD")
    assert refused.status == 409
    assert f"in use by jobs {job}" in refused.json["detail"]
    assert patch(api, job, "operator", secrets=[]).status == 200
    assert api.get("/secrets").json[0]["jobs"] == 0
    assert patch(api, job, "operator", secrets=["DB_PASSWORD"]).json["secrets"] == ["DB_PASSWORD"]
    api.delete(f"/jobs/{job}")
    assert api.delete("/secrets/DB_PASSWORD").status == 204


def test_a_secret_that_goes_while_a_job_is_posted_is_a_conflict(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(api)
    known = secrets.get_secrets(api.services.database, ["DB_PASSWORD"])
    api.delete("/secrets/DB_PASSWORD")
    monkeypatch.setattr(secrets, "get_secrets", lambda database, names: known)
    before = api.stored()
    answer = post(api, "DB_PASSWORD")
    assert answer.status == 409 and "see GET /secrets" in answer.json["detail"]
    assert api.stored() == before


def test_a_job_that_goes_in_before_its_secret_is_removed_keeps_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(api)
    post(api, "DB_PASSWORD")
    monkeypatch.setattr("dcron_common.db.job_secrets.jobs_of", lambda name, limit: [])
    row = secrets.get_secrets(api.services.database, ["DB_PASSWORD"])["DB_PASSWORD"]
    with pytest.raises(Conflict):
        secrets.remove_secret(api.services.database, row, NOW, "admin")
    assert len(api.get("/secrets").json) == 1


def test_a_secret_and_a_variable_of_one_name_are_refused(api: Api) -> None:
    put(api)
    answer = post(api, "DB_PASSWORD", environment={"DB_PASSWORD": "plain"})
    assert (answer.status, answer.fields) == (422, ["environment.DB_PASSWORD"])
    assert post(api, "DB_PASSWORD", "DB_PASSWORD").fields == ["secrets[1]"]


def test_a_job_names_32_secrets_at_most(api: Api) -> None:
    names = [f"S{number}" for number in range(33)]
    for name in names:
        put(api, name)
    assert post(api, *names).fields == ["secrets"]
    assert post(api, *names[:32]).status == 201


def test_whoever_changes_what_runs_must_be_allowed_its_secrets(api: Api) -> None:
    """Else a change of the command would have another's secret told."""
    member(api, "red-1", "red")
    put(api, user="admin")
    job = post(api, "DB_PASSWORD", user="admin", team="red").json["id"]
    change = patch(api, job, "red-1", executable="echo $DB_PASSWORD")
    assert (change.status, change.fields) == (403, ["secrets[0]"])
    assert patch(api, job, "red-1", paused=True).status == 200
    assert patch(api, job, "red-1", executable="id", secrets=[]).status == 200


def test_arguments_for_a_run_are_only_for_those_who_may_use_its_secrets(api: Api) -> None:
    member(api, "red-1", "red")
    put(api, user="admin")
    script = {"type": "script", "executable": "ZWNobwo="}
    job = post(api, "DB_PASSWORD", user="admin", team="red", **script).json["id"]
    asked = api.post(f"/jobs/{job}/runs", {"arguments": ["--debug"]}, user="red-1")
    assert (asked.status, asked.fields) == (403, ["secrets[0]"])
    assert api.post(f"/jobs/{job}/runs", {}, user="red-1").status == 409  # nobody has it yet


def test_of_two_who_write_at_once_none_is_lost_unseen(api: Api) -> None:
    put(api)
    database = api.services.database
    before = secrets.get_secrets(database, ["DB_PASSWORD"])["DB_PASSWORD"]
    first = secrets.NewSecret("DB_PASSWORD", "operator", None, "1" * 26, "k:first")
    made = secrets.put_secret(database, before, first, NOW, "ann")
    assert made is not None and made.revision == 2
    late = secrets.NewSecret("DB_PASSWORD", "operator", None, "2" * 26, "k:late")
    assert secrets.put_secret(database, before, late, NOW, "bob") is None
    assert secrets.put_secret(database, None, late, NOW, "bob") is None
    # Said again after an answer that was lost: it is its own.
    assert secrets.put_secret(database, before, first, NOW, "ann") == made


def test_reencrypting_makes_the_old_key_needless(api: Api) -> None:
    names = [f"S{number}" for number in range(3)]
    for name in names:
        put(api, name)
    database, old, new = api.services.database, api.services.ring, Ring([b"\1" * 31 + b"\2"])
    with pytest.raises(SecretError, match="secret S0"):
        reencrypt(database, new)
    both = Ring([b"\1" * 31 + b"\2", *old_keys(old)])
    before = secrets.versions(database)
    assert reencrypt(database, both) == (3, 3)
    assert reencrypt(database, both) == (0, 3)
    found = secrets.encrypted(database, names)
    assert {new.decrypt(name, text) for name, (_, text) in found.items()} == {VALUE}
    assert secrets.versions(database) == before  # nothing has to be sealed anew


def old_keys(ring: Ring) -> list[bytes]:
    return [bytes(box) for box in ring._boxes.values()]


def test_a_member_of_the_team_takes_neither_a_job_nor_a_secret_from_its_owner(api: Api) -> None:
    for name in ("olga", "mallory"):
        member(api, name, "ops")
    assert put(api, user="olga", team="ops").status == 201
    job = post(api, user="olga", team="ops").json["id"]
    assert put(api, user="mallory", owner="mallory", team="ops").status == 403
    assert put(api, user="mallory", owner="olga", team=None).status == 403
    for change in ({"owner": "mallory"}, {"team": None}, {"owner": "mallory", "team": None}):
        answer = patch(api, job, "mallory", **change)
        assert answer.status == 403, answer.body
    assert patch(api, job, "mallory", retries=2).status == 200  # else the job is the team's
    assert put(api, user="mallory", owner="olga", team="ops").status == 200
    assert patch(api, job, "olga", team=None).status == 200
    assert patch(api, job, "mallory", retries=3).status == 403
