"""The embedded mode as its user has it: a process, a folder, HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.process import free_port

PATIENCE = 120.0  # seconds; a minute until crond's next, and a busy machine
COMMAND = [
    sys.executable,
    "-c",
    "from dcron_cli.main import main; raise SystemExit(main())",
    "standalone",
]


class Server:
    """`dcron standalone` on a free port; `around`: a command that it is started by."""

    def __init__(self, state: Path, around: Sequence[str] = ()) -> None:
        self.state = state
        self.around = around
        self.log = state.parent / "log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, crontab: str = "none") -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.around, *COMMAND, "--state", str(self.state), "--crontab", crontab]
                + ["--listen", f"127.0.0.1:{self.port}"],
                stderr=log,
            )
        wait_for(self._ready)

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/health/ready", timeout=30).status_code == 200
        except requests.ConnectionError:
            return False

    def signal(self, number: int) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        token = token or (self.state / "token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=60)

    def post(self, **job: Any) -> str:
        answer = self.ask("POST", "/jobs", job)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def runs(self, job: str) -> list[dict[str, Any]]:
        return list(self.ask("GET", f"/jobs/{job}/runs").json())


def wait_for(condition: Callable[[], bool]) -> None:
    """Poll a condition until it holds, or fail when patience is over."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s"
        time.sleep(0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "state")
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.signal(signal.SIGTERM)


def test_it_ends_well_on_sigterm(server: Server) -> None:
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
        f"echo begin >> {marks}; while [ ! -e {release} ]; do sleep 0.1; done; echo end >> {marks};"
        " seq 20000"
    )
    # A busy machine may take longer to start it again than a lease lasts: `skip` would end the run.
    job = server.post(executable=command, schedule="* * * * *", type="command", on_isolation="run")
    wait_for(lambda: marks.exists())
    server.signal(signal.SIGKILL)
    server.start()
    assert server.ask("GET", f"/jobs/{job}").json()["schedule"] == "* * * * *"
    release.touch()
    wait_for(lambda: bool(ended(server, job)))
    assert ended(server, job)[0]["state"] == "succeeded"
    assert ended(server, job)[0]["attempt"] == 1
    assert marks.read_text().split()[:2] == ["begin", "end"]
    # Its output is longer than the tail: the whole is stored, and read from there.
    wait_for(lambda: ended(server, job)[0]["output_url"] is not None)
    run = ended(server, job)[0]["id"]
    answer = server.ask("GET", f"/jobs/{job}/runs/{run}/output")
    assert answer.headers["Dcron-Output"] == "whole"
    assert answer.text == "".join(f"{number}\n" for number in range(1, 20001))


def ended(server: Server, job: str) -> list[dict[str, Any]]:
    return [run for run in server.runs(job) if run["finished_at"] and run["started_at"]]


def test_another_users_name_is_refused(server: Server) -> None:
    body = {"executable": "id", "schedule": "* * * * *", "type": "command", "run_as": "nobody"}
    answer = server.ask("POST", "/jobs", body)
    assert answer.status_code in (403, 422)
    assert "run_as" in json.dumps(answer.json())


def test_a_second_instance_on_the_same_folder_is_refused(server: Server) -> None:
    done = refused("--state", str(server.state), "--listen", "127.0.0.1:1")
    assert "another dcron standalone uses it" in done


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    assert "loopback" in refused("--state", str(tmp_path), "--listen", "0.0.0.0:30000")


def test_the_token_is_announced_at_the_first_start_and_never_shown(server: Server) -> None:
    announcement = f"dcron: the admin's token is in {server.state / 'token'}\n"
    assert announcement in server.log.read_text()
    server.signal(signal.SIGTERM)
    server.start()
    assert server.log.read_text().count(announcement) == 1
    assert (server.state / "token").read_text().strip() not in server.log.read_text()


def test_nothing_in_the_state_folder_is_open_to_others(server: Server) -> None:
    server.post(executable="true", schedule="* * * * *", type="command")
    found = [server.state, *server.state.rglob("*")]
    assert len(found) > 5
    # Runs may be other users' where a worker is root's: they pass through the cache, no more.
    assert {path.name for path in found if path.lstat().st_mode & 0o077} <= {"cache"}


def test_a_folder_open_to_others_is_refused_with_the_remedy(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "something").touch()
    state.chmod(0o750)
    assert f"chmod 700 {state}" in refused("--state", str(state))
    assert [path.name for path in state.iterdir()] == ["something"]


def test_an_empty_folder_is_closed_to_others(tmp_path: Path) -> None:
    server = Server(tmp_path / "state")
    server.state.mkdir()
    server.state.chmod(0o755)
    server.start()
    assert stat.S_IMODE(server.state.stat().st_mode) == 0o700
    assert server.signal(signal.SIGTERM) == 0


