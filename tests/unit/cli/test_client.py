"""What becomes of answers: exit codes, words, and a token that goes nowhere else."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from dcron_cli.client import Client, path
from dcron_cli.config import Target
from tests.unit.cli.cluster import TOKEN, URL, Asked, Reply, Script, Terminal, problem, run


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 1), (401, 3), (403, 3), (404, 4), (409, 1), (412, 1), (422, 1), (429, 5), (500, 1)]
    + [(502, 5), (503, 5), (504, 5)],
)
def test_each_refusal_has_its_exit_code(tmp_path: Path, status: int, code: int) -> None:
    terminal = Terminal(Script({"GET /workers": problem(status, "no \x1b[2J")}), tmp_path)
    told = terminal("worker", "list")
    assert told.exit_code == code
    assert told.stderr.startswith("dcron: no \\x1b[2J")
    assert told.stdout == ""


@pytest.mark.parametrize(
    "error",
    [requests.ConnectionError("refused"), requests.Timeout("slow"), requests.exceptions.SSLError()],
)
def test_no_answer_is_unreachable_and_says_what_to_look_at(
    tmp_path: Path, error: Exception
) -> None:
    told = Terminal(Script({"GET /workers": error}), tmp_path)("worker", "list")
    assert told.exit_code == 5
    assert URL in told.stderr


def test_the_fields_of_a_problem_are_lines(tmp_path: Path) -> None:
    refused = problem(422, "refused: a, b", ("a", "is too long"), ("b", "is\nempty"))
    told = Terminal(Script({"GET /workers": refused}), tmp_path)("worker", "list")
    assert told.stderr.splitlines() == [
        "dcron: refused: a, b",
        "  a: is too long",
        "  b: is\\x0aempty",
    ]


@pytest.mark.parametrize("status", [429, 503])
def test_when_to_ask_again_is_said(tmp_path: Path, status: int) -> None:
    away = problem(status, "the database is away", **{"Retry-After": "5"})
    told = Terminal(Script({"GET /workers": away}), tmp_path)("worker", "list")
    assert told.exit_code == 5
    assert "the database is away (try again in 5 s)" in told.stderr


def test_too_many_wrong_passwords_end_with_not_now(tmp_path: Path) -> None:
    many = problem(429, "too many wrong passwords", **{"Retry-After": "60"})
    script = Script({"POST /login": many})
    told = Terminal(script, tmp_path)("login", "--url", URL, "--name", "ann", typed="kept-quiet\n")
    assert told.exit_code == 5, told.output
    assert "too many wrong passwords (try again in 60 s)" in told.stderr
    assert len(script.asked) == 1


def test_without_a_token_the_remedy_is_a_login(tmp_path: Path) -> None:
    script = Script({"GET /workers": problem(401, "no token")})
    told = Terminal(script, tmp_path, token=None)("worker", "list")
    assert told.exit_code == 3
    assert "dcron login" in told.stderr
    assert "Authorization" not in script.asked[0].headers


def test_without_a_cluster_the_remedy_is_a_login(tmp_path: Path) -> None:
    told = Terminal(Script({}), tmp_path, token=None, url=None)("worker", "list")
    assert told.exit_code == 2
    assert "no cluster is known yet: dcron login" in told.stderr


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"<html>", 200),
        Reply(b"<html>", 404),
        Reply({"detail": 3}, 404),
        Reply(None, 301, {"Location": "https://evil.example"}),
    ],
)
def test_what_is_no_dcron_is_told_apart(tmp_path: Path, reply: Reply) -> None:
    script = Script({"GET /workers": reply})
    told = Terminal(script, tmp_path)("worker", "list")
    assert told.exit_code == 1
    assert "is it the address of a cluster" in told.stderr or "give that address" in told.stderr
    assert len(script.asked) == 1  # no redirect was followed


def test_a_link_to_another_host_gets_no_token() -> None:
    first = Reply([run()], headers={"Link": '<https://evil.example/runs?after=x>; rel="next"'})
    script = Script({"GET /runs": [first, Reply([run()])]})
    http = requests.Session()
    http.mount("http://", script)
    found = Client(Target(URL, TOKEN, None, "test"), http).listed("/runs", {}, None)
    assert len(found.items) == 2 and not found.more
    assert script.asked[1].query == {"after": ["x"]}
    assert script.asked[1].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_netrc_file_does_not_replace_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine dcron.example login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    script = Script({"GET /workers": []})
    assert Terminal(script, tmp_path, url="https://dcron.example")("worker", "list").exit_code == 0
    assert script.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_request_that_may_be_repeated_is_asked_once_more(tmp_path: Path) -> None:
    seen: list[Asked] = []

    def flaky(asked: Asked) -> Reply:
        seen.append(asked)
        if len(seen) == 1:
            raise requests.ConnectionError("lost")
        return Reply({"ok": True}, 201)

    http = requests.Session()
    http.mount("http://", Script({"POST /jobs": flaky}))
    client = Client(Target(URL, TOKEN, None, "test"), http)
    assert client.ask("POST", "/jobs", {"a": 1}, repeatable=True).json == {"ok": True}
    assert [one.body for one in seen] == [{"a": 1}, {"a": 1}]


def test_parts_of_a_path_are_quoted() -> None:
    assert path("workers", "a/../b?c") == "/workers/a%2F..%2Fb%3Fc"


@pytest.mark.parametrize("name", ["", ".", "..", "x" * 256, "\udcff"])
@pytest.mark.parametrize(
    "command",
    [("worker", "show"), ("secret", "rm", "--yes"), ("run", "show", "1"), ("job", "show")],
    ids=" ".join,
)
def test_what_nothing_can_be_called_is_not_found(
    tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    script = Script({"GET /jobs/1": {"id": "1", "name": None}, "GET /jobs": []})
    told = Terminal(script, tmp_path)(*command, "--", name)
    assert told.exit_code == (2 if (command[0], name) == ("job", "\udcff") else 4), told.output
    assert told.stderr.startswith("dcron: ")
    assert all(one.path.startswith("/jobs") for one in script.asked)  # `..` led nowhere else
    assert len(told.stderr) < 600


def test_a_text_that_no_server_takes_is_a_usage_error(tmp_path: Path) -> None:
    script = Script({"GET /jobs": Reply(b"<html>", 400)})
    told = Terminal(script, tmp_path)("job", "list", "--text", "x" * 5000)
    assert told.exit_code == 2
    assert "is longer than any name" in told.stderr


def test_no_token_is_in_any_message_or_error(tmp_path: Path) -> None:
    for reply in (requests.ConnectionError("x"), problem(401, "bad"), Reply(b"<", 500)):
        told = Terminal(Script({"GET /workers": reply}), tmp_path)("worker", "list", "--json")
        assert TOKEN not in told.output + repr(told.exception) + json.dumps(str(told.exc_info))


class _Dribble(BaseHTTPRequestHandler):
    """Sends a piece, and the next when the test has seen the one before."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[threading.Event]

    def do_GET(self) -> None:
        chunked = self.path == "/chunked"
        self.send_response(200)
        self.send_header(
            *(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close"))
        )
        self.end_headers()
        for piece in (b"first\n", b"second\n", b""):
            framed = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.wfile.write(framed if chunked else piece)
            self.wfile.flush()
            if piece:
                assert self.seen.wait(30)
                self.seen.clear()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.mark.parametrize("how", ["chunked", "until-closed"])
def test_what_a_server_sends_is_seen_at_once(how: str) -> None:
    _Dribble.seen = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Dribble)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        client = Client(Target(f"http://127.0.0.1:{server.server_port}", TOKEN, None, "test"))
        _, pieces = client.stream(f"/{how}", patient=True)
        got = []
        for piece in pieces:  # waits for ever, unless each comes before the next is sent
            got.append(piece)
            _Dribble.seen.set()
        assert got == [b"first\n", b"second\n"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
