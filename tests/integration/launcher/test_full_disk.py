"""A full disk below the launcher's state: no space, no launch; what runs is guarded and told."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dcron_common.errors import LaunchError
from dcron_worker.runner import procfs
from dcron_worker.runner.lease import Lease
from dcron_worker.runner.starters import TOLD
from tests.integration.launcher.stage import Stage, running, wait_until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
FILLER = "filler"


class SmallDisk:
    """A file system of 512 KiB at the state's place."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "tmpfs", place]
        subprocess.run(command, check=True)

    def fill(self) -> None:
        """Until not one byte more fits, into the journal or a starter's log either."""
        file = os.open(self.place / FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (4096, 1):
                while self._fits(file, size):
                    continue
        finally:
            os.close(file)
        for path in (self.place / "journal", *(self.place / "starters").iterdir()):
            with path.open("ab") as appended:  # its last page may have room
                appended.write(b"\n" * (-appended.tell() % 4096))

    @staticmethod
    def _fits(file: int, size: int) -> bool:
        try:
            return os.write(file, b"x" * size) > 0
        except OSError as error:
            assert error.errno == errno.ENOSPC
            return False

    def free(self) -> None:
        (self.place / FILLER).unlink()

    def unmount(self) -> None:
        """A starter leaves a little after its launcher: until then the disk is in use."""
        wait_until(lambda: subprocess.run(["umount", self.place]).returncode == 0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "state")
    yield disk
    disk.unmount()


@pytest.fixture
def stage(disk: SmallDisk) -> Iterator[Stage]:
    stage = Stage(disk.place.parent)
    yield stage
    stage.close()


def test_without_space_nothing_is_launched_and_with_space_it_is(
    stage: Stage, disk: SmallDisk
) -> None:
    ran = stage.folder / "ran"
    disk.fill()
    with pytest.raises(LaunchError, match="No space left on device"):
        stage.start("run", f"touch {ran}")
    assert stage.runner.known() == {}
    disk.free()
    stage.start("run", f"touch {ran}")
    assert stage.ended("run").state == "succeeded" and ran.exists()


def test_what_ends_without_space_is_told_with_its_result(stage: Stage, disk: SmallDisk) -> None:
    go = stage.folder / "go"
    script = f"echo $$ >{stage.folder}/pid; until [ -e {go} ]; do sleep 0.02; done; exit 3"
    stage.start("run", script)
    stage.written("pid")
    disk.fill()
    go.touch()
    ended = stage.ended("run")
    assert (ended.state, ended.exit_code) == ("failed", 3)
    assert stage.runner.known()["run"][2] == ended
    stage.runner.acknowledge(["run"])
    assert stage.runner.known() == {}


def test_what_runs_without_space_is_guarded(stage: Stage, disk: SmallDisk) -> None:
    stage.start("run", f"echo $$ >{stage.folder}/pid; sleep 60", timeout_seconds=2.5)
    pid = stage.written("pid")
    disk.fill()
    assert stage.ended("run").state == "timed_out"
    assert not running(pid)


def test_a_launcher_that_starts_without_space_guards_what_runs(
    stage: Stage, disk: SmallDisk
) -> None:
    stage.start("run", f"echo $$ >{stage.folder}/pid; sleep 60")
    pid = stage.written("pid")
    disk.fill()
    stage.crash()
    stage.begin()
    assert running(pid)
    stage.runner.kill("run", "asked")
    assert stage.ended("run").reason == "asked"
    assert not running(pid)
    disk.free()
    stage.start("next", "true")
    assert stage.ended("next").state == "succeeded"


def fill_pipe(starter: int) -> None:
    """Until the starter can tell nothing by its pipe; nobody may be reading."""
    pipe = os.open(f"/proc/{starter}/fd/{TOLD}", os.O_WRONLY | os.O_NONBLOCK)
    try:
        for size in (4096, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(pipe, b"\n" * size)
    finally:
        os.close(pipe)


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def asleep(pid: str) -> bool:
    """Whether it waits, or is no more."""
    found = procfs.read(int(pid))
    return found is None or found.state == "S"


def rounds(starter: int) -> Callable[[], int]:
    """How often the starter has gone to sleep from now on."""

    def count() -> int:
        text = Path(f"/proc/{starter}/status").read_text()
        return int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    before = count()
    return lambda: count() - before


def test_an_exit_that_nobody_could_be_told_of_is_told_when_there_is_room(
    stage: Stage, disk: SmallDisk
) -> None:
    go = stage.folder / "go"
    stage.start("run", f"until [ -e {go} ]; do sleep 0.02; done; exit 3")
    pid = stage.started("run").pid
    starter = stage.starter()
    disk.fill()
    stage.processes[-1].send_signal(signal.SIGSTOP)
    fill_pipe(starter)
    go.touch()
    wait_until(lambda: not running(pid))
    slept = rounds(starter)
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or slept() > 2)
    stage.processes[-1].send_signal(signal.SIGCONT)
    assert stage.ended("run").exit_code == 3


def test_a_refusal_that_nobody_could_be_told_of_is_told_when_there_is_room(
    stage: Stage, disk: SmallDisk
) -> None:
    starter = stage.starter()
    os.kill(starter, signal.SIGSTOP)
    ran = stage.folder / "ran"
    stage.start("run", f"touch {ran}")
    stage.runner.kill("known", "which is answered when the order was sent")
    stage.processes[-1].send_signal(signal.SIGSTOP)
    disk.fill()
    fill_pipe(starter)
    slept = rounds(starter)
    os.kill(starter, signal.SIGCONT)
    wait_until(lambda: slept() > 0 and all(map(asleep, children_of(starter))))
    stage.processes[-1].send_signal(signal.SIGCONT)
    ended = stage.ended("run")
    assert ended.reason == "the start could not be written down: No space left on device"
    assert ended.started_at is None and not ran.exists()


def test_a_lease_that_lies_on_the_full_disk_is_renewed(stage: Stage, disk: SmallDisk) -> None:
    with contextlib.closing(Lease(disk.place / "lease")) as lease:
        lease.renew(1.0)
        disk.fill()
        lease.renew(2.0)
        with contextlib.closing(Lease(disk.place / "lease")) as read_again:
            assert read_again.until() == 2.0