def refused(*arguments: str) -> str:
    """What `dcron standalone` says when it refuses its arguments."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    return done.stderr


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A folder to stand for /var/spool, so that the real crontab command changes no real crontab;
    the user's crontab in it has one line already."""
    spool = tmp_path / "spool"
    (spool / "cron" / "crontabs").mkdir(parents=True)
    if os.getuid() != 0 or shutil.which("crontab") is None:
        pytest.skip("needs root, for a mount of its own, and the package cron")
    foreign = subprocess.run(
        [*inside(spool), "crontab", "-"], input=FOREIGN, text=True, capture_output=True
    )
    assert foreign.returncode == 0, foreign.stderr
    return spool


FOREIGN = "5 4 * * * true # not of dcron\n"


def inside(spool: Path) -> list[str]:
    """What to put before a command, so that it sees `spool` as /var/spool."""
    script = 'mount --bind "$0" /var/spool; exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, str(spool)]


def crontab_of(spool: Path) -> list[str]:
    """The lines that the user sees."""
    done = subprocess.run([*inside(spool), "crontab", "-l"], text=True, capture_output=True)
    return done.stdout.splitlines()


def test_the_users_own_crontab_gets_lines_and_loses_them_when_it_is_not_wanted_any_more(
    spool: Path, tmp_path: Path
) -> None:
    server = Server(tmp_path / "state", inside(spool))
    server.start("user")
    job = server.post(executable="true", schedule="17 3 * * *", type="command")
    wait_for(lambda: f"dcron job {job}" in "\n".join(crontab_of(spool)))
    lines = crontab_of(spool)
    assert any(line.startswith("17 3 * * * ") for line in lines)
    assert FOREIGN.strip() in lines
    assert server.signal(signal.SIGTERM) == 0
    assert crontab_of(spool) == lines
    server.start("none")
    assert crontab_of(spool) == [FOREIGN.strip()]
    assert server.signal(signal.SIGTERM) == 0


def run_now(server: Server, job: str) -> str:
    """The id of a run that goes on."""
    asked: list[Any] = []

    def taken() -> bool:
        asked.append(server.ask("POST", f"/jobs/{job}/runs"))
        return bool(asked[-1].status_code == 202)  # 409 until the manager has placed it

    wait_for(taken)
    run_id = str(asked[-1].json()["run_id"])
    wait_for(lambda: any(run["id"] == run_id for run in server.runs(job)))
    return run_id


def follow(server: Server, job: str, run_id: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {(server.state / 'token').read_text().strip()}"}
    url = f"{server.url}/jobs/{job}/runs/{run_id}/output?follow=true"
    return requests.get(url, headers=headers, stream=True, timeout=60)


def test_a_run_is_followed_while_it_writes(server: Server, tmp_path: Path) -> None:
    release = tmp_path / "release"
    command = (
        f"echo first; while [ ! -e {release} ]; do sleep 0.1; done; printf '\\377\\000'; seq 20000"
    )
    job = server.post(executable=command, schedule="0 0 1 1 *", type="command")
    run_id = run_now(server, job)
    with follow(server, job, run_id) as answer:
        assert answer.status_code == 200, answer.text
        assert answer.headers["Dcron-Output"] == "followed"
        assert answer.raw.read(6) == b"first\n"
        assert server.runs(job)[0]["state"] == "running"
        release.touch()
        rest = answer.raw.read()
    assert rest == b"\xff\0" + b"".join(b"%d\n" % number for number in range(1, 20001))
    wait_for(lambda: server.runs(job)[0]["state"] == "succeeded")


def test_a_run_is_begun_and_ended_by_request(server: Server) -> None:
    # One process: of two the child may go first, and its shell then says so by its exit code.
    job = server.post(executable="exec sleep 300", schedule="0 0 1 1 *", type="command")
    asked: list[Any] = []

    def taken() -> bool:
        asked.append(server.ask("POST", f"/jobs/{job}/runs"))
        return bool(asked[-1].status_code == 202)  # 409 until the manager has placed it

    wait_for(taken)
    run_id = asked[-1].json()["run_id"]
    wait_for(lambda: [run["state"] for run in server.runs(job)] == ["running"])
    assert server.ask("POST", f"/jobs/{job}/runs/{run_id}/kill").status_code == 202
    wait_for(lambda: server.runs(job)[0]["state"] == "killed")
    (run,) = server.runs(job)
    assert (run["id"], run["trigger"], run["signal"]) == (run_id, "manual", signal.SIGTERM)
    assert run["reason"] == "ended by user admin"
    changed = server.ask("PATCH", f"/jobs/{job}", {"executable": "exit 3"})
    assert changed.headers["ETag"] == '"2"'
    wait_for(taken)
    wait_for(lambda: [run["exit_code"] for run in server.runs(job)][:1] == [3])
