"""What the load balancer is told about a MariaDB."""

import importlib.util
import socket
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "roles/mysql/files/dcron_mysql_health.py"
spec = importlib.util.spec_from_file_location("dcron_mysql_health", FILE)
assert spec and spec.loader
health = importlib.util.module_from_spec(spec)
spec.loader.exec_module(health)

SYNCED = {
    "wsrep_on": "ON",
    "wsrep_ready": "ON",
    "wsrep_cluster_status": "Primary",
    "wsrep_local_state_comment": "Synced",
    "read_only": "OFF",
}


def test_a_synced_member_of_the_primary_component_is_writable() -> None:
    assert health.judge(SYNCED)[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("wsrep_ready", "OFF"),
        ("wsrep_cluster_status", "non-Primary"),
        ("wsrep_local_state_comment", "Donor/Desynced"),
        ("wsrep_local_state_comment", "Joining"),
        ("read_only", "ON"),
    ],
)
def test_a_member_in_any_other_state_is_not(name: str, value: str) -> None:
    healthy, told = health.judge(SYNCED | {name: value})
    assert not healthy
    assert f"{name}={value}" in told


def test_a_server_without_galera_is_writable_unless_read_only() -> None:
    assert health.judge({"wsrep_on": "OFF", "read_only": "OFF"})[0]
    assert not health.judge({"wsrep_on": "OFF", "read_only": "ON"})[0]


def test_a_server_that_says_nothing_is_not_writable() -> None:
    assert not health.judge({})[0]


@pytest.mark.parametrize(
    ("error", "told"),
    [(BrokenPipeError(), False), (ConnectionResetError(), False), (KeyError(), True)],
)
def test_a_load_balancer_that_hung_up_is_no_traceback(
    error: Exception, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = health.Server(listener, frozenset())
        try:
            raise error
        except type(error):
            server.handle_error(None, ("127.0.0.1", 1))
    assert ("Traceback" in capsys.readouterr().err) is told
