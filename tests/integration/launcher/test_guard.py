"""Guarding: what ends a run, with all its processes, whatever they do."""

from __future__ import annotations

import time
from pathlib import Path

from tests.integration.launcher.stage import Stage, boot, running, wait_until

# Leaves its session and its parent, keeps its mark, and does not listen.
STUBBORN = "setsid sh -c 'trap \"\" TERM; echo $$ >{file}; while :; do sleep 1; done' &"


def stubborn(stage: Stage, name: str) -> str:
    return STUBBORN.format(file=stage.folder / name)


def test_a_run_over_its_timeout_is_ended(stage: Stage) -> None:
    ended = stage.run("sleep 60", timeout_seconds=0.3)
    assert (ended.state, ended.signal, ended.reason) == ("timed_out", 15, "timeout of 0.3 s")


def test_a_run_that_ignores_term_is_killed_after_its_grace(stage: Stage) -> None:
    ended = stage.run(
        "trap '' TERM; while :; do sleep 1; done", timeout_seconds=0.3, grace_seconds=0.3
    )
    assert (ended.state, ended.signal) == ("timed_out", 9)


def test_a_run_is_killed_on_request_with_its_reason(stage: Stage) -> None:
    stage.start("run", "sleep 60")
    stage.started("run")
    stage.runner.kill("run", "replaced by a newer run")
    ended = stage.ended("run")
    assert (ended.state, ended.reason) == ("killed", "replaced by a newer run")


def test_a_stopped_run_can_be_ended(stage: Stage) -> None:
    stage.start("run", "kill -STOP $$; sleep 60")
    pid = stage.started("run").pid
    wait_until(lambda: _state(pid) == "T")
    stage.runner.kill("run", "asked")
    assert stage.ended("run").signal == 15


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - one line of /proc
        return file.read().rsplit(")", 1)[1].split()[0]


def test_daemonized_grandchildren_end_with_the_run(stage: Stage) -> None:
    stage.start("run", f"{stubborn(stage, 'pid')} sleep 60", grace_seconds=0.3)
    daemon = stage.written("pid")
    stage.runner.kill("run", "asked")
    assert stage.ended("run").state == "killed"
    assert not running(daemon)


def test_what_a_finished_run_leaves_behind_is_ended_and_told_if_forced(stage: Stage) -> None:
    pidfile = stage.folder / "pid"
    script = f"{stubborn(stage, 'pid')} until [ -s {pidfile} ]; do sleep 0.01; done"
    ended = stage.run(script, grace_seconds=0.2)
    assert ended.state == "succeeded" and ended.reason is not None
    assert ended.reason.endswith("processes left behind had to be killed")
    assert not running(stage.written("pid"))


def test_what_goes_when_asked_is_not_worth_a_word(stage: Stage) -> None:
    ended = stage.run(f"sleep 60 & echo $! >{stage.folder}/pid")
    assert (ended.state, ended.reason) == ("succeeded", None)
    assert not running(stage.written("pid"))


def test_p5_a_leased_run_ends_when_the_daemon_no_longer_renews(stage: Stage) -> None:
    stage.start("leased", "trap '' TERM; while :; do sleep 1; done", grace_seconds=60)
    stage.start("free", "sleep 60", leased=False)
    stage.started("leased")
    until = boot() + 0.5
    stage.runner.renew(until)
    ended = stage.ended("leased")
    assert (ended.state, ended.reason) == ("lost", "lease passed")
    late = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 0 < ended.finished_at - late - until < 2.5, "within the longest kill, and some load"
    assert stage.runner.known()["free"][2] is None


def test_p5_a_renewed_lease_lets_the_run_go_on(stage: Stage) -> None:
    stage.runner.renew(boot() + 0.5)
    stage.start("run", "sleep 1.2; echo through")
    stage.started("run")
    stage.runner.renew(boot() + 60)
    assert stage.ended("run").output_tail == "through\n"


# Two forks, a session of its own, an empty environment: nothing in /proc leads back to the run.
ESCAPED = """
( setsid env -i /bin/sh -c '
    ( trap "" TERM HUP; echo $$ >{file}.parent; exec /bin/sh -c "echo \\$\\$ >{file}; trap : TERM;
      while :; do /bin/sleep 1; done" ) & exit 0
' ) &
"""


def test_what_hides_behind_two_forks_ends_with_the_run_by_its_cgroup(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    try:
        hidden = ESCAPED.format(file=stage.folder / "pid")
        stage.start("run", f"{hidden} sleep 60", grace_seconds=0.3)
        pid = stage.written("pid")
        assert b"DCRON" not in Path(f"/proc/{pid}/environ").read_bytes()
        wait_until(lambda: not running(int((stage.folder / "pid.parent").read_text())))
        stage.runner.kill("run", "asked")
        assert stage.ended("run").state == "killed"
        assert not running(pid)
    finally:
        stage.close()


def test_a_stopped_descendant_ends_with_the_run(stage: Stage) -> None:
    script = f"sh -c 'echo $$ >{stage.folder}/pid; kill -STOP $$; sleep 60' & sleep 60"
    stage.start("run", script, grace_seconds=0.5)
    pid = stage.written("pid")
    wait_until(lambda: _state(pid) == "T")
    stage.runner.kill("run", "asked")
    assert stage.ended("run").state == "killed"
    assert not running(pid)
