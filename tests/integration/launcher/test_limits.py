"""Limits of a run: enforced by cgroups, and named as the reason when one was run into.

What this machine's kernel mounts is what is shown here (version 1 controllers, or version 2);
tests/unit/worker/test_runner_limits.py shows what is written to either.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcron_worker.runner.model import Ended
from tests.integration.launcher.stage import Stage

MEMORY = 64 << 20
HOG = (sys.executable, "-c", "import sys; sys.stdout.write(str(len(bytearray(200 << 20))))")
CROWD = "for i in 1 2 3 4 5 6; do sleep 1 & done; wait; false"
BOMB = "bomb() { bomb | bomb & }; bomb; exec sleep 60"  # exec: to go on takes no fork
SPIN = "while :; do :; done"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.close()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, "--no-cgroups")
    yield stage
    stage.close()


def limited(stage: Stage, script: str = "", **changes: object) -> Ended:
    """The end of a run with limits; the test is skipped where they cannot be enforced."""
    ended = stage.run(script, **changes)
    if "cannot be enforced on this host" in (ended.reason or ""):
        assert ended.started_at is None and ended.state == "failed"
        pytest.skip(str(ended.reason))
    return ended


def test_too_much_memory_is_the_reason(stage: Stage) -> None:
    ended = limited(stage, argv=HOG, memory_bytes=MEMORY)
    assert (ended.state, ended.output_tail) == ("failed", "")
    assert ended.reason == f"memory limit of {MEMORY} bytes exceeded"


def test_enough_memory_is_no_matter(stage: Stage) -> None:
    ended = limited(stage, argv=HOG, memory_bytes=4 * MEMORY)
    assert (ended.state, ended.reason, ended.output_tail) == ("succeeded", None, str(200 << 20))


def test_memory_is_counted_over_all_processes_of_the_run(stage: Stage) -> None:
    hog = f"'{HOG[0]}' -c 'import time; x = b\"x\" * (40 << 20); time.sleep(3)'"
    ended = limited(stage, f"{hog} & {hog} & wait; exit 1", memory_bytes=MEMORY)
    assert (ended.state, ended.reason) == ("failed", f"memory limit of {MEMORY} bytes exceeded")


def test_memory_that_was_exceeded_on_the_way_is_told_of_a_run_that_succeeds(stage: Stage) -> None:
    ended = limited(stage, f"'{HOG[0]}' -c '{HOG[2]}'; exit 0", memory_bytes=MEMORY)
    if ended.signal is None:  # version 1 ends one process; version 2 the run
        assert ended.state == "succeeded"
    assert ended.reason == f"memory limit of {MEMORY} bytes exceeded"


def test_too_many_processes_are_the_reason(stage: Stage) -> None:
    ended = limited(stage, CROWD, processes=4)
    assert (ended.state, ended.reason) == ("failed", "limit of 4 processes reached")


def test_a_fork_bomb_is_bounded_and_ended_whole(stage: Stage) -> None:
    ended = limited(stage, BOMB, processes=20, timeout_seconds=1.5, grace_seconds=0.5)
    assert ended.state == "timed_out" and ended.reason is not None
    assert ended.reason.startswith("timeout of 1.5 s; limit of 20 processes reached")
    assert stage.runner.known()["run"][2] == ended


def test_a_share_of_the_cpu_is_kept_to_and_told_of_a_run_that_is_too_slow(stage: Stage) -> None:
    ended = limited(stage, SPIN, cpu_percent=10, timeout_seconds=2.0)
    assert ended.state == "timed_out" and ended.reason is not None
    found = re.fullmatch(
        r"timeout of 2 s; cpu limit of 10 % held it back for ([0-9.]+) s", ended.reason
    )
    assert found and float(found[1]) > 0.5


def test_too_much_output_ends_the_run_and_is_cut(stage: Stage) -> None:
    ended = stage.run("yes", output_bytes=100_000)
    assert (ended.state, ended.reason) == ("failed", "output limit of 100000 bytes exceeded")
    assert (ended.truncated, ended.output_size, len(ended.output_tail)) == (True, 100_000, 8192)


def test_what_a_job_writes_to_its_own_files_is_no_output(stage: Stage) -> None:
    file = stage.folder / "large"
    ended = stage.run(f"head -c 300000 /dev/zero >{file}", output_bytes=100_000)
    assert (ended.state, file.stat().st_size) == ("succeeded", 300_000)


@pytest.mark.parametrize("name", ["memory_bytes", "processes", "cpu_percent"])
def test_a_limit_without_cgroups_is_not_silently_ignored(bare: Stage, name: str) -> None:
    ended = bare.run("true", **{name: 1 << 26})
    assert (ended.state, ended.started_at) == ("failed", None)
    assert ended.reason is not None
    assert f"limits.{name} cannot be enforced on this host" in ended.reason
