"""While many runs wait for their start the daemon hears of no end, in no way; then of each once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcron_worker.runner.model import Ended
from tests.integration.launcher.stage import PATIENCE, Stage, wait_until

MANY = 200  # more than a starter is told of at once


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, "--no-cgroups")
    yield stage
    stage.close()


@pytest.fixture
def withheld(stage: Stage) -> str:
    """A run whose end is on disk, while its launcher's starter stands still with many orders."""
    stage.run("true")
    os.kill(stage.starter(), signal.SIGSTOP)
    ids = [f"run-{number:03}" for number in range(MANY)]
    stage.runner.start([stage.launch(run_id, "true") for run_id in ids])
    stage.runner.kill(ids[-1], "asked")  # which has no process, and is over
    written = f'"run_id":"{ids[-1]}","state":"killed"'
    wait_until(lambda: written in (stage.state / "journal").read_text())
    return ids[-1]


def ends_heard(stage: Stage, run_id: str) -> int:
    stage.seen += stage.runner.events(0)
    return len([x for x in stage.seen if isinstance(x, Ended) and x.run_id == run_id])


def test_an_end_is_unheard_of_until_all_were_begun_with(stage: Stage, withheld: str) -> None:
    assert stage.runner.names()[withheld] is False
    assert ends_heard(stage, withheld) == 0
    os.kill(stage.starter(), signal.SIGCONT)
    assert stage.ended(withheld).state == "killed"
    wait_until(lambda: all(stage.runner.names().values()))
    assert ends_heard(stage, withheld) == 1


def test_a_new_client_hears_of_it_at_once(stage: Stage, withheld: str) -> None:
    stage.runner.close()
    stage.runner.connect(PATIENCE)
    assert stage.ended(withheld).state == "killed"
    assert stage.runner.names()[withheld] is True
    os.kill(stage.starter(), signal.SIGCONT)
