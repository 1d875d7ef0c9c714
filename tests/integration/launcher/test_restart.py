"""The launcher's own death, and its clients' coming and going."""

from __future__ import annotations

import json
import os
import signal

import pytest

from dcron_common.errors import LaunchError
from dcron_worker.runner.client import Runner
from dcron_worker.runner.journal import Journal
from dcron_worker.runner.model import Ended
from tests.integration.launcher.stage import PATIENCE, Stage, running, wait_until


def test_a_run_outlives_its_launcher_and_is_guarded_by_the_next(stage: Stage) -> None:
    stage.start("run", "sleep 60")
    started = stage.started("run")
    stage.crash()
    stage.begin()
    assert stage.runner.known()["run"][1] is not None
    assert running(started.pid)
    stage.runner.kill("run", "asked")
    ended = stage.ended("run")
    assert (ended.state, ended.reason) == ("killed", "asked")
    assert not running(started.pid)


def test_an_exit_is_seen_by_the_next_launcher(stage: Stage) -> None:
    stage.start("run", f"until [ -e {stage.folder}/go ]; do sleep 0.02; done; echo done; exit 3")
    pid = stage.started("run").pid
    stage.crash()
    stage.begin()
    (stage.folder / "go").touch()
    assert set(stage.runner.known()) == {"run"}
    ended = stage.ended("run")
    assert (ended.state, ended.exit_code, ended.output_tail) == ("failed", 3, "done\n")
    assert not running(pid)


def test_an_exit_while_there_is_no_launcher_is_kept(stage: Stage) -> None:
    stage.start("run", f"until [ -e {stage.folder}/go ]; do sleep 0.02; done")
    pid = stage.started("run").pid
    stage.crash()
    (stage.folder / "go").touch()
    wait_until(lambda: not running(pid))
    stage.begin()
    assert (stage.ended("run").state, stage.ended("run").exit_code) == ("succeeded", 0)


def test_an_exit_that_nobody_saw_is_lost(stage: Stage) -> None:
    stage.start("run", f"until [ -e {stage.folder}/go ]; do sleep 0.02; done; echo done")
    pid = stage.started("run").pid
    starter = stage.starter()
    stage.crash()
    os.kill(starter, signal.SIGKILL)
    stage.begin()
    (stage.folder / "go").touch()
    ended = stage.ended("run")
    assert (ended.state, ended.exit_code, ended.output_tail) == ("lost", None, "done\n")
    assert not running(pid)


@pytest.mark.parametrize("victim", ["launcher", "starter"])
def test_what_is_said_never_to_have_started_has_not(stage: Stage, victim: str) -> None:
    ids = [f"r{number}" for number in range(300)]
    stage.runner.start([stage.launch(x, f"echo ran >>{stage.folder}/{x}.ran") for x in ids])
    if victim == "launcher":
        stage.crash()
        stage.begin()
    else:
        os.kill(stage.starter(), signal.SIGKILL)
    ends = {run_id: stage.ended(run_id) for run_id in ids}
    ran = {x: (stage.folder / f"{x}.ran").read_text() for x in ids if _ran(stage, x)}
    assert set(ran.values()) <= {"ran\n"}, "none twice"
    for run_id, end in ends.items():
        if end.state == "succeeded":
            assert run_id in ran
        elif (end.reason or "").startswith("never started"):
            assert run_id not in ran and end.started_at is None
        else:
            assert end.state == "lost"


def _ran(stage: Stage, run_id: str) -> bool:
    return (stage.folder / f"{run_id}.ran").exists()


def test_a_starter_that_dies_takes_no_run_with_it(stage: Stage) -> None:
    stage.start("run", f"until [ -e {stage.folder}/go ]; do sleep 0.02; done; exit 3")
    stage.started("run")
    starter = stage.starter()
    os.kill(starter, signal.SIGKILL)
    stage.start("next", "true")
    assert stage.ended("next").state in ("succeeded", "lost"), "lost: the dead one had its order"
    stage.start("later", "exit 4")
    assert stage.ended("later").exit_code == 4
    (stage.folder / "go").touch()
    assert stage.ended("run").exit_code == 3


