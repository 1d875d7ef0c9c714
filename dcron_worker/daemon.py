"""The worker's main loop: one thread that decides, fed by threads that only tell.

Hints from crond, watches, the launcher's events and committed reports all arrive as messages;
each pass looks at levels (assignments, fences, claims, what is due), never at what a message
says. If ZooKeeper is away a pass ends early and the next begins where it stopped; runs that
ended meanwhile stay in the launcher's files until their claims could be finished.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from dcron_common import paths, timing
from dcron_common.clock import Clock, minute
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import ConnectionLost, DcronError
from dcron_common.job import CatchUp
from dcron_worker import assignments
from dcron_worker.adoption import adopt
from dcron_worker.book import Book
from dcron_worker.claims import Claims
from dcron_worker.crontab_file import CrontabError
from dcron_worker.decide import decide
from dcron_worker.lifecycle import Lifecycle
from dcron_worker.membership import Membership
from dcron_worker.recording import Recording
from dcron_worker.report import Outcome
from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch, Started

log = logging.getLogger(__name__)

IDLE = 0.5  # seconds a pass waits for a message before it looks by itself


@dataclass(frozen=True, slots=True)
class Due:
    """Something may be due."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Something of ours in ZooKeeper may have changed, or the session is new."""


Message = Due | Changed | Outcome | Launch | Started | Ended


