"""Output: captured without a job ever waiting for whoever takes it."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.integration.launcher.stage import Stage, running, wait_until

MUCH = 3_000_000  # far more than any pipe holds


def test_a_job_writes_on_while_the_launcher_stands_still(stage: Stage) -> None:
    go, written = stage.folder / "go", stage.folder / "written"
    stage.start(
        "run",
        f"echo $$ >{stage.folder}/pid; until [ -e {go} ]; do sleep 0.02; done;"
        f" head -c {MUCH} /dev/zero; touch {written}",
    )
    pid = stage.written("pid")
    stage.processes[-1].send_signal(signal.SIGSTOP)
    try:
        go.touch()
        wait_until(lambda: written.exists() and not running(pid))
    finally:
        stage.processes[-1].send_signal(signal.SIGCONT)
    ended = stage.ended("run")
    assert (ended.state, ended.output_size) == ("succeeded", MUCH)


def test_a_job_writes_on_while_there_is_no_launcher(stage: Stage) -> None:
    go, written = stage.folder / "go", stage.folder / "written"
    stage.start(
        "run",
        f"echo $$ >{stage.folder}/pid; until [ -e {go} ]; do sleep 0.02; done;"
        f" head -c {MUCH} /dev/zero; echo end; touch {written}; exec sleep 60",
    )
    stage.written("pid")
    stage.crash()
    go.touch()
    wait_until(written.exists)
    stage.begin()
    stage.runner.kill("run", "asked")
    ended = stage.ended("run")
    assert ended.output_size == MUCH + 4 and ended.output_tail.endswith("\0end\n")


def test_the_whole_output_stays_until_it_is_acknowledged(stage: Stage) -> None:
    ended = stage.run("seq 20000")
    text = "".join(f"{number}\n" for number in range(1, 20001))
    assert len(ended.output_tail) == 8192 and text.endswith(ended.output_tail)
    assert Path(ended.output_path).read_text() == text
    stage.crash()
    stage.begin()
    assert Path(ended.output_path).read_text() == text
    stage.runner.acknowledge(["run"])
    assert not Path(ended.output_path).exists()
