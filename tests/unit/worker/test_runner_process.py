"""What a child says of its start."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dcron_worker.runner import process
from dcron_worker.runner.lease import Lease
from dcron_worker.runner.process import Order, Surroundings
from dcron_worker.runner.procstat import start_ticks

_FORKS = 40  # some of which begin in one tick of the clock, and are written down in the next


def _said(descriptor: int, before: int) -> None:
    """In a child: write its start down."""
    order = Order("run", ["true"], {}, None, False, "u", "/", False, 0, 0, [], "", [])
    lease = Lease.__new__(Lease)  # a start is written down before it is looked at
    surroundings = Surroundings(
        write=lambda data: None if os.write(descriptor, data) else None,
        begun=lambda: None,
        tell=lambda record: None,
        lease=lease,
    )
    process._record_start(order, surroundings, before)


def _start_of_a_child(folder: Path, early: int) -> tuple[int, dict[str, float], int]:
    """(pid, what it said, when it began as /proc counts) of a child that believes to have been
    forked `early` nanoseconds sooner."""
    path = folder / "said"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    before = process.boot_ns() - early
    pid = os.fork()
    if pid == 0:
        try:
            _said(descriptor, before)
        finally:
            os._exit(0)
    os.close(descriptor)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    ticks = start_ticks(pid)
    os.waitpid(pid, 0)
    return pid, json.loads(path.read_text()), ticks


def test_a_child_says_when_it_began_as_proc_counts_it(tmp_path: Path) -> None:
    for number in range(_FORKS):
        # Every other time the clock cannot tell, so that /proc is asked.
        early = process.boot_ns() if number % 2 else 0
        pid, said, ticks = _start_of_a_child(tmp_path, early)
        assert (said["pid"], said["ticks"]) == (pid, ticks)


def test_a_childs_clocks_are_in_seconds(tmp_path: Path) -> None:
    before = process.boot_ns() / 1e9
    _, said, _ = _start_of_a_child(tmp_path, 0)
    assert before <= said["boot"] <= process.boot_ns() / 1e9
    assert said["wall"] - said["boot"] > 0
