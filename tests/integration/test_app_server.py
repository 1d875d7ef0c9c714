"""`dcron-app` as a control node runs it: gunicorn with TLS, MariaDB, and ZooKeeper away."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path

import pytest

from dcron_common.db import migrations
from tests.servers import mariadb
from tests.servers.api import ApiServer
from tests.servers.certificates import Authority

THREADS = 2
API = f"threads = {THREADS}\nidle_seconds = 3\nmax_executable_bytes = 2097152"
DATABASE = """
hosts = ["127.0.0.1:{port}"]
name = "dcron"
user = "{user}"
password = "{password}"
ca = "{ca}"
"""


@dataclass
class App(ApiServer):
    token: str = ""

    def call(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=self.context(), timeout=60
        )
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        found = answer.status, dict(answer.headers), answer.read()
        connection.close()
        return found

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    def connect(self) -> socket.socket:
        """A connection on which nothing was said yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def shake_hands(self) -> ssl.SSLSocket:
        """A connection with TLS."""
        return self.context().wrap_socket(self.connect(), server_hostname="127.0.0.1")


def trickle(connection: ssl.SSLSocket, pieces: Iterator[bytes]) -> bytes:
    """Send a byte now and then until there is an answer; b"" where the other side hangs up."""
    deadline = time.monotonic() + 60
    connection.settimeout(0.2)  # what passes between two bytes
    for piece in pieces:
        assert time.monotonic() < deadline, "the server waits for ever"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(piece)
        with contextlib.suppress(TimeoutError):
            try:
                return connection.recv(4096)
            except (ConnectionResetError, ssl.SSLEOFError):
                return b""
    raise AssertionError("nothing is left to send")


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
    server = mariadb.MariaDBServer(folder / "mariadb")
    server.folder.mkdir()
    with_tls(server, authority)
    with server:
        server.create_database("dcron")
        given = {"port": server.port, "user": server.user, "password": server.password}
        database = DATABASE.format(**given, ca=authority.ca)
        yield from serve(App.made(folder, authority, "dcron-app", API, database))


def serve(app: App) -> Iterator[App]:
    assert "run `dcron-app migrate`" in app.run("user", "list").stderr
    assert app.run("migrate").stdout == f"schema {migrations.LATEST} (from 0)\n"
    assert app.run("migrate").stdout == f"schema {migrations.LATEST} (no change)\n"
    assert app.run("user", "add", "admin", "--role", "admin", "--os-user", "root").returncode == 0
    app.token = app.run("token", "add", "admin", "--name", "test").stdout.strip()
    with app.serving():
        yield app


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


def test_clients_that_stall_in_the_handshake_do_not_stop_the_api(app: App) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(3 * THREADS):
            held.enter_context(app.connect()).sendall(b"\x16")
        assert app.call("GET", "/health/live")[0] == 200
    assert "Traceback" not in app.log.read_text()


def test_clients_that_stall_in_a_request_do_not_stop_the_api(app: App) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(3 * THREADS):
            held.enter_context(app.shake_hands()).sendall(b"G")
        assert app.call("GET", "/health/live")[0] == 200
    assert "Traceback" not in app.log.read_text()


def test_a_head_that_trickles_in_ends_the_connection(app: App) -> None:
    with app.shake_hands() as connection:
        assert trickle(connection, chain([b"GET / HTTP/1.1\r\nX: "], repeat(b"x"))) == b""


def test_a_body_that_trickles_in_is_408(app: App) -> None:
    lines = ["POST /jobs HTTP/1.1", "Host: dcron", f"Authorization: Bearer {app.token}"]
    lines += ["Content-Type: application/json", "Content-Length: 100000", "", ""]
    with app.shake_hands() as connection:
        answer = trickle(connection, chain(["\r\n".join(lines).encode()], repeat(b" ")))
    assert answer.startswith(b"HTTP/1.1 408 ")


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


def test_a_password_comes_from_stdin_or_a_file_and_opens_a_login(app: App, tmp_path: Path) -> None:
    app.run("user", "add", "pat", "--role", "operator", "--team", "ops", "--team", "web")
    assert "pat\toperator\tops,web\tdcron-job\tactive\n" in app.run("user", "list").stdout
    nobody = replace(app, token="none")

    def logs_in(password: str) -> bool:
        body = {"name": "pat", "password": password}
        status, _, answer = nobody.call("POST", "/login", body)
        return status == 200 and "token" in json.loads(answer)

    assert "too short" in app.run("user", "password", "pat", given="short\n").stderr
    assert app.run("user", "password", "pat", given="correct horse battery\n").returncode == 0
    assert logs_in("correct horse battery")
    file = tmp_path / "password"
    file.write_text("staple of the horse\n")
    assert app.run("user", "password", "pat", "--file", str(file)).returncode == 0
    assert logs_in("staple of the horse")
    assert not logs_in("correct horse battery")
    assert "no user 'bob'" in app.run("user", "password", "bob", given="x\n").stderr
    text = app.log.read_text()
    assert "correct horse" not in text and "staple of" not in text


