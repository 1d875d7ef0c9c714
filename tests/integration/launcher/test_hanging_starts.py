"""A child that hangs before it is its run, as in a folder whose file server does not answer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcron_worker.runner.launcher import ENDED_BEFORE
from dcron_worker.runner.starters import PROGRAM
from tests.integration.launcher.stage import PATIENCE, Stage, running, wait_until

# Wrapped around functions of the starter's: a child hangs in the folder `later` when it enters it,
# in `early` before its start is in the log.
_GATES = """
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int __real_chdir(const char *folder);
bool __real_record_started(const char *run_id, int64_t before);

static void wait_at(const char *folder) {
    char gate[4096], byte;
    snprintf(gate, sizeof gate, "%s/gate", folder);
    int file = open(gate, O_RDONLY);
    while (file >= 0 && read(file, &byte, 1) > 0)
        continue;
    close(file);
}

int __wrap_chdir(const char *folder) {
    size_t length = strlen(folder);
    if (length > 6 && strcmp(folder + length - 6, "/later") == 0)
        wait_at(folder);
    return __real_chdir(folder);
}

bool __wrap_record_started(const char *run_id, int64_t before) {
    if (strncmp(run_id, "hanging", 7) == 0)
        wait_at(EARLY);
    return __real_record_started(run_id, before);
}
"""
_LAUNCHER = """
import sys
from pathlib import Path
from dcron_worker.runner import starters
starters.PROGRAM = Path({program!r})
from dcron_worker.runner.main import main
sys.exit(main(sys.argv[1:]))
"""


def build(folder: Path) -> Path:
    """The starter with gates in it."""
    gates, program = folder / "gates.c", folder / "gated-starter"
    gates.write_text(_GATES)
    sources = sorted(PROGRAM.with_name("starter").glob("*.c"))
    command = [
        "cc",
        f'-DEARLY="{folder}/early"',
        "-Wl,--wrap=chdir,--wrap=record_started",
        "-o",
        program,
    ]
    subprocess.run([*command, gates, *sources], check=True)
    return program


class Gate:
    """A folder in which children hang until the gate is opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = -1
        folder.mkdir()
        os.mkfifo(folder / "gate")

    def reached(self) -> bool:
        """Whether a child has come to it; it stays."""
        try:
            self._file = os.open(self.folder / "gate", os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO, "there is nobody"
            return False
        return True

    def open(self) -> None:
        (self.folder / "gate").unlink(missing_ok=True)
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


@pytest.fixture(params=["cgroups", "proc"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    options = ["--no-cgroups"] if request.param == "proc" else []
    launcher = _LAUNCHER.format(program=str(build(tmp_path)))
    stage = Stage(tmp_path, *options, program=("-c", launcher))
    yield stage
    stage.close()


@pytest.fixture
def later(stage: Stage) -> Iterator[Gate]:
    gate = Gate(stage.folder / "later")
    yield gate
    gate.open()


@pytest.fixture
def early(stage: Stage) -> Iterator[Gate]:
    gate = Gate(stage.folder / "early")
    yield gate
    gate.open()


def hang(stage: Stage, gate: Gate) -> None:
    stage.start("hanging", "echo ran >>ran; exit 3", working_directory=str(gate.folder))
    wait_until(gate.reached)


def runs_of(gate: Gate) -> str:
    return (gate.folder / "ran").read_text()


def test_a_run_that_hangs_before_its_program_keeps_no_new_launcher_from_its_work(
    stage: Stage, later: Gate
) -> None:
    hang(stage, later)
    stage.started("hanging")
    stage.crash()
    stage.begin()
    stage.start("next", "exit 4")
    assert stage.ended("next").exit_code == 4
    later.open()
    assert (stage.ended("hanging").exit_code, runs_of(later)) == (3, "ran\n")


def test_a_run_that_hangs_before_its_program_is_ended_by_the_next_launcher(
    stage: Stage, later: Gate
) -> None:
    hang(stage, later)
    pid = stage.started("hanging").pid
    stage.crash()
    stage.begin()
    stage.runner.kill("hanging", "asked")
    assert stage.ended("hanging").state == "killed"
    assert not running(pid)


def test_a_starter_that_dies_is_replaced_though_a_child_hangs(stage: Stage, later: Gate) -> None:
    hang(stage, later)
    stage.started("hanging")
    os.kill(stage.starter(), signal.SIGKILL)
    stage.start("next", "exit 4")
    assert stage.ended("next").state in ("failed", "lost"), "lost: the dead one had its order"
    stage.start("after", "exit 5")
    assert stage.ended("after").exit_code == 5
    later.open()
    assert (stage.ended("hanging").exit_code, runs_of(later)) == (3, "ran\n")


def test_nothing_is_said_of_a_run_that_may_yet_be_started(stage: Stage, early: Gate) -> None:
    hang(stage, early)
    stage.crash()
    stage.begin()
    stage.start("next", "exit 4")
    assert stage.ended("next").exit_code == 4
    assert stage.runner.known()["hanging"][1:] == (None, None)
    early.open()
    assert stage.started("hanging").pid > 0
    assert (stage.ended("hanging").exit_code, runs_of(early)) == (3, "ran\n")


@pytest.mark.parametrize("restarted", [True, False])
def test_a_run_that_cannot_be_started_any_more_is_lost(
    stage: Stage, early: Gate, restarted: bool
) -> None:
    hang(stage, early)
    starter = stage.starter()
    [child] = map(int, Path(f"/proc/{starter}/task/{starter}/children").read_text().split())
    if restarted:
        stage.crash()
    os.kill(child, signal.SIGKILL)
    if restarted:
        [log] = (stage.state / "starters").iterdir()
        wait_until(lambda: "exited" in log.read_text())  # else nobody knows but by the lock
        stage.begin()
    ended = stage.ended("hanging")
    assert (ended.state, ended.reason) == ("lost", ENDED_BEFORE)


def test_a_launcher_leaves_though_of_two_early_ones_one_will_never_start(
    stage: Stage, early: Gate
) -> None:
    hang(stage, early)
    starter = stage.starter()
    children = Path(f"/proc/{starter}/task/{starter}/children")
    [child] = map(int, children.read_text().split())
    stage.start("hanging-too", "exit 4")
    wait_until(lambda: len(children.read_text().split()) == 2)
    stage.crash()
    os.kill(child, signal.SIGKILL)
    [log] = (stage.state / "starters").iterdir()
    wait_until(lambda: "exited" in log.read_text())
    stage.begin()
    assert stage.ended("hanging").reason == ENDED_BEFORE
    stage.processes[-1].terminate()
    assert stage.processes[-1].wait(PATIENCE) == 0
    early.open()
    stage.begin()
    assert stage.ended("hanging-too").exit_code == 4


def test_a_launcher_leaves_though_an_earlier_one_may_yet_start_a_run(
    stage: Stage, early: Gate
) -> None:
    hang(stage, early)
    stage.crash()
    stage.begin()
    assert "hanging" in stage.runner.known(), "it is there, and not the one before it"
    stage.processes[-1].terminate()
    assert stage.processes[-1].wait(PATIENCE) == 0
    early.open()
    stage.begin()
    assert stage.ended("hanging").exit_code == 3
