"""Guarding: what ends a run, with all its processes, whatever they do."""

from __future__ import annotations

import sys
import time

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


def test_a_leased_run_ends_when_the_daemon_no_longer_renews(stage: Stage) -> None:
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


def test_a_renewed_lease_lets_the_run_go_on(stage: Stage) -> None:
    stage.runner.renew(boot() + 0.5)
    stage.start("run", "sleep 1.2; echo through")
    stage.started("run")
    stage.runner.renew(boot() + 60)
    assert stage.ended("run").output_tail == "through\n"


def test_too_much_output_ends_the_run_and_is_cut(stage: Stage) -> None:
    ended = stage.run("yes", output_bytes=100_000)
    assert (ended.state, ended.reason) == ("failed", "output limit of 100000 bytes exceeded")
    assert (ended.truncated, ended.output_size, len(ended.output_tail)) == (True, 100_000, 8192)


@pytest.mark.parametrize("name", ["memory_bytes", "processes", "cpu_percent"])
def test_a_limit_without_cgroups_is_not_silently_ignored(stage: Stage, name: str) -> None:
    if stage.has_cgroups:
        assert stage.run("true", **{name: 1 << 26}).state in ("succeeded", "failed")
        return
    reason = stage.run("true", **{name: 1 << 26}).reason
    assert reason is not None and f"limits.{name} cannot be enforced on this host" in reason


HOG = "import sys; sys.stdout.write(str(len(bytearray(200 << 20))))"
CROWD = "for i in 1 2 3 4 5 6; do sleep 1 & done; wait; false"


@pytest.mark.parametrize(
    ("limits", "argv", "reason"),
    [
        ({"memory_bytes": 64 << 20}, (sys.executable, "-c", HOG), "memory limit of 67108864"),
        ({"processes": 4}, ("/bin/sh", "-c", CROWD), "limit of 4 processes reached"),
    ],
)  # fmt: skip
def test_an_exceeded_limit_is_the_reason(
    stage: Stage, limits: dict[str, int], argv: tuple[str, ...], reason: str
) -> None:
    ended = stage.run("", argv=argv, **limits)
    assert ended.state == "failed" and ended.reason is not None
    refused = "cannot be enforced on this host" in ended.reason
    assert refused if not stage.has_cgroups else refused or ended.reason.startswith(reason)