def test_a_token_for_reading_only_reads(app: App) -> None:
    made = app.run("token", "add", "admin", "--name", "dashboard", "--scope", "read")
    reader = replace(app, token=made.stdout.strip())
    assert reader.call("GET", "/jobs")[0] == 200
    assert reader.call("POST", "/jobs", COMMAND)[0] == 403


def test_the_last_admin_stays(app: App) -> None:
    refused = app.run("user", "set", "admin", "--disable")
    assert refused.returncode == 1
    assert "last admin" in refused.stderr


def test_a_user_is_changed_disabled_and_enabled(app: App) -> None:
    assert app.run("user", "add", "kim", "--role", "viewer").returncode == 0
    kim = replace(app, token=app.run("token", "add", "kim", "--name", "t").stdout.strip())
    assert kim.call("POST", "/jobs", COMMAND)[0] == 403
    asked = ["user", "set", "kim", "--role", "operator", "--os-user", "root", "--os-user", "www"]
    assert app.run(*asked).stdout == ""
    assert kim.call("POST", "/jobs", COMMAND)[0] == 201
    assert app.run(*asked).stdout == "no change\n"
    assert app.run("user", "set", "kim", "--disable").returncode == 0
    assert kim.call("GET", "/jobs")[0] == 401
    assert "kim\toperator\t-\troot,www\tdisabled\n" in app.run("user", "list").stdout
    assert app.run("user", "set", "kim", "--enable").returncode == 0
    assert kim.call("GET", "/jobs")[0] == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "--enable"], "no user 'nobody'"),
        (["admin"], "give --role"),
        (["admin", "--os-user", "a b"], "--os-user"),
        (["admin", "--enable", "--disable"], "not allowed with"),
    ],
)
def test_a_change_of_a_user_that_makes_no_sense_is_refused(
    app: App, arguments: list[str], message: str
) -> None:
    done = app.run("user", "set", *arguments)
    assert done.returncode != 0
    assert message in done.stderr


def test_a_wrong_configuration_names_its_key(app: App, tmp_path: Path) -> None:
    bad = App(tmp_path / "app.toml", 0, app.ca, app.log)
    bad.config.write_text(app.config.read_text().replace("processes = 1", "processes = 0"))
    checked = bad.run("config", "check")
    assert checked.returncode == 1
    assert "api.processes" in checked.stderr
    assert app.run("config", "check").stdout == "the configuration is sound\n"


@pytest.mark.parametrize("command", [["serve"], ["manager"], ["config", "check"]])
@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("", 0o640, "holds no key"),
        ("changeme\n", 0o640, "is not 64 random hex digits"),
        ("0123456789abcdef" * 4, 0o644, "chmod 0640"),
        (None, 0, "cannot be read"),
    ],
)
def test_a_wrong_empty_or_open_file_of_keys_is_refused_at_the_start(
    app: App, tmp_path: Path, command: list[str], text: str | None, mode: int, message: str
) -> None:
    keys = tmp_path / "secrets.keys"
    if text is not None:
        keys.write_text(text)
        keys.chmod(mode)
    bad = App(tmp_path / "app.toml", 0, app.ca, app.log)
    there = app.config.with_name("secrets.keys")
    bad.config.write_text(app.config.read_text().replace(str(there), str(keys)))
    done = bad.run(*command)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
    assert not text or text.strip() not in done.stderr


@pytest.fixture
def keys(app: App) -> Iterator[Path]:
    """The server's file of keys; what a test writes into it is put back."""
    path = app.config.with_name("secrets.keys")
    before = path.read_text()
    yield path
    path.write_text(before)


def test_secrets_are_encrypted_anew_after_a_rotation(app: App, keys: Path) -> None:
    assert app.call("PUT", "/secrets/KEY", {"value": "planted-dragon"})[0] == 201
    keys.write_text("9a3b5c7d" * 8 + "\n" + keys.read_text())
    assert app.run("secrets", "reencrypt").stdout.startswith("1 secrets, 1 of them encrypted anew")
    keys.write_text("9a3b5c7d" * 8 + "\n")
    assert app.run("secrets", "reencrypt").stdout.startswith("1 secrets, 0 of them")
    keys.write_text("0123456789abcdef" * 4 + "\n")
    refused = app.run("secrets", "reencrypt")
    assert refused.returncode == 1 and "secret KEY" in refused.stderr
    assert "planted-dragon" not in app.log.read_text()
