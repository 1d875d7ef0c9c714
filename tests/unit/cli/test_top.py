"""`dcron top`."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dcron_cli.overview import headline
from tests.unit.cli.cluster import TOKEN, Script, Terminal, job, run
from tests.unit.cli.test_worker import NODE

CLUSTER = {
    "leader": "ctl1",
    "epoch": 4,
    "workers": {"online": 1, "offline": 1, "drained": 0, "ill": 0, "isolated": 1},
    "queue": {"inbox": 3, "tasks": 1, "claims": 2},
    "lateness_seconds": 2.4,
    "isolated": ["node2"],
    "journals": {"waiting": 5, "looked_at": 2},
    "database": "ok",
    "coordinator": "ok",
    "object_store": "ok",
    "problems": [{"what": "node2 is cut off\x1b[2J", "remedy": "look at its network"}],
}
ANSWERS: dict[str, Any] = {
    "GET /cluster": CLUSTER,
    "GET /workers": [NODE],
    "GET /runs": [run("running")],
    "GET /jobs": [job(7, name="backup", status="error", last_run=run("failed", reason="exit 3"))],
}


def test_where_stdout_is_no_terminal_it_is_told_once(
    answering: Callable[[dict[str, Any]], Terminal],
) -> None:
    terminal = answering(ANSWERS)
    told = terminal("top")
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0] == (
        "dcron at 08:00:30Z   leader ctl1   workers 1 online, 0 ill   waiting 3 changes, 1 runs   "
        "late 2 s   isolated 1   unrecorded 5"
    )
    assert lines[1] == "! node2 is cut off\\x1b[2J: look at its network"
    assert [line for line in lines if line.startswith(("workers", "running", "jobs in"))] == [
        *("workers: 1", "running: 1", "jobs in error: 1")
    ]
    assert lines[-1].split() == ["7", "backup", "5", "*", "*", "*", "*", "failed", "exit", "3"]
    assert isinstance(terminal.adapter, Script)
    assert [one.query.get("state", one.query.get("status")) for one in terminal.adapter.asked] == [
        *(None, None, ["running"], ["error"])
    ]


def test_programs_get_each_part_as_the_api_has_it(
    answering: Callable[[dict[str, Any]], Terminal],
) -> None:
    told = json.loads(answering(ANSWERS)("top", "--json").stdout)
    assert told["cluster"] == CLUSTER
    assert list(told) == ["cluster", "workers", "running", "errors"]


def test_what_does_not_answer_is_told_as_such() -> None:
    away = dict.fromkeys(("leader", "lateness_seconds", "workers", "queue", "journals"))
    assert headline({**CLUSTER, **away}, "now") == (
        "dcron at now   leader none   workers -   waiting -   late -   isolated 1   unrecorded -"
    )


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = json.dumps(ANSWERS[f"GET {urlsplit(self.path).path}"]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def _read(descriptor: int, until: Callable[[bytes], bool], seconds: float = 30.0) -> bytes:
    """What the terminal shows, until it shows something or is closed."""
    shown, deadline = b"", time.monotonic() + seconds
    while not until(shown):
        left = deadline - time.monotonic()
        assert left > 0, shown
        if select.select([descriptor], [], [], left)[0]:
            try:
                shown += os.read(descriptor, 65_536)
            except OSError:  # Linux' way to say that the other side is closed
                return shown
    return shown


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_on_a_terminal_it_goes_on_until_q_or_ctrl_c(url: str, tmp_path: Path, key: bytes) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "DCRON_URL": url, "DCRON_TOKEN": TOKEN, "TERM": "xterm"}
    program = "import sys; from dcron_cli.main import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "top", "--every", "0.5"],
        **{"stdin": theirs, "stdout": theirs, "stderr": theirs},
        env=environment,
        cwd=Path(__file__).parents[3],
        start_new_session=True,
        preexec_fn=lambda: _control(theirs),
    )
    os.close(theirs)
    try:
        shown = _read(ours, lambda seen: seen.count(b"ctl1") >= 2)
        os.write(ours, key)
        shown += _read(ours, lambda _: process.poll() is not None)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"\\x1b[2J: look at its network" in shown


def _control(descriptor: int) -> None:
    """Make it the terminal of this session, so that ctrl-C is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
