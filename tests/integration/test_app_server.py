"""`dcron-app` as a control node runs it: gunicorn with TLS, MariaDB, and ZooKeeper away."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import mariadb
from tests.servers.certificates import Authority
from tests.servers.process import end, free_port, launch, wait_until_ready

CONFIG = """
[cluster]
[api]
listen = "127.0.0.1:{port}"
tls_certificate = "{certificate}"
tls_key = "{key}"
processes = 1
max_executable_bytes = 2097152
[database]
hosts = ["127.0.0.1:{database_port}"]
name = "dcron"
user = "{user}"
password = "{password}"
ca = "{ca}"
[zookeeper]
hosts = ["127.0.0.1:1"]
certificate = "{certificate}"
key = "{key}"
ca = "{ca}"
[object_store]
kind = "directory"
path = "{folder}/objects"
[log]
"""


@dataclass
class App:
    config: Path
    port: int
    ca: Path
    log: Path
    token: str = ""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dcron_app.main", *arguments, "--config", str(self.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def call(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, str], bytes]:
        context = ssl.create_default_context(cafile=str(self.ca))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=context, timeout=20
        )
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        found = answer.status, dict(answer.headers), answer.read()
        connection.close()
        return found

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def with_tls(server: mariadb.MariaDBServer, authority: Authority) -> None:
    """Let the server show a certificate of `authority`."""
    certificate = authority.issue("database")
    server.options = (
        f"--ssl-cert={certificate.certificate}",
        f"--ssl-key={certificate.key}",
        f"--ssl-ca={authority.ca}",
    )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    reason = mariadb.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("app")
    authority = Authority(folder)
    certificate = authority.issue("dcron-app")
    server = mariadb.MariaDBServer(folder / "mariadb")
    server.folder.mkdir()
    with_tls(server, authority)
    with server:
        server.create_database("dcron")
        port = free_port()
        config = folder / "app.toml"
        config.write_text(
            CONFIG.format(
                port=port,
                certificate=certificate.certificate,
                key=certificate.key,
                database_port=server.port,
                user=server.user,
                password=server.password,
                ca=authority.ca,
                folder=folder,
            )
        )
        made = App(config, port, authority.ca, folder / "api.log")
        yield from serve(made)


def serve(app: App) -> Iterator[App]:
    assert "run `dcron-app migrate`" in app.run("user", "list").stderr
    assert app.run("migrate").stdout == "schema 1 (from 0)\n"
    assert app.run("migrate").stdout == "schema 1 (no change)\n"
    assert app.run("user", "add", "admin", "--role", "admin", "--os-user", "root").returncode == 0
    app.token = app.run("token", "add", "admin", "--name", "test").stdout.strip()
    command = [sys.executable, "-m", "dcron_app.main", "--config", str(app.config), "serve"]
    process = launch(command, app.log)
    try:
        wait_until_ready(process, app.listens, app.log, 30)
        yield app
    finally:
        end(process)


COMMAND = {"executable": "ls -la", "schedule": "5 * * * *", "type": "command", "run_as": "root"}


def test_jobs_are_taken_and_shown_though_zookeeper_is_away(app: App) -> None:
    status, _, body = app.call("POST", "/jobs", COMMAND)
    assert status == 201, body
    job = json.loads(body)
    assert json.loads(app.call("GET", f"/jobs/{job['id']}")[2]) == job
    assert job in json.loads(app.call("GET", "/jobs")[2])


def test_a_delete_that_cannot_be_fenced_is_503(app: App) -> None:
    job = json.loads(app.call("POST", "/jobs", COMMAND)[2])
    status, headers, _ = app.call("DELETE", f"/jobs/{job['id']}")
    assert (status, headers["Retry-After"]) == (503, "5")


def test_readiness_names_what_is_ill(app: App) -> None:
    status, _, body = app.call("GET", "/health/ready")
    parts = {"database": "ok", "coordinator": "ill", "object_store": "ok"}
    assert (status, json.loads(body)) == (200, {"status": "degraded", **parts})


def test_a_body_far_above_bottles_own_limit_is_read(app: App) -> None:
    data = base64.b64encode(b"\x00" * 2_000_000).decode()
    status, _, body = app.call("POST", "/jobs", {**COMMAND, "type": "binary", "executable": data})
    assert status == 201
    file = app.call("GET", f"/jobs/{json.loads(body)['id']}/executable")[2]
    assert file == b"\x00" * 2_000_000


def test_the_server_does_not_say_what_it_is(app: App) -> None:
    assert app.call("GET", "/health/live")[1]["Server"] == "dcron"


def test_tokens_do_not_reach_the_log(app: App) -> None:
    app.call("GET", f"/jobs?token={app.token}")
    assert app.token not in app.log.read_text()


def test_users_and_tokens_are_listed_and_revoked(app: App) -> None:
    assert app.run("user", "add", "eve", "--role", "viewer").returncode == 0
    assert app.run("user", "add", "eve", "--role", "viewer").returncode == 1
    assert app.run("user", "add", "eve", "--role", "viewer", "--if-missing").returncode == 0
    assert "eve\tviewer\t-\tdcron-job\tactive\n" in app.run("user", "list").stdout
    app.run("token", "add", "eve", "--name", "t", "--expires", "1")
    number = app.run("token", "list").stdout.splitlines()[-1].split("\t")[0]
    assert app.run("token", "revoke", number).returncode == 0
    assert "no token" in app.run("token", "revoke", number).stderr
    assert "no user 'bob'" in app.run("token", "add", "bob", "--name", "t").stderr


def test_a_wrong_configuration_names_its_key(app: App, tmp_path: Path) -> None:
    bad = App(tmp_path / "app.toml", 0, app.ca, app.log)
    bad.config.write_text(app.config.read_text().replace("processes = 1", "processes = 0"))
    checked = bad.run("config", "check")
    assert checked.returncode == 1
    assert "api.processes" in checked.stderr
    assert app.run("config", "check").stdout == "the configuration is sound\n"