class Daemon:
    """Runs until `stop`; everything it touches is passed in."""

    def __init__(
        self,
        worker: str,
        *,
        coordinator: Coordinator,
        membership: Membership,
        book: Book,
        claims: Claims,
        lifecycle: Lifecycle,
        recording: Recording,
        runner: Runner,
        inbox: queue.SimpleQueue[Message],
        render: Callable[[Book], None],
        silence: Callable[[], float],
        clock: Clock,
    ) -> None:
        """`render` brings the crontab in line with the book, CrontabError; `silence` gives the
        seconds since crond's last tick."""
        self._worker = worker
        self._coordinator = coordinator
        self._membership = membership
        self._book = book
        self._claims = claims
        self._lifecycle = lifecycle
        self._recording = recording
        self._runner = runner
        self._inbox = inbox
        self._render = render
        self._silence = silence
        self._clock = clock
        self._stop = threading.Event()
        self._changed = True
        self._due = True
        self._scan_at = 0.0
        self._ticked_through = 0
        self._crond_ill = False
        self._crontab_ill = False
        self._away = False

    def stop(self) -> None:
        """Ask the loop to end after the present pass."""
        self._stop.set()
        self._inbox.put(Due())

    def run(self) -> None:
        """Register, put the crontab right, adopt what runs, then work until stopped."""
        for watched in (paths.assignments(self._worker), paths.tasks(self._worker)):
            self._coordinator.watch_children(watched, lambda: self._inbox.put(Changed()))
        while not self._stop.is_set():
            try:
                self._hear(IDLE)
                self.step()
                self._away = False
            except ConnectionLost as error:
                if not self._away:
                    log.warning("worker=%s ZooKeeper is away: %s", self._worker, error)
                self._away = True
                self._changed = True
                self._stop.wait(IDLE)
            except Exception:  # the top of the loop: one pass may fail, never the worker
                log.exception("worker=%s a pass failed and is repeated", self._worker)
                self._changed = True
                self._stop.wait(timing.BEAT)

    def step(self) -> None:
        """One pass: assignments first, then what ended, then what is due."""
        now = self._clock.boot()
        if self._changed or now >= self._scan_at:
            self._look()
            self._scan_at = now + timing.SCAN
        self._lifecycle.finish_ended()
        self._recording.acknowledge()
        self._watch_crond()
        if self._due:
            self._due = self._take_due()
        self._lifecycle.start_retries()
        self._lifecycle.hand_over()
        self._tell()

    def _hear(self, timeout: float) -> None:
        try:
            self._note(self._inbox.get(timeout=timeout))
            while True:
                self._note(self._inbox.get_nowait())
        except queue.Empty:
            return

    def _note(self, message: Message) -> None:
        match message:
            case Due():
                self._due = True
            case Changed():
                self._changed = True
            case Started():
                self._lifecycle.started(message)
            case Ended():
                self._lifecycle.ended(message)
                self._due = self._due or self._catches_up(message)
            case Launch():
                self._lifecycle.ready(message)
            case Outcome():
                self._recording.told(message)

    def _look(self) -> None:
        """Levels: assignments, crontab, open claims, tasks."""
        if self._coordinator.exists(paths.assignments(self._worker)) is None:
            log.info("worker=%s waits for a manager to admit it", self._worker)
            return
        changed = assignments.refresh(self._worker, self._coordinator, self._book)
        self._put_crontab_right()
        adopt(
            self._coordinator,
            self._book,
            self._claims,
            self._lifecycle,
            self._recording,
            self._runner,
        )
        if doubtful := self._book.doubtful():
            self._claims.refresh(doubtful)
        self._lifecycle.take_tasks()
        self._changed = False
        if changed:
            self._due = True

    def _catches_up(self, event: Ended) -> bool:
        """Whether a minute may have waited for this run's end."""
        opened = self._book.claims.get(event.run_id)
        spec = opened.spec if opened else None
        return spec is not None and spec.catch_up is CatchUp.ALL

    def _put_crontab_right(self) -> None:
        """A crontab that cannot be written keeps no run from being claimed, guarded, recorded."""
        try:
            self._render(self._book)
        except CrontabError as error:
            if not self._crontab_ill:
                log.error("worker=%s its crontab cannot be written: %s", self._worker, error)
            self._crontab_ill = True
        else:
            if self._crontab_ill:
                log.info("worker=%s its crontab is written again", self._worker)
            self._crontab_ill = False

    def _take_due(self) -> bool:
        """Claim what is due; True if it has to be decided again."""
        now = self._clock.wall()
        decisions = []
        for slot, held in self._book.held.items():
            decision = decide(held.spec, held.schedule, held.fence, self._worker, now)
            if decision is not None:
                decisions.append((slot, decision))
        waiting = [(slot, one.replaces) for slot, one in decisions if one.replaces is not None]
        for slot, key in waiting:
            self._lifecycle.replace(slot, key)
        ready = [(slot, one) for slot, one in decisions if one.replaces is None]
        taken = self._claims.take_due(ready) if ready else []
        self._lifecycle.begin(taken)
        if len(taken) < len(ready) or waiting or any(one.more for _, one in ready):
            # A fence had changed, a run has to end first, or there is more to catch up.
            return True
        self._ticked_through = minute(now)
        return False

    def _watch_crond(self) -> None:
        """No tick line for 90 s: crond is ill. Say so, and tick in its place."""
        ill = self._silence() > timing.TICK_SILENCE
        if ill and not self._crond_ill:
            log.error("worker=%s crond gave no tick for 90 s: ticking in its place", self._worker)
        if self._crond_ill and not ill:
            log.info("worker=%s crond ticks again", self._worker)
        self._crond_ill = ill
        if ill and minute(self._clock.wall()) > self._ticked_through:
            self._due = True

    def _tell(self) -> None:
        parts = {
            "crond": self._crond_ill,
            "crontab": self._crontab_ill,
            "records": self._recording.ill,
        }
        ill = [name for name, is_ill in parts.items() if is_ill]
        self._membership.update(ticked_through=self._ticked_through, ill=ill)


def pump_runner(
    events: Callable[[float], list[Started | Ended]],
    inbox: queue.SimpleQueue[Message],
    stop: threading.Event,
) -> None:
    """Thread body: the launcher's events become messages."""
    while not stop.is_set():
        try:
            for event in events(1.0):
                inbox.put(event)
        except DcronError:
            log.exception("the launcher does not answer")
            stop.wait(1.0)


def pump_hints(
    wait: Callable[[float], bool], inbox: queue.SimpleQueue[Message], stop: threading.Event
) -> None:
    """Thread body: hints of crond become messages."""
    while not stop.is_set():
        if wait(1.0):
            inbox.put(Due())
