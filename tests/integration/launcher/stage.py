"""A real launcher for tests, and words to command it with. No test sleeps: all waits have a
condition and a deadline."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch, Started

PATIENCE = 60.0


def boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wait_until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Stage:
    """A launcher process with a connected client; the lease is far away at first."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        prefix: Sequence[str] = (),
        program: Sequence[str] = ("-m", "dcron_worker.runner"),
    ) -> None:
        """`prefix`: a command that ends in an exec of its arguments, which are the launcher's.
        `program`: what Python runs as the launcher."""
        self.folder = folder
        self.socket = folder / "socket"
        self.state = folder / "state"
        self._options = options
        self._prefix = prefix
        self._program = program
        self.has_cgroups = "--no-cgroups" not in options  # if this machine has any
        self.processes: list[subprocess.Popen[bytes]] = []
        self.runner = Runner(self.socket, self.state)
        self.seen: list[Started | Ended] = []
        self.begin()
        self.runner.renew(boot() + 3600)

    def begin(self) -> None:
        command = [*self._prefix, sys.executable, *self._program]
        command += ["--socket", str(self.socket), "--state", str(self.state), *self._options]
        environment = {**os.environ, "LAUNCHERS_OWN": "leaked"}
        self.processes.append(subprocess.Popen(command, env=environment))
        self.runner.connect(PATIENCE)

    def crash(self) -> None:
        """SIGKILL the launcher."""
        self.processes[-1].send_signal(signal.SIGKILL)
        self.processes[-1].wait(PATIENCE)

    def starter(self) -> int:
        """The process that forks the launcher's runs, once it is a program of its own: its launcher
        stands still until then, and for ever with one that was stopped before."""
        wait_until(lambda: self._starters() != [])
        [pid] = self._starters()
        return pid

    def _starters(self) -> list[int]:
        launcher = self.processes[-1].pid
        own = Path(f"/proc/{launcher}/cmdline").read_bytes()
        children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
        named = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
        return [pid for pid, line in named.items() if line != own and b"starter" in line]

    def launch(self, run_id: str, script: str, **changes: object) -> Launch:
        """A run of `/bin/sh -c script`, with what the test is about changed."""
        fields: dict[str, object] = {
            "run_id": run_id,
            "job_id": 1,
            "key": "0",
            "attempt": 1,
            "epoch": 1,
            "argv": ("/bin/sh", "-c", script),
            "environment": {"PATH": "/usr/bin:/bin"},
            "working_directory": "/",
            "user": None,
            "timeout_seconds": 60.0,
            "grace_seconds": 5.0,
        }
        return Launch(**{**fields, **changes})  # type: ignore[arg-type]  # a test's shorthand

    def start(self, run_id: str, script: str, **changes: object) -> None:
        self.runner.start([self.launch(run_id, script, **changes)])

    def ended(self, run_id: str, patience: float = PATIENCE) -> Ended:
        found = self._await(Ended, run_id, patience)
        assert isinstance(found, Ended)
        return found

    def started(self, run_id: str) -> Started:
        found = self._await(Started, run_id, PATIENCE)
        assert isinstance(found, Started)
        return found

    def run(self, script: str, **changes: object) -> Ended:
        self.start("run", script, **changes)
        return self.ended("run")

    def written(self, name: str) -> int:
        """The pid that a job writes into a file of that name, once it is there."""
        path = self.folder / name
        wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
        return int(path.read_text())

    def close(self) -> None:
        for run_id, (_, _, ended) in self.runner.known().items():
            if ended is None:
                self.runner.kill(run_id, "the test is over")
                self.ended(run_id)
        self.runner.close()
        self.processes[-1].terminate()
        assert self.processes[-1].wait(PATIENCE) == 0

    def _await(self, kind: type, run_id: str, patience: float) -> Started | Ended:
        deadline = time.monotonic() + patience
        while True:
            for event in self.seen:
                if isinstance(event, kind) and event.run_id == run_id:
                    return event
            left = deadline - time.monotonic()
            assert left > 0, f"no {kind.__name__} for {run_id}"
            self.seen += self.runner.events(left)
