"""What the real servers of the tests have in common: ports, waiting, ending by pid."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def free_port() -> int:
    """A port on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a server whose output goes to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def wait_until_ready(
    process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path, seconds: float
) -> None:
    """Return when `ready()`; RuntimeError with the log's end if the server ended or is too slow."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            end(process)
            raise RuntimeError(
                f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-3000:]}"
            )
        time.sleep(0.05)


def end(process: subprocess.Popen[bytes]) -> None:
    """TERM, and after 60 s KILL."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
