"""The embedded mode as its user has it: a process, a folder, HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

START = 30.0


class Server:
    """`dcron standalone` on a free port."""

    def __init__(self, state: Path) -> None:
        self.state = state
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.state.parent / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from dcron_cli.main import main; raise SystemExit(main())"]
                + ["standalone", "--state", str(self.state), "--crontab", "none"]
                + ["--listen", f"127.0.0.1:{self.port}"],
                stderr=log,
            )
        wait_for(self._ready, START)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.state.parent / "log").read_text()
        try:
            return requests.get(f"{self.url}/health/ready", timeout=2).status_code == 200
        except requests.ConnectionError:
            return False

    def signal(self, number: int) -> int:
        """Send a signal and return the exit code, within 10 s."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=10)

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        token = token or (self.state / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=10)

    def post(self, **job: Any) -> str:
        answer = self.ask("POST", "/jobs", job)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def runs(self, job: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/jobs/{job}/runs").json())


def wait_for(condition: Callable[[], bool], timeout: float) -> None:
    """Poll a condition until it holds, or fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s"
        time.sleep(0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "state")
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.signal(signal.SIGTERM)


def test_it_ends_on_sigterm_within_10_seconds(server: Server) -> None:
    assert server.signal(signal.SIGTERM) == 0


def test_the_admin_token_is_private_and_stays_the_same(server: Server) -> None:
    path = server.state / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    server.signal(signal.SIGTERM)
    server.start()
    assert path.read_text() == before
    assert server.ask("GET", "/jobs").status_code == 200
    assert server.ask("GET", "/jobs", token="wrong").status_code == 401


def test_killed_at_any_moment_it_goes_on_with_its_jobs_and_runs(
    server: Server, tmp_path: Path
) -> None:
    marks = tmp_path / "marks"
    release = tmp_path / "release"
    command = (
        f"echo begin >> {marks}; while [ ! -e {release} ]; do sleep 0.1; done; echo end >> {marks}"
    )
    job = server.post(executable=command, schedule="* * * * *", type="command")
    wait_for(lambda: marks.exists(), 75)
    server.signal(signal.SIGKILL)
    server.start()
    assert server.ask("GET", f"/jobs/{job}").json()["schedule"] == "* * * * *"
    release.touch()
    wait_for(lambda: bool(ended(server, job)), 30)
    assert ended(server, job)[0]["state"] == "succeeded"
    assert ended(server, job)[0]["attempt"] == 1
    assert marks.read_text().split()[:2] == ["begin", "end"]


def ended(server: Server, job: str) -> list[dict[str, Any]]:
    return [run for run in server.runs(job) if run["finished_at"] and run["started_at"]]


def test_another_users_name_is_refused(server: Server) -> None:
    body = {"executable": "id", "schedule": "* * * * *", "type": "command", "run_as": "nobody"}
    answer = server.ask("POST", "/jobs", body)
    assert answer.status_code in (403, 422)
    assert "run_as" in json.dumps(answer.json())


def test_a_second_instance_on_the_same_folder_is_refused(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from dcron_cli.main import main; raise SystemExit(main())"]
        + ["standalone", "--state", str(server.state), "--listen", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ.copy(),
    )
    assert done.returncode == 2
    assert "another dcron standalone uses it" in done.stderr


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from dcron_cli.main import main; raise SystemExit(main())"]
        + ["standalone", "--state", str(tmp_path), "--listen", "0.0.0.0:30000"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert "loopback" in done.stderr