def test_a_starter_goes_when_its_launcher_and_its_runs_have_gone(stage: Stage) -> None:
    stage.start("run", f"until [ -e {stage.folder}/go ]; do sleep 0.02; done")
    stage.started("run")
    starter = stage.starter()
    stage.crash()
    assert running(starter)
    (stage.folder / "go").touch()
    wait_until(lambda: not running(starter))
    stage.begin()
    stage.ended("run")
    stage.runner.acknowledge(["run"])
    wait_until(lambda: len(list((stage.state / "starters").iterdir())) == 1)


def test_a_timeout_goes_on_after_a_restart(stage: Stage) -> None:
    stage.start("run", "sleep 60", timeout_seconds=1.0)
    stage.started("run")
    stage.crash()
    stage.begin()
    assert stage.ended("run").state == "timed_out"


def test_sigterm_leaves_the_runs_alone(stage: Stage) -> None:
    stage.start("run", "sleep 60")
    pid = stage.started("run").pid
    stage.processes[-1].terminate()
    assert stage.processes[-1].wait(PATIENCE) == 0
    assert running(pid)
    stage.begin()


def test_results_survive_a_crash_until_they_are_acknowledged(stage: Stage) -> None:
    before = stage.run("echo out")
    stage.crash()
    stage.seen.clear()
    stage.begin()
    assert stage.ended("run") == before
    stage.runner.acknowledge(["run"])
    stage.crash()
    stage.begin()
    assert stage.runner.known() == {}


def test_after_a_reboot_every_run_is_lost(stage: Stage) -> None:
    stage.start("run", "exec sleep 60")
    pid = stage.started("run").pid
    stage.crash()
    os.kill(pid, signal.SIGKILL)  # as the reboot would have
    wait_until(lambda: not running(pid))
    journal = stage.state / "journal"
    lines = [json.loads(line) for line in journal.read_text().splitlines() if line]
    assert lines[0]["t"] == "boot"
    kept = [{"t": "boot", "id": "another"}] + [x for x in lines[1:] if x["t"] != "ended"]
    journal.write_text("".join(f"{json.dumps(record)}\n" for record in kept))
    stage.begin()
    assert stage.runner.known()["run"][2] is not None
    ended = stage.ended("run")
    assert (ended.state, ended.reason) == ("lost", "the host was rebooted during the run")


def test_a_torn_line_in_the_journal_spoils_only_itself(stage: Stage) -> None:
    before = stage.run("true")
    stage.crash()
    with (stage.state / "journal").open("a") as journal:
        journal.write('{"t": "ended", "run": {"run_')
    stage.begin()
    known = stage.runner.known()["run"][2]
    assert known == before


def test_a_second_launcher_on_the_same_state_is_refused(stage: Stage) -> None:
    with pytest.raises(LaunchError, match="another launcher uses"):
        Journal(stage.state, patience=0.0)


def test_a_new_client_replaces_the_old_and_is_told_the_results(stage: Stage) -> None:
    ended = stage.run("true")
    second = Runner(stage.socket, stage.state)
    second.connect(PATIENCE)
    assert [x for x in second.events(PATIENCE) if isinstance(x, Ended)] == [ended]
    second.close()
    assert stage.runner.known()["run"][2] == ended, "the first one connects again"


def test_without_a_launcher_the_error_names_the_remedy(stage: Stage) -> None:
    nowhere = Runner(stage.folder / "nowhere", stage.state)
    with pytest.raises(LaunchError, match="is dcron-launcher running"):
        nowhere.connect(0.1)


def test_the_socket_and_the_state_are_closed_to_others(stage: Stage) -> None:
    assert stage.socket.stat().st_mode & 0o777 == 0o600
    assert stage.state.stat().st_mode & 0o777 == 0o700


def test_the_environment_of_a_run_is_never_on_disk(stage: Stage) -> None:
    stage.start("run", "sleep 60", environment={"SECRET": "hunter2"})
    stage.started("run")
    stored = b"".join(path.read_bytes() for path in stage.state.rglob("*") if path.is_file())
    assert b"hunter2" not in stored
    assert os.path.getsize(stage.state / "journal") > 0  # noqa: PTH202 - the check has a subject
