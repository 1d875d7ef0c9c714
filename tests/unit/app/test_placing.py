"""When the leader looks where slots should stand, and when it need not."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from dcron_app.manager.election import Election
from dcron_app.manager.placing import Placing
from dcron_app.manager.view import View, Wanted
from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Check
from dcron_common.coordinator.local import LocalEnsemble
from dcron_common.history import Span
from dcron_common.job import JobType, Placement, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Registration


class Led:
    """An election that this leader has won."""

    proof = Check(paths.EPOCH, 0)


def registration(name: str) -> Registration:
    return Registration(name, "boot", "1", "10.0.0.1", {}, 100, "test", 0)


def test_it_looks_only_when_there_is_a_reason() -> None:
    ensemble = LocalEnsemble()
    coordinator = ensemble.session()
    coordinator.start(1)
    for path in (*paths.roots(), paths.assignments("a"), paths.assignments("b")):
        coordinator.ensure(path)
    spec = Spec(1, "i", 1, JobType.COMMAND, "true", "* * * * *", "UTC", 60)
    view = View(jobs={1: Wanted(spec)}, workers={"a": registration("a")})
    clock = Clock(wall=lambda: 60.0, boot=lambda: 60.0)
    placing = Placing(coordinator, cast(Election, Led()), clock, lambda ids: {})
    assert placing.place(view)
    assert view.fences[Slot(1)].fence.holder == "a"
    assert not placing.place(view)
    assert (view.unread, view.assigned[Slot(1)]) == ({1}, set()), "the job is read again first"
    view.unread.clear()
    placing.look_again()
    assert placing.place(view)
    assert view.assigned[Slot(1)] == {("a", Wanted(spec).edition)}
    assert not placing.place(view)
    view.workers["b"] = registration("b")
    assert placing.place(view), "a host came"
    del view.workers["a"]
    assert placing.place(view), "a host went"
    assert view.fences[Slot(1)].fence.holder == "b"
    assert not placing.place(view)
    placing.look_again()
    assert placing.place(view)
    ensemble.close()


def test_a_job_that_stands_nowhere_causes_no_looks_whatever_waits_of_it() -> None:
    """There is no place whose minutes have to be closed before a worker may have the job."""
    ensemble = LocalEnsemble()
    coordinator = ensemble.session()
    coordinator.start(1)
    for path in (*paths.roots(), paths.assignments("a")):
        coordinator.ensure(path)
    tape = Placement({"disk": "tape"}, "all")
    spec = Spec(1, "i", 1, JobType.COMMAND, "true", "* * * * *", "UTC", 600, placement=tape)
    before = Span("* * * * *", "UTC", "active", 60, 600, "all")
    job = Wanted(spec, unfenced=True, beyond=(before,))
    view = View(jobs={1: job}, workers={"a": registration("a")})
    clock = Clock(wall=lambda: 600.0, boot=lambda: 600.0)
    placing = Placing(coordinator, cast(Election, Led()), clock, lambda ids: {})
    assert placing.place(view)
    placing.scanned()
    assert not placing.place(view)
    view.workers["a"] = replace(registration("a"), labels={"disk": "tape"})
    assert placing.place(view)
    assert view.fence(Slot(1, "a")) is not None
    view.unread.clear()
    placing.scanned()
    assert placing.place(view), "a place waits for the leader to close what was due"
    ensemble.close()
