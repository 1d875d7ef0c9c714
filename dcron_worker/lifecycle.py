"""A claim's way from taken to recorded: fetch, start, end, report, drop (P3, P6, P12, P13)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path

from dcron_common import paths, records
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import DcronError, NoNode
from dcron_common.job import JobType, OnWorkerLoss, Spec
from dcron_common.protocol import Claim, Result, Task
from dcron_common.run import RunRecord, RunState
from dcron_worker import launching
from dcron_worker.book import Book, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.decide import retry_delay
from dcron_worker.runner.client import Known, Runner
from dcron_worker.runner.model import Ended, Launch, Started

log = logging.getLogger(__name__)

RESUMES = 3  # how often a lost run is started again


class Lifecycle:
    """Holds what is on its way; called from the daemon's thread only."""

    def __init__(
        self,
        worker: str,
        *,
        coordinator: Coordinator,
        book: Book,
        claims: Claims,
        runner: Runner,
        report: Callable[[Sequence[RunRecord], Callable[[], None]], None],
        tell_recorded: Callable[[str], None],
        fetch: Callable[[Spec], Path],
        executor: Executor,
        tell_ended: Callable[[Ended], None],
        user_of: Callable[[Spec], str | None],
        clock: Clock,
        jitter: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        """`user_of` gives the OS user of a run, None for the daemon's own; LaunchError if the
        worker's allow-list does not have it."""
        self._worker = worker
        self._coordinator = coordinator
        self._book = book
        self._claims = claims
        self._runner = runner
        self._report = report
        self._tell_recorded = tell_recorded
        self._fetch = fetch
        self._executor = executor
        self._tell_ended = tell_ended
        self._user_of = user_of
        self._clock = clock
        self._jitter = jitter
        self._new_id = new_id
        self._ended: dict[str, Ended] = {}
        self._fetching: set[str] = set()
        self._reporting: set[str] = set()  # attempts that a retry has left behind

    # -- beginning

    def begin(self, taken: Iterable[OpenClaim]) -> None:
        """Launch claims, or record those that were taken only to be recorded."""
        ready: list[Launch] = []
        for opened in taken:
            claim = opened.claim
            log.info(
                "job=%s run=%s key=%s attempt=%d trigger=%s %s",
                opened.slot,
                claim.run_id,
                opened.key,
                claim.attempt,
                claim.trigger.value,
                claim.result.state.value if claim.result else "claimed",
            )
            if claim.result is not None:
                self._record(opened, claim, dropped=True)
            elif opened.spec is not None and opened.spec.type is not JobType.COMMAND:
                self._fetching.add(claim.run_id)
                self._executor.submit(self._fetch_and_start, opened, opened.spec)
            elif (launch := self._launch(opened, None)) is not None:
                ready.append(launch)
        self._start(ready)

    def _fetch_and_start(self, opened: OpenClaim, spec: Spec) -> None:
        """On a pool's thread: files may take long, and hinder nobody."""
        try:
            launch = self._launch(opened, self._fetch(spec))
        except DcronError as error:
            self._tell_ended(self._unstarted(opened, str(error)))
            return
        if launch is not None:
            self._start([launch])

    def _launch(self, opened: OpenClaim, executable: Path | None) -> Launch | None:
        try:
            user = self._user_of(opened.spec) if opened.spec else None
            return launching.build(opened, executable, user=user)
        except DcronError as error:
            self._tell_ended(self._unstarted(opened, str(error)))
            return None

    def _start(self, launches: Sequence[Launch]) -> None:
        if not launches:
            return
        try:
            self._runner.start(launches)
        except DcronError as error:
            log.exception("%d runs could not be handed to the launcher", len(launches))
            for launch in launches:
                opened = self._book.claims.get(launch.run_id)
                if opened is not None:
                    self._tell_ended(self._unstarted(opened, f"the launcher failed: {error}"))

    def _unstarted(self, opened: OpenClaim, reason: str) -> Ended:
        return Ended(
            run_id=opened.claim.run_id,
            state=RunState.FAILED.value,
            started_at=None,
            finished_at=self._clock.wall(),
            exit_code=None,
            signal=None,
            reason=reason,
            output_tail="",
            output_path="",
            output_size=0,
            truncated=False,
        )

    # -- running and ending

    def started(self, event: Started) -> None:
        """Report that a run runs, with the older minutes that its claim closed."""
        self._fetching.discard(event.run_id)
        opened = self._book.claims.get(event.run_id)
        if opened is None:
            return
        row = records.record(opened.slot, opened.key, opened.claim, None)
        missed = records.passed_over(opened.slot, opened.claim, opened.claim.run_id)
        self._report([*missed, replace(row, started_at=event.started_at)], _nothing)

    def ended(self, event: Ended) -> None:
        """Keep the end until its claim could be finished."""
        self._fetching.discard(event.run_id)
        self._ended[event.run_id] = event

    def finish_ended(self) -> None:
        """Finish the claims of ended runs; what cannot be finished now stays."""
        for run_id, event in list(self._ended.items()):
            opened = self._book.claims.get(run_id)
            if opened is None:
                self._disowned(run_id)
                del self._ended[run_id]
            elif self._finish(opened, event):
                del self._ended[run_id]

    def _finish(self, opened: OpenClaim, event: Ended) -> bool:
        before = opened.claim
        result = Result(
            state=RunState(event.state),
            started_at=event.started_at,
            finished_at=event.finished_at,
            exit_code=event.exit_code,
            signal=event.signal,
            reason=event.reason,
            output_tail=event.output_tail,
        )
        again = self._again_at(opened, result)
        if not self._claims.finish(opened, result, again):
            return False
        log.info(
            "job=%s run=%s %s exit_code=%s signal=%s reason=%s",
            opened.slot,
            event.run_id,
            event.state,
            event.exit_code,
            event.signal,
            event.reason,
        )
        self._record(opened, replace(before, result=result), dropped=again is None)
        return True

    def _again_at(self, opened: OpenClaim, result: Result) -> float | None:
        """When the next attempt may start (epoch seconds), or None."""
        spec, claim = opened.spec, opened.claim
        held = self._book.held.get(opened.slot)
        if spec is None or held is None or held.fence.state == "removed":
            return None
        if result.state is RunState.LOST:
            rerun = spec.on_worker_loss is OnWorkerLoss.RERUN
            return self._clock.wall() if rerun and claim.attempt <= RESUMES + spec.retries else None
        if result.state not in (RunState.FAILED, RunState.TIMED_OUT):
            return None
        if claim.attempt > spec.retries + claim.resumes:
            return None
        return self._clock.wall() + retry_delay(spec, claim.attempt, self._jitter())

    def start_retries(self) -> None:
        """Launch the attempts whose time has come (P12: the present holder does)."""
        now = self._clock.wall()
        due = [
            opened
            for opened in self._book.claims.values()
            if opened.claim.not_before is not None and opened.claim.not_before <= now
        ]
        for opened in due:
            if self._claims.take_again(opened):
                self.begin([self._book.claims[opened.claim.run_id]])

    def _record(self, opened: OpenClaim, claim: Claim, *, dropped: bool) -> None:
        row = records.record(opened.slot, opened.key, claim, claim.result)
        missed = records.passed_over(opened.slot, claim, claim.run_id)
        done = partial(self._tell_recorded, claim.run_id) if dropped else _nothing
        if not dropped:
            self._reporting.add(claim.run_id)
            done = partial(self._attempt_recorded, claim.run_id)
        self._report([*missed, row], done)

    def _attempt_recorded(self, run_id: str) -> None:
        self._runner.acknowledge([run_id])
        self._reporting.discard(run_id)

    def recorded(self, run_id: str) -> None:
        """The database has the end: the claim goes, then the launcher's files."""
        opened = self._book.claims.get(run_id)
        if opened is not None:
            try:
                self._claims.drop(opened)
            except DcronError as error:
                # adoption finds the claim with its result and reports it once more
                log.info("claim %s is dropped later: %s", opened.path, error)
                self._book.claims.pop(run_id, None)
        self._runner.acknowledge([run_id])

    # -- what is found at a start, after a new session, or asked for

    def adopt(self) -> None:
        """Bring the book in line with the claims that stand below this worker's name."""
        names = self._coordinator.children(paths.runs(self._worker))
        known_paths = {opened.path for opened in self._book.claims.values()}
        new = [n for n in names if f"{paths.runs(self._worker)}/{n}" not in known_paths]
        session = self._coordinator.session_id
        alive = self._runner.known()
        for name in new:
            self._adopt_one(name, alive)
        for opened in list(self._book.claims.values()):
            if opened.owned and opened.claim.run_id in alive:
                owner = self._coordinator.exists(paths.owner(opened.path))
                if owner is None or owner.ephemeral_owner != session:
                    self._claims.take_again(opened)
        for run_id, (_, _, end) in alive.items():
            if run_id in self._book.claims:
                continue
            if end is None:
                self._runner.kill(run_id, "its claim was taken by another worker")
            elif run_id not in self._ended and run_id not in self._reporting:
                self._runner.acknowledge([run_id])

    def _adopt_one(self, name: str, alive: Known) -> None:
        slot, key = paths.run_parts(name)
        path = paths.claim(self._worker, slot, key)
        try:
            node = self._coordinator.get(path)
        except NoNode:
            return
        claim = Claim.decode(node.data)
        held = self._book.held.get(slot)
        spec = held.spec if held else None
        owned = self._coordinator.exists(paths.owner(path)) is not None
        opened = OpenClaim(slot, key, path, spec, claim, node.stat.version, owned)
        self._book.claims[claim.run_id] = opened
        if claim.result is not None:
            self._record(opened, claim, dropped=True)
        elif claim.not_before is not None:
            return  # start_retries takes it when its time has come
        elif claim.run_id not in alive and claim.run_id not in self._fetching:
            reason = "the worker stopped between the claim and the start: nothing was started"
            lost = replace(self._unstarted(opened, reason), state=RunState.LOST.value)
            self.ended(lost)
        elif claim.run_id in alive and (end := alive[claim.run_id][2]) is not None:
            self.ended(end)
        elif claim.run_id in alive:
            log.info("job=%s run=%s is owned again", slot, claim.run_id)
            self._claims.take_again(opened)

    def _disowned(self, run_id: str) -> None:
        """A run whose claim is not ours any more: its end was decided without us."""
        if not any(opened.claim.run_id == run_id for opened in self._book.claims.values()):
            log.warning("run=%s ended here after its claim was taken away", run_id)
            self._runner.acknowledge([run_id])

    def take_tasks(self) -> None:
        """Start what the leader asked for."""
        for name in self._coordinator.children(paths.tasks(self._worker)):
            slot, key = paths.run_parts(name)
            if slot not in self._book.held:
                continue
            try:
                node = self._coordinator.get(paths.task(self._worker, slot, key))
            except NoNode:
                continue
            opened = self._claims.take_task(slot, key, Task.decode(node.data))
            if opened is not None:
                self.begin([opened])


def _nothing() -> None:
    """For reports that nobody waits for."""
