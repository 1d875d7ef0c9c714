"""Which workers are there, and since when others are not (P4)."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from dcron_app.manager import view as views
from dcron_app.manager.view import View
from dcron_common import paths, timing
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator, shared_with

log = logging.getLogger(__name__)


class Presence:
    """Keeps in mind which workers have their places."""

    def __init__(self, coordinator: Coordinator, clock: Clock) -> None:
        self._coordinator = coordinator
        self._clock = clock
        self._admitted: set[str] = set()

    def forget(self) -> None:
        """Others may have led since."""
        self._admitted.clear()

    def see(self, view: View) -> float:
        """Read who is there; when that was, in boot seconds: later than what it says."""
        before = view.workers
        view.workers = views.read_workers(self._coordinator)
        seen = self._clock.boot()
        for name in view.workers:
            view.absent_since.pop(name, None)
        for name in view.workers.keys() - self._admitted:
            self._admit(name)
        for name in before.keys() - view.workers.keys():
            self._admitted.discard(name)  # it may be forgotten meanwhile, with its places
            log.warning("worker=%s is gone: its jobs move", name)
        note_absent(view, before, seen)
        return seen

    def _admit(self, name: str) -> None:
        """Give a worker its places: what is below them is its own and nobody else's. That of its
        assignments comes last: a worker takes it for the sign that all are there."""
        self._coordinator.ensure(paths.tasks(name), shared_with(name, "rd"))
        self._coordinator.ensure(paths.kills(name), shared_with(name, "rd"))
        self._coordinator.ensure(paths.follows(name), shared_with(name, "rd"))
        self._coordinator.ensure(paths.runs(name), shared_with(name, "rcd"))
        self._coordinator.ensure(paths.assignments(name), shared_with(name, "r"))
        self._admitted.add(name)
        log.info("worker=%s is online", name)


def note_absent(view: View, names: Iterable[str], seen: float) -> None:
    """Those of these workers that are not there are away since `seen` at the latest: when the
    view's workers were read, in boot seconds."""
    for name in names:
        if name not in view.workers:
            view.absent_since.setdefault(name, seen)


def lost_workers(view: View, seen: float) -> set[str]:
    """Workers that have been absent for so long that nothing of theirs still runs. `seen`: as
    above."""
    wait = timing.LEASE + timing.KILL
    return {name for name, since in view.absent_since.items() if seen - since >= wait}
