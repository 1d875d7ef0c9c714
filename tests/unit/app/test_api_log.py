"""What the log says of requests: who was refused, who drained; never a token."""

import logging

import pytest

from dcron_common.errors import DatabaseUnavailable
from tests.unit.app.api_client import COMMAND, Api
from tests.unit.app.test_api_workers import register

PEER = {"HTTP_X_FORWARDED_FOR": "192.0.2.7"}


@pytest.fixture(autouse=True)
def levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_an_unknown_token_is_logged_once_with_the_peer_and_without_the_token(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.get("/jobs?token=dcron_secretsecret", user="dcron_wrongwrong", headers=PEER)
    (line,) = caplog.messages
    assert line == "refused status=401 peer=192.0.2.7 user=- method='GET' path='/jobs'"


def test_a_forbidden_request_is_logged_once_with_its_user(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.post("/jobs", COMMAND, user="viewer", headers=PEER)
    api.post("/jobs", {**COMMAND, "run_as": "root"}, user="operator", headers=PEER)
    assert caplog.messages == [
        "refused status=403 peer=192.0.2.7 user=viewer method='POST' path='/jobs'",
        "refused status=403 peer=192.0.2.7 user=operator method='POST' path='/jobs'",
    ]
    assert not any(token in caplog.text for token in api.tokens.values())


def test_other_refusals_are_not_logged(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.get("/jobs/7")
    api.post("/jobs", {})
    assert caplog.messages == []


@pytest.mark.parametrize("claimed", ["a b\nuser=root", "192.0.2.7, 10.0.0.1", ""])
def test_a_peer_that_is_no_address_is_not_repeated(
    api: Api, caplog: pytest.LogCaptureFixture, claimed: str
) -> None:
    api.get("/jobs", user=None, headers={"HTTP_X_FORWARDED_FOR": claimed, "REMOTE_ADDR": "::1"})
    assert "peer=::1 " in caplog.text
    assert "root" not in caplog.text


def test_a_path_cannot_forge_a_line_or_carry_a_token(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.get("/x%0Auser=root%27/dcron_abcdefghijk", user=None)
    (line,) = caplog.messages
    assert line.endswith("""path="/x\\nuser=root'/***\"""")


def test_draining_is_logged_with_its_user(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    register(api, "node1")
    api.call("POST", "/workers/node1/drain")
    api.call("POST", "/workers/node1/resume")
    assert caplog.messages == ["worker=node1 drained user=admin", "worker=node1 resumed user=admin"]


def test_health_is_logged_when_a_part_changes_and_not_for_each_probe(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise DatabaseUnavailable("gone")

    api.get("/health/ready", user=None)
    with monkeypatch.context() as ill:
        ill.setattr(api.services.database, "check", away)
        for _ in range(3):
            api.get("/health/ready", user=None)
    for _ in range(2):
        api.get("/health/ready", user=None)
    assert caplog.messages == [
        "database is ill: DatabaseUnavailable: gone",
        "database is well again",
    ]
