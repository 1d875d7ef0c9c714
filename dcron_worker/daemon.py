"""The worker's main loop: one thread that decides, fed by threads that only tell.

Hints from crond, watches, the launcher's events and committed reports all arrive as messages;
each pass looks at levels (assignments, fences, claims, what is due), never at what a message
says. If ZooKeeper is away a pass ends early and the next begins where it stopped; runs that
ended meanwhile stay in the launcher's files until their claims could be finished. If the launcher
is away nothing is claimed, so that jobs can go elsewhere; ends and requests are served. Without a
lease nothing is claimed either: it would be lost before its start, and its attempts used up.
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
from dcron_common.errors import ConnectionLost, DcronError, LaunchError
from dcron_common.job import CatchUp
from dcron_common.paths import Slot
from dcron_common.protocol import LAUNCHER
from dcron_worker import assignments
from dcron_worker.book import Book
from dcron_worker.crond import CrondWatch
from dcron_worker.crontab_check import CrontabError
from dcron_worker.membership import Membership
from dcron_worker.outputs import Stored
from dcron_worker.parts import Parts
from dcron_worker.report import Outcome
from dcron_worker.runner.model import Ended, Launch, Started

log = logging.getLogger(__name__)

IDLE = 0.5  # seconds a pass waits for a message before it looks by itself


@dataclass(frozen=True, slots=True)
class Due:
    """Something may be due."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Something of ours in ZooKeeper may have changed, or the session is new."""


Message = Due | Changed | Outcome | Stored | Launch | Started | Ended


class Daemon:
    """Runs until `stop`; everything it touches is passed in."""

    def __init__(
        self,
        worker: str,
        parts: Parts,
        *,
        coordinator: Coordinator,
        membership: Membership,
        inbox: queue.SimpleQueue[Message],
        render: Callable[[Book], None],
        crond: CrondWatch,
        clock: Clock,
    ) -> None:
        """`render` brings the crontab in line with the book, CrontabError."""
        self._worker = worker
        self._coordinator = coordinator
        self._membership = membership
        self._book = parts.book
        self._claims = parts.claims
        self._taking = parts.taking
        self._lifecycle = parts.lifecycle
        self._recording = parts.recording
        self._isolation = parts.isolation
        self._adoption = parts.adoption
        self._killing = parts.killing
        self._vault = parts.vault
        self._following = parts.following
        self._inbox = inbox
        self._render = render
        self._crond = crond
        self._clock = clock
        self._stop = threading.Event()
        self._changed = True
        self._due = True
        self._again: set[Slot] = set()  # to be decided anew without a hint
        self._scan_at = 0.0
        self._ticked_through = 0
        self._hinted_early = False
        self._crontab_ill = False
        self._launcher_away = False
        self._away = False

    def stop(self) -> None:
        """Ask the loop to end after the present pass."""
        self._stop.set()
        self._inbox.put(Due())

    def run(self) -> None:
        """Register, put the crontab right, adopt what runs, then work until stopped."""
        mine = (paths.assignments, paths.tasks, paths.kills, paths.follows)
        for watched in [place(self._worker) for place in mine]:
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
        """One pass: assignments first, then what ended, then what is due. A hint comes before a
        look that only time asks for."""
        if self._membership.cut_off:
            self._isolation.fire()
        if not self._membership.owns_name:
            return  # what stands below the name may be another machine's (P10)
        now = self._clock.boot()
        if self._due and not self._changed:
            self._lifecycle.finish_ended()
            self._take_due()
        if self._changed or now >= self._scan_at:
            self._look()
            self._scan_at = now + (timing.SCAN if self._starts else timing.BEAT)
        self._lifecycle.finish_ended()
        self._recording.drop()
        self._recording.acknowledge()
        self._watch_crond()
        self._take_due()
        if self._starts:
            self._lifecycle.start_retries()
        self._lifecycle.hand_over()
        self._tell()

    @property
    def _starts(self) -> bool:
        """Whether a run that is claimed now can start."""
        return not self._launcher_away and self._membership.may_start

    def _hear(self, timeout: float) -> None:
        try:
            self._note(self._inbox.get(timeout=timeout))
            while True:
                self._note(self._inbox.get_nowait())
        except queue.Empty:
            return

    def _note(self, message: Message) -> None:
        if isinstance(message, Ended):
            self._following.ended(message.run_id)
        match message:
            case Due():
                self._due = True
            case Changed():
                self._changed = True
            case Started() | Ended() | Launch() if self._isolation.knows(message.run_id):
                self._note_isolated(message)
            case Started():
                self._lifecycle.started(message)
            case Ended():
                self._lifecycle.ended(message)
                self._due = self._due or self._catches_up(message)
            case Launch():
                self._lifecycle.ready(message)
            case Outcome():
                self._recording.told(self._isolation.told(message))
            case Stored():
                self._recording.stored(message.run_id)

    def _note_isolated(self, event: Started | Ended | Launch) -> None:
        if isinstance(event, Started):
            self._isolation.started(event)
        else:
            self._isolation.ready(event)

    def _look(self) -> None:
        """Levels: assignments, crontab, open claims, requests, tasks."""
        if self._coordinator.exists(paths.assignments(self._worker)) is None:
            log.info("worker=%s waits for a manager that gives it its places", self._worker)
            return
        changed = assignments.refresh(self._worker, self._coordinator, self._book)
        self._put_crontab_right()
        self._adopt()
        if doubtful := self._book.doubtful(self._clock.wall()):
            self._claims.refresh(doubtful)
        to_end = self._killing.heed()
        if self._starts:
            self._lifecycle.begin_unbegun()
            self._lifecycle.take_tasks(but_not=to_end)
        self._following.heed(known=not self._launcher_away)
        self._changed = False
        if changed:
            self._due = True
            self._vault.retain(self._book.secrets())

    def _adopt(self) -> None:
        """Compare with the launcher. One that is away hinders nothing that needs none."""
        try:
            self._adoption.look()
            self._isolation.flush(self._claims)
        except LaunchError as error:
            if not self._launcher_away:
                log.error("worker=%s claims nothing: %s", self._worker, error)
            self._launcher_away = True
        else:
            if self._launcher_away:
                log.info("worker=%s its launcher answers again", self._worker)
            self._launcher_away = False

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

    def _take_due(self) -> None:
        """Claim what is due: of everything after a hint, else of what has to be decided again."""
        if not self._starts or not (self._due or self._again):
            return
        if not self._membership.measured:
            return  # which time it is, is not known yet
        now = self._clock.wall()
        self._again = self._taking.take(self._book.held if self._due else self._again, now)
        if self._due:
            self._ticked_through = minute(now)
            self._hinted_early = self._membership.held_back
        self._due = False

    def _watch_crond(self) -> None:
        """Tick in crond's place where it does not, and where its clock is ahead, or was when it
        gave its last tick: that came before its time, and the minute's own does not come."""
        self._crond.look()
        unheard = self._crond.ill or self._membership.held_back or self._hinted_early
        if unheard and minute(self._clock.wall()) > self._ticked_through:
            self._due = True

    def _tell(self) -> None:
        parts = {
            "crond": self._crond.ill,
            "crontab": self._crontab_ill,
            LAUNCHER: self._launcher_away,
            "records": self._recording.ill,
            "outputs": self._recording.outputs.ill,
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
