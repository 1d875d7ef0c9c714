"""A claim's way from taken to ended: fetch, hand over, start, end, next attempt (P3, P6, P12).

What is known of a claim stands in the book; what becomes of its record is `recording`'s affair.
Nothing here is lost with the daemon: `adoption` finds claims and processes again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path

from dcron_common import paths, records
from dcron_common.attempts import next_attempt
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import ConnectionLost, DcronError, LaunchError, NoNode
from dcron_common.job import JobType, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Result, Task
from dcron_common.run import RunState
from dcron_worker import launching
from dcron_worker.book import Book, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.recording import Recording
from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch, Started

log = logging.getLogger(__name__)

_REPLACED = "a later minute was due and concurrency is replace"


class Lifecycle:
    """Holds what is on its way; called from the daemon's thread only."""

    def __init__(
        self,
        *,
        coordinator: Coordinator,
        book: Book,
        claims: Claims,
        runner: Runner,
        recording: Recording,
        fetch: Callable[[Spec], Path],
        executor: Executor,
        tell: Callable[[Ended | Launch], None],
        user_of: Callable[[Spec], str | None],
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        """`tell` brings what other threads found to the daemon's: a launch that is ready, or an
        end without a start. `user_of` gives the OS user of a run, None for the daemon's own;
        LaunchError if the worker's allow-list does not have it."""
        self._coordinator = coordinator
        self._book = book
        self._claims = claims
        self._runner = runner
        self._recording = recording
        self._fetch = fetch
        self._executor = executor
        self._tell = tell
        self._user_of = user_of
        self._clock = clock
        self._jitter = jitter
        self._fetching: set[str] = set()
        self._ready: dict[str, Launch] = {}  # not yet known to be with the launcher
        self._left_alone: set[str] = set()  # tasks that cannot be read
        self._ended: dict[str, Ended] = {}  # whose claims are not yet finished

    def on_its_way(self, run_id: str) -> bool:
        """Whether a claim without a process is about to get one, or had one until just now."""
        return run_id in self._fetching or run_id in self._ready or run_id in self._ended

    # -- beginning

    def begin(self, taken: Iterable[OpenClaim]) -> None:
        """Launch claims, or record those that were taken only to be recorded."""
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
                self._recording.closed(opened)
            elif claim.not_before is not None:
                continue  # start_retries takes it when its time has come
            elif opened.spec is not None and opened.spec.type is not JobType.COMMAND:
                self._fetching.add(claim.run_id)
                self._executor.submit(self._fetch_file, opened, opened.spec)
            else:
                self.ready(self._prepared(opened, None))
        self.hand_over()

    def _fetch_file(self, opened: OpenClaim, spec: Spec) -> None:
        """On a pool's thread: files may take long, and hinder nobody."""
        try:
            self._tell(self._prepared(opened, self._fetch(spec)))
        except DcronError as error:
            self._tell(self._unstarted(opened, RunState.FAILED, str(error)))
        except Exception as error:  # the top of the thread: the run must not wait for ever
            log.exception("run=%s its file could not be fetched", opened.claim.run_id)
            self._tell(self._unstarted(opened, RunState.FAILED, f"the fetch failed: {error!r}"))

    def _prepared(self, opened: OpenClaim, executable: Path | None) -> Ended | Launch:
        try:
            user = self._user_of(opened.spec) if opened.spec else None
            launch = launching.build(opened, executable, user=user)
            launch.check()
        except (LaunchError, OSError) as error:
            return self._unstarted(opened, RunState.FAILED, str(error))
        return launch

    def ready(self, found: Ended | Launch) -> None:
        """A launch waits for the launcher, or could not be made."""
        self._fetching.discard(found.run_id)
        if isinstance(found, Launch):
            self._ready[found.run_id] = found
        else:
            self.ended(found)

    def hand_over(self) -> None:
        """Give the launcher what is ready. If it does not answer that is said again at the next
        pass: it starts nothing twice. The lease, which it checks last, bounds how late."""
        for run_id in self._ready.keys() - self._book.claims.keys():
            del self._ready[run_id]  # somebody with the right took the claim away
        if not self._ready:
            return
        try:
            self._runner.start(list(self._ready.values()))
        except LaunchError as error:
            log.error("%d runs wait for the launcher: %s", len(self._ready), error)
        else:
            self._ready.clear()

    def _unstarted(self, opened: OpenClaim, state: RunState, reason: str) -> Ended:
        return Ended(
            run_id=opened.claim.run_id,
            state=state.value,
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

    def never_began(self, opened: OpenClaim) -> None:
        """A claim that the launcher does not know, found by adoption."""
        reason = "the worker stopped between the claim and the start: nothing was started"
        self.ended(self._unstarted(opened, RunState.LOST, reason))

    def replace(self, slot: Slot, key: str) -> None:
        """Have a run ended for a later one of its job (P11). One that is not here is waited for:
        the leader closes it."""
        for opened in self._book.claims.values():
            if (opened.slot, opened.key) != (slot, key):
                continue
            if opened.claim.not_before is not None:
                self.ended(self._unstarted(opened, RunState.KILLED, _REPLACED))
            else:
                self._runner.kill(opened.claim.run_id, _REPLACED)
            return

    # -- running and ending

    def started(self, event: Started) -> None:
        """Report that a run runs, with the older minutes that its claim closed."""
        opened = self._book.claims.get(event.run_id)
        if opened is None:
            return
        row = records.running(opened.slot, opened.key, opened.claim, event.started_at)
        missed = records.passed_over(opened.slot, opened.claim)
        self._recording.running([*missed, row])

    def ended(self, event: Ended) -> None:
        """Keep the end until its claim could be finished."""
        self._ready.pop(event.run_id, None)
        self._ended[event.run_id] = event

    def finish_ended(self) -> None:
        """Finish the claims of ended runs; what cannot be finished now stays."""
        for run_id, event in list(self._ended.items()):
            opened = self._book.claims.get(run_id)
            if opened is None:
                # Its end is told already, or its claim was taken away: adoption sees to the rest.
                del self._ended[run_id]
            elif opened.claim.result is not None or self._finish(opened, event):
                del self._ended[run_id]

    def _finish(self, opened: OpenClaim, event: Ended) -> bool:
        result = Result(
            state=RunState(event.state),
            started_at=event.started_at,
            finished_at=event.finished_at,
            exit_code=event.exit_code,
            signal=event.signal,
            reason=event.reason,
            output_tail=event.output_tail,
        )
        if not self._claims.finish(opened, result, self._again_at(opened, result)):
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
        self._recording.closed(opened)
        return True

    def _again_at(self, opened: OpenClaim, result: Result) -> float | None:
        """When the next attempt may start. Where the job stands elsewhere by now, or is removed,
        that is not for us to say: the leader does when it closes the claim."""
        held = self._book.mine(opened.slot)
        if held is None or held.fence.state == "removed":
            return None
        now = self._clock.wall()
        return next_attempt(held.spec, opened.claim, result.state, now, self._jitter())

    def close_as_holder(self, opened: OpenClaim) -> None:
        """A result that this worker wrote while it was not the holder, and by now it is again:
        what the leader would have decided is for it to decide."""
        result = opened.claim.result
        if result is None:
            return
        again = self._again_at(opened, result)
        if self._claims.finish(opened, result, again):
            self._recording.closed(opened)

    def start_retries(self) -> None:
        """Launch the attempts whose time has come (P12: the present holder does)."""
        now = self._clock.wall()
        due = [
            opened
            for opened in self._book.claims.values()
            if opened.claim.not_before is not None
            and opened.claim.not_before <= now
            and self._book.may_start(opened.slot)
            and not self.on_its_way(opened.claim.run_id)
        ]
        for opened in due:
            if self._claims.take_again(opened):
                self.begin([self._book.claims[opened.claim.run_id]])

    def take_tasks(self) -> None:
        """Start what the leader asked for."""
        for name in self._coordinator.children(paths.tasks(self._book.worker)):
            try:
                self._take_task(name)
            except ConnectionLost:
                raise
            except DcronError:  # one that cannot be read must not stop the others
                if name not in self._left_alone:
                    log.exception("task %s is left alone", name)
                self._left_alone.add(name)

    def _take_task(self, name: str) -> None:
        slot, key = paths.run_parts(name)
        if not self._book.may_start(slot):
            return
        try:
            node = self._coordinator.get(paths.task(self._book.worker, slot, key))
        except NoNode:
            return
        opened = self._claims.take_task(slot, key, Task.decode(node.data))
        if opened is not None:
            self.begin([opened])
