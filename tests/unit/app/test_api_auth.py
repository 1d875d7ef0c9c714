import pytest
from bottle import HTTPResponse

from dcron_app.api.routes import Access, Route, public
from dcron_common.db import tokens, users
from tests.unit.app.api_client import COMMAND, NOW, Api

ROUTES = [
    ("GET", "/jobs"),
    ("POST", "/jobs"),
    ("GET", "/jobs/1"),
    ("DELETE", "/jobs/1"),
    ("GET", "/jobs/1/runs"),
    ("GET", "/jobs/1/executable"),
    ("GET", "/workers"),
    ("POST", "/workers/node1/drain"),
    ("PATCH", "/jobs"),
    ("GET", "/"),
    ("GET", "/nothing/here"),
    ("GET", "/health/live/x"),
    ("GET", "/health/live%0A"),
    ("GET", "/health/live%FF"),
    ("GET", "/jobs/1%0A"),
    ("POST", "/health/live"),
    ("DELETE", "/login"),
    ("GET", "/login"),
    ("PUT", "/static/api.html"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("user", [None, "dcron_wrong", ""])
def test_nothing_is_answered_without_a_good_token(api: Api, method, path, user) -> None:
    answer = api.call(method, path, user=user)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="dcron"'
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_path_is_open_by_the_method_that_is_public_only(api: Api) -> None:
    def handler() -> HTTPResponse:
        return HTTPResponse()

    made = [
        Route(method, "/sessions/{user}", handler, access, "", {200: None})
        for method, access in (("POST", Access.PUBLIC), ("DELETE", Access.ADMIN))
    ]
    open_to_all = public(made)
    assert open_to_all.fullmatch("POST /sessions/ann")
    assert not open_to_all.fullmatch("DELETE /sessions/ann")
    assert not open_to_all.fullmatch("HEAD /sessions/ann")
    assert api.call("HEAD", "/health/live", user=None).status == 200


def test_a_missing_token_comes_before_a_bad_body(api: Api) -> None:
    assert api.call("POST", "/jobs", b"{", user=None).status == 401


def test_another_scheme_than_bearer_is_401(api: Api) -> None:
    basic = {"HTTP_AUTHORIZATION": "Basic YWRtaW46YWRtaW4="}
    assert api.get("/jobs", headers=basic).status == 401


def test_the_scheme_may_be_in_any_case(api: Api) -> None:
    header = {"HTTP_AUTHORIZATION": f"bearer {api.tokens['viewer']}"}
    assert api.get("/jobs", headers=header).status == 200


def test_a_revoked_token_is_401(api: Api) -> None:
    tokens.revoke_token(api.services.database, 1, NOW, "test")
    assert api.get("/jobs").status == 401


def test_an_expired_token_is_401_from_its_second_on(api: Api) -> None:
    database = api.services.database
    api.tokens["brief"] = tokens.add_token(database, "admin", "brief", NOW + 60, NOW, "test").text
    assert api.get("/jobs", user="brief").status == 200
    api.time[0] += 60
    assert api.get("/jobs", user="brief").status == 401


def test_a_tokens_use_is_noted_once_a_minute(api: Api) -> None:
    def seen() -> float | None:
        return tokens.list_tokens(api.services.database)[0].last_used_at

    api.get("/jobs")
    api.time[0] += 59
    api.get("/jobs")
    assert seen() == NOW
    api.time[0] += 1
    api.get("/jobs")
    assert seen() == NOW + 60


def test_tokens_are_stored_as_digests_only(api: Api, tmp_path) -> None:
    written = b"".join(file.read_bytes() for file in tmp_path.glob("dcron.db*"))
    assert api.tokens["admin"].encode() not in written
    assert tokens.digest_of(api.tokens["admin"]).encode() in written


def test_a_viewer_reads_but_does_not_write(api: Api) -> None:
    api.post("/jobs", COMMAND)
    assert api.get("/jobs", user="viewer").status == 200
    assert api.post("/jobs", COMMAND, user="viewer").status == 403
    assert api.delete("/jobs/1", user="viewer").status == 403


def test_root_is_only_for_those_who_are_named_for_it(api: Api) -> None:
    body = {**COMMAND, "run_as": "root"}
    assert api.post("/jobs", body, user="admin").status == 201
    refused = api.post("/jobs", body, user="operator")
    assert (refused.status, refused.fields) == (403, ["run_as"])


def test_a_star_stands_for_every_os_user_but_root(api: Api) -> None:
    star = users.Principal("u", users.Role.OPERATOR, (), ("*",))
    assert star.may_run_as("backup")
    assert not star.may_run_as("root")


def test_variables_that_steer_loaders_are_for_admins(api: Api) -> None:
    body = {**COMMAND, "environment": {"LD_PRELOAD": "/tmp/x.so"}}
    assert api.post("/jobs", body, user="admin").status == 201
    refused = api.post("/jobs", body, user="operator")
    assert (refused.status, refused.fields) == (403, ["environment.LD_PRELOAD"])


def test_only_an_admin_makes_another_the_owner(api: Api) -> None:
    body = {**COMMAND, "owner": "viewer"}
    assert api.post("/jobs", body, user="admin").json["owner"] == "viewer"
    assert api.post("/jobs", body, user="operator").fields == ["owner"]


def test_every_answer_carries_the_security_headers(api: Api) -> None:
    for path in ("/jobs", "/nothing", "/health/live"):
        assert api.get(path).headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in api.get(path).headers
