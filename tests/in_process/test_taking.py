"""What a worker decides anew, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dcron_common import paths
from dcron_common.errors import LaunchError
from dcron_common.job import Concurrency, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_common.schedule import Schedule
from dcron_worker import taking
from dcron_worker.decide import Decision, decide
from tests.in_process.world import START, World


def test_a_minute_that_waits_for_a_run_elsewhere_has_no_other_job_decided_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = world.add("a")
    waits = world.post(concurrency=Concurrency.REPLACE)
    world.post()
    world.turn()
    known = world.app.get(paths.fence(Slot(waits)))
    elsewhere = replace(Fence.decode(known.data), active=str(START - 60))
    world.app.set(paths.fence(Slot(waits)), elsewhere.encode(), known.stat.version)
    node.turn()
    world.time.now += 65
    decided: list[int] = []

    def watched(
        spec: Spec, schedule: Schedule, fence: Fence, worker: str, now: float
    ) -> Decision | None:
        decided.append(spec.job_id)
        return decide(spec, schedule, fence, worker, now)

    monkeypatch.setattr(taking, "decide", watched)
    node.turn()
    decided.clear()
    for _ in range(5):
        node.daemon.step()
    assert set(decided) == {waits}
    free = replace(elsewhere, active=None)
    world.app.set(paths.fence(Slot(waits)), free.encode())
    node.turn()
    assert {launch.job_id for launch in node.processes.launched} == {1, 2}


def test_p11_a_run_that_cannot_be_ended_for_a_later_one_keeps_no_other_job_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node = world.add("a")
    job = world.post(concurrency=Concurrency.REPLACE)
    world.go(65)
    others = {world.post() for _ in range(2)}
    world.go(20)

    def refuse(run_id: str, reason: str) -> None:
        raise LaunchError("the launcher refused kill")

    with monkeypatch.context() as patched:
        patched.setattr(node.processes, "kill", refuse)
        world.time.now = START + 122
        for _ in range(3):
            node.turn()
    assert {launch.job_id for launch in node.processes.launched} == {job, *others}
    refused = [one for one in caplog.records if "the launcher refused" in one.getMessage()]
    assert len(refused) == 1
    node.turn()
    assert len(node.processes.killed) > 0
