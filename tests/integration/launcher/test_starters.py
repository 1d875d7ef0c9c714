"""Starters come and go below a launcher: no order is lost with one, and no exit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.launcher.stage import Stage, running, wait_until

_SOON_REPLACED = """
import sys
from dcron_worker.runner import starters
starters.RUNS = 200
from dcron_worker.runner.main import main
sys.exit(main(sys.argv[1:]))
"""

# Before it reaps with an order that it has heard nothing of, it waits: once.
_REAPS_LATE = """
import sys, time
from pathlib import Path
from dcron_worker.runner import living
folder = Path(sys.argv[sys.argv.index("--socket") + 1]).parent

def reap(self, original=living.Living.reap):
    if any(starter.sent for starter in self._starters._all):
        (folder / "before").touch()
        deadline = time.monotonic() + 60
        while not (folder / "go").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
    return original(self)

living.Living.reap = reap
from dcron_worker.runner.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, "--no-cgroups", program=("-c", _REAPS_LATE))
    yield stage
    stage.close()


@pytest.fixture
def replacing(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, "--no-cgroups", program=("-c", _SOON_REPLACED))
    yield stage
    stage.close()


def test_a_starter_that_is_replaced_does_the_orders_that_it_has(replacing: Stage) -> None:
    stage = replacing
    stage.start("long", "sleep 60")  # it keeps the first starter
    stage.started("long")
    ids = [f"r{number:04}" for number in range(1500)]
    stage.runner.start([stage.launch(run_id, "exit 0") for run_id in ids])
    ends = {(end.state, end.reason) for end in map(stage.ended, ids)}
    assert ends == {("succeeded", None)}


def test_a_starter_that_was_replaced_goes_with_its_last_run(replacing: Stage) -> None:
    stage = replacing
    ids = [f"r{number:04}" for number in range(500)]
    stage.runner.start([stage.launch(run_id, "exit 0") for run_id in ids])
    for run_id in ids:
        stage.ended(run_id)
    stage.runner.acknowledge(ids)
    stage.start("next", "exit 0")
    stage.ended("next")

    def swept() -> bool:
        stage.runner.acknowledge(["next"])
        [*others, last] = sorted(path.name for path in (stage.state / "starters").iterdir())
        return last > "00000001" and not others

    wait_until(swept)


def test_an_exit_is_seen_though_nothing_was_read_of_the_run_before(unread: Stage) -> None:
    """The starter is killed, so that the run becomes the launcher's child, and has exited before
    the launcher has read of its start."""
    stage = unread
    starter = stage.starter()
    os.kill(starter, signal.SIGSTOP)
    script = f"echo $$ >{stage.folder}/pid; until [ -e {stage.folder}/exit ]; do sleep 0.02; done"
    stage.start("run", f"{script}; exit 3")
    wait_until((stage.folder / "before").exists)
    os.kill(starter, signal.SIGCONT)
    pid = stage.written("pid")
    os.kill(starter, signal.SIGKILL)
    wait_until(lambda: not running(starter))
    (stage.folder / "exit").touch()
    wait_until(lambda: not running(pid))
    (stage.folder / "go").touch()
    assert stage.ended("run").exit_code == 3
