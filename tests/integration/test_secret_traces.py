"""A planted secret is looked for wherever an embedded cluster leaves traces."""

from __future__ import annotations

import contextlib
import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_standalone import Server, ended, wait_for

PLANTED = "planted-dragon-7f3a-Ēriks"
IN_URL = "planted-dragon-7f3a"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "state")
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.signal(signal.SIGTERM)


def processes_with(name: str) -> list[bytes]:
    """What /proc/*/NAME says where the planted secret is in it."""
    found = []
    for path in Path("/proc").glob(f"[0-9]*/{name}"):
        with contextlib.suppress(OSError):
            text = path.read_bytes()
            if IN_URL.encode() in text:
                found.append(text)
    return found


def files_with(server: Server) -> list[Path]:
    found = [path for path in server.state.rglob("*") if path.is_file() and not path.is_socket()]
    assert {"dcron.db", "coordination.db", "journal"} <= {path.name for path in found}
    return [path for path in (*found, server.log) if IN_URL.encode() in path.read_bytes()]


def test_a_planted_secret_is_in_the_jobs_environment_and_nowhere_else(
    server: Server, tmp_path: Path
) -> None:
    """Not in the database, ZooKeeper's tree, logs, any state on disk, or a command line."""
    digest, release = tmp_path / "digest", tmp_path / "release"
    for value in ("an earlier value", PLANTED):
        answer = server.ask("PUT", "/secrets/DB_PASSWORD", {"value": value})
        assert answer.status_code in (200, 201) and IN_URL not in answer.text
    command = (
        f'printf %s "$DB_PASSWORD" | sha256sum > {digest}; echo "it is $DB_PASSWORD" >&2;'
        f" cat {release}"
    )
    job = server.post(
        executable=f"while [ ! -e {release} ]; do sleep 0.1; done; {command}",
        schedule="0 0 1 1 *",
        type="command",
        secrets=["DB_PASSWORD"],
    )
    wait_for(lambda: server.ask("POST", f"/jobs/{job}/runs", {}).status_code == 202)
    wait_for(lambda: bool(processes_with("environ")))
    assert all(b"DCRON_JOB_ID=" + job.encode() in each for each in processes_with("environ"))
    assert processes_with("cmdline") == []
    assert files_with(server) == []
    server.signal(signal.SIGKILL)  # nor is it written at a restart
    server.start()
    assert files_with(server) == []
    release.touch()
    wait_for(lambda: bool(ended(server, job)))
    [run] = ended(server, job)
    assert (run["state"], run["output_tail"]) == ("succeeded", "it is ***\n")
    assert digest.read_text().split()[0] == hashlib.sha256(PLANTED.encode()).hexdigest()
    for path in ("/jobs", f"/jobs/{job}", f"/jobs/{job}/runs", "/secrets"):
        assert IN_URL not in server.ask("GET", path).text
    # What the job itself wrote is its own: the launcher's file, until the row is written.
    wait_for(lambda: files_with(server) == [])
