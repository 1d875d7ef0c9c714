"""What the real servers of the tests have in common: ports, waiting, ending by pid."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


def free_port() -> int:
    """A port on loopback that nobody has at this moment. By chance, so that tests beside each other
    choose others; and below those that the kernel gives to clients, one of which might have it by
    the time that a server is started, or started again."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


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
