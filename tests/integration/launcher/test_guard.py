"""Guarding: what ends a run, with all its processes, whatever they do."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_a_run_that_was_over_when_its_end_was_asked_for_was_not_killed(stage: Stage) -> None:
    """However late its launcher hears of the one and the other."""
    os.mkfifo(stage.folder / "gate")
    stage.start("run", f"echo $$ >{stage.folder}/pid; read line <{stage.folder}/gate")
    pid = stage.written("pid")
    launcher = stage.processes[-1]
    launcher.send_signal(signal.SIGSTOP)
    (stage.folder / "gate").write_text("go\n")
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    asking = threading.Thread(target=stage.runner.kill, args=("run", "asked"))
    asking.start()
    wait_until(lambda: _is_in(asking, "ask"))  # which has sent it, but for an instant
    launcher.send_signal(signal.SIGCONT)
    asking.join()
    assert stage.ended("run").state == "succeeded"


def _is_in(thread: threading.Thread, function: str) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def test_a_stopped_run_can_be_ended(stage: Stage) -> None:
    stage.start("run", "kill -STOP $$; sleep 60")
    pid = stage.started("run").pid
    wait_until(lambda: _state(pid) == "T")
    stage.runner.kill("run", "asked")
    assert stage.ended("run").signal == 15


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - one line of /proc
        return file.read().rsplit(")", 1)[1].split()[0]


def test_a_run_of_the_same_id_under_another_launcher_is_let_alone(tmp_path: Path) -> None:
    """As of two clusters of one machine, in which no cgroups tell whose a process is."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    one, other = (Stage(folder, "--no-cgroups") for folder in folders)
    try:
        one.start("run", "sleep 60")
        one.started("run")
        other.start("run", f"while [ ! -e {tmp_path}/done ]; do sleep 0.05; done")
        other.started("run")
        one.runner.kill("run", "asked")
        assert one.ended("run").state == "killed"
        (tmp_path / "done").touch()
        assert other.ended("run").state == "succeeded"
    finally:
        one.close()
        other.close()


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


def test_p5_what_a_leased_run_left_behind_ends_when_the_lease_passes(stage: Stage) -> None:
    """Its main process has gone by its timeout, and the rest would have a minute."""
    script = f"{stubborn(stage, 'pid')} exec sleep 60"
    stage.start("run", script, timeout_seconds=0.5, grace_seconds=60)
    left = stage.written("pid")
    main = stage.started("run").pid
    wait_until(lambda: not running(main))
    assert running(left)
    until = boot() + 0.5
    stage.runner.renew(until)
    ended = stage.ended("run")
    assert (ended.state, ended.signal) == ("timed_out", 15)
    assert not running(left)
    late = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 0 < ended.finished_at - late - until < 2.5, "within the longest kill, and some load"


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


# What a job with the right to does: cgroups below its own, and itself in the innermost.
NEST = """
for own in $(find /sys/fs/cgroup -type d -name "${DCRON_LAUNCH%%@*}"); do
    mkdir -p $own/inner/deeper; echo $$ >$own/inner/deeper/cgroup.procs
done
"""


def cgroups_of(run_id: str) -> list[Path]:
    """By a walk to which nothing matters that vanishes meanwhile."""
    walk = os.walk("/sys/fs/cgroup")
    return [Path(top) / run_id for top, folders, _ in walk if run_id in folders]


@pytest.fixture
def grouped(tmp_path: Path) -> Iterator[Stage]:
    """A launcher whose runs may make cgroups."""
    stage = Stage(tmp_path)
    stage.start("probe", "sleep 60")
    stage.started("probe")
    found = cgroups_of("probe")
    stage.runner.kill("probe", "seen")
    stage.ended("probe")
    if os.getuid() != 0 or not found:
        stage.close()
        pytest.skip("runs get no cgroups here, or may make none")
    yield stage
    stage.close()


@pytest.mark.parametrize("limits", [{}, {"processes": 20}])
def test_a_run_that_made_cgroups_below_its_own_is_over_when_it_ends(
    grouped: Stage, limits: dict[str, int]
) -> None:
    run = f"nesting-{os.getpid()}"
    grouped.start(run, f"{NEST} test -d $own/inner/deeper", **limits)
    ended = grouped.ended(run)
    assert (ended.state, ended.reason) == ("succeeded", None)
    wait_until(lambda: cgroups_of(run) == [])


def test_what_a_run_left_in_a_cgroup_of_its_own_making_ends_with_it(grouped: Stage) -> None:
    run = f"nesting-{os.getpid()}"
    hidden = ESCAPED.format(file=grouped.folder / "pid")
    grouped.start(run, f"{NEST} {hidden} sleep 60", grace_seconds=0.3)
    pid = grouped.written("pid")
    wait_until(lambda: not running(int((grouped.folder / "pid.parent").read_text())))
    grouped.runner.kill(run, "asked")
    assert grouped.ended(run).state == "killed"
    assert not running(pid)
    wait_until(lambda: cgroups_of(run) == [])


def test_what_left_one_hierarchy_is_found_in_another(grouped: Stage) -> None:
    """Out of version 2, where the kernel would kill it, and still in that of a limit."""
    run = f"nesting-{os.getpid()}"
    leave = """
for own in $(find /sys/fs/cgroup -type d -name "${DCRON_LAUNCH%%@*}"); do
    if [ -e $own/cgroup.kill ]; then echo $$ >$own/../../cgroup.procs; fi
done
"""
    hidden = ESCAPED.format(file=grouped.folder / "pid")
    wait = f"until [ -e {grouped.folder}/seen ]; do sleep 0.05; done"
    grouped.start(run, f"{NEST} {leave} {hidden} {wait}", grace_seconds=0.3, processes=20)
    pid = grouped.written("pid")
    hierarchies = len(cgroups_of(run))
    (grouped.folder / "seen").touch()
    assert grouped.ended(run).state == "succeeded"
    assert not running(pid) or hierarchies < 2, "there is no other that it could be found in"
    wait_until(lambda: cgroups_of(run) == [])
