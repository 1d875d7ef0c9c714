"""A claim's way from taken to ended: start, end, next attempt (P3, P6, P12).

What is known of a claim stands in the book; how it gets its process is `starting`'s affair, what
becomes of its record `recording`'s.
Nothing here is lost with the daemon: `adoption` finds claims and processes again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from dcron_common import paths, records
from dcron_common.attempts import next_attempt
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.errors import ConnectionLost, DcronError, NoNode
from dcron_common.log import together
from dcron_common.paths import Slot
from dcron_common.protocol import Kill, Result, Task
from dcron_common.run import RunState, key_minute
from dcron_worker.book import Book, OpenClaim
from dcron_worker.claims import Claims
from dcron_worker.decide import REPLACED
from dcron_worker.endings import End, Endings
from dcron_worker.preparing import Preparing, unstarted
from dcron_worker.recording import Recording
from dcron_worker.runner.client import Runner
from dcron_worker.runner.model import Ended, Launch, Started
from dcron_worker.starting import Starting

log = logging.getLogger(__name__)

NEVER_BEGAN = "it was claimed, and this worker's launcher knows nothing of it"
UNHEARD = "the answer to its claim was lost"
NOT_BY_CLAIM = (
    "the answer to its claim was lost as ZooKeeper went away; the minute was launched or closed "
    "without a claim, which its isolated row tells"
)


class Lifecycle:
    """Holds what is on its way; called from the daemon's thread only."""

    def __init__(
        self,
        *,
        coordinator: Coordinator,
        book: Book,
        claims: Claims,
        endings: Endings,
        runner: Runner,
        recording: Recording,
        preparing: Preparing,
        clock: Clock,
        jitter: Callable[[], float],
        hide: Callable[[Ended, Collection[str] | None], Ended],
    ) -> None:
        """`hide`: see `Vault.hide`."""
        self._hide = hide
        self._coordinator = coordinator
        self._book = book
        self._claims = claims
        self._endings = endings
        self._runner = runner
        self._recording = recording
        self._clock = clock
        self._jitter = jitter
        self._starting = Starting(
            book, claims, runner, preparing=preparing, clock=clock, ended=self.ended
        )
        self._left_alone: set[str] = set()  # tasks that cannot be read
        self._ended: dict[str, Ended] = {}  # whose claims are not yet finished

    def on_its_way(self, run_id: str) -> bool:
        """Whether a claim without a process is about to get one, or had one until just now."""
        return run_id in self._starting or run_id in self._ended

    def has_ended(self, run_id: str) -> bool:
        """Whether the end of a run is here, and its claim not yet finished."""
        return run_id in self._ended

    # -- beginning

    def begin(self, taken: Sequence[OpenClaim]) -> None:
        """Launch claims, or record those that were taken only to be recorded."""
        try:
            self.launch(taken)
        finally:
            self.tell(taken)

    @staticmethod
    def tell(taken: Iterable[OpenClaim]) -> None:
        """Log what was claimed."""
        with together():
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

    def launch(self, taken: Iterable[OpenClaim]) -> None:
        """As `begin`; who has more to launch at once calls `tell` for all in the end."""
        with together():
            self._begin(taken)
        self._starting.step()

    def _begin(self, taken: Iterable[OpenClaim]) -> None:
        for opened in taken:
            claim = opened.claim
            if claim.result is not None:
                self._recording.closed(opened)
            elif claim.not_before is not None:
                continue  # start_retries takes it when its time has come
            else:
                self._starting.begin(opened)

    def ready(self, found: Ended | Launch) -> None:
        """What another thread found: a launch that waits for the launcher, or an end."""
        self._starting.ready(found)

    def hand_over(self) -> None:
        """Start what is ready, and what waited long enough for another try."""
        self._starting.step()

    def _unstarted(self, opened: OpenClaim, state: RunState, reason: str) -> Ended:
        return unstarted(opened, state, reason, self._clock.wall())

    def never_began(self, opened: OpenClaim) -> None:
        """A claim that the launcher does not know, found by adoption. The minute of one whose
        answer was lost may have been launched without it since: it is not launched again. Else
        `begin_unbegun` sees to it; what an earlier daemon did with its claim nobody knows."""
        state, reason = RunState.LOST, NEVER_BEGAN
        minute = key_minute(opened.key)
        first = opened.claim.attempt == 1 and minute is not None
        if first and self._book.unclaimed.reached(opened.slot.job_id, minute or 0):
            state, reason = RunState.SKIPPED, NOT_BY_CLAIM
        elif opened.claim.run_id in self._book.unbegun:
            return
        self.ended(self._unstarted(opened, state, reason))

    def begin_unbegun(self) -> None:
        """Begin runs whose claims stand though their answers were lost (P3), in the session of the
        claim or another: each is taken again first, by which claim and fence say that it is still
        to be launched here. One that its job wants no more is ended. ConnectionLost: at the next
        look."""
        found = [
            opened
            for opened in self._book.claims.values()
            if opened.claim.run_id in self._book.unbegun
            and opened.claim.result is None
            and opened.claim.not_before is None  # else it waits, and `start_retries` has it
            and not self.on_its_way(opened.claim.run_id)
        ]
        again: list[OpenClaim] = []
        fences = self._claims.read_fences([opened.slot for opened in found]) if found else []
        for opened, fence in zip(found, fences, strict=True):
            end = self._starting.given_up(opened, fence, UNHEARD)
            if end is not None:
                self.ended(end)
            elif self._book.may_start(opened.slot, opened.key):
                again.append(opened)
        if again:
            self.begin(self._claims.take_again(again))

    def replace(self, slot: Slot, key: str) -> None:
        """Have a run ended for a later one of its job (P11). One that is not here is waited for:
        the leader closes it."""
        opened = self._book.find(slot, key)
        if opened is not None:
            self.stop(opened, REPLACED)

    def stop(self, opened: OpenClaim, reason: str) -> None:
        """Have a run ended, or the wait for its file or its next attempt; it may be said again
        and again."""
        waits = opened.claim.not_before is not None
        waits = waits or opened.claim.run_id in self._book.unbegun
        if waits or self._starting.withdraw(opened.claim.run_id):
            self.ended(self._unstarted(opened, RunState.KILLED, reason))
        else:
            self._runner.kill(opened.claim.run_id, reason)

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
        self._starting.forget(event.run_id)
        opened = self._book.claims.get(event.run_id)
        spec = opened.spec if opened else None
        self._ended[event.run_id] = self._hide(event, spec.secrets if spec else None)
        self._recording.outputs.saw(event)

    def finish_ended(self) -> None:
        """Finish the claims of ended runs; what cannot be finished now stays."""
        found: dict[str, tuple[OpenClaim, Result]] = {}
        for run_id, event in list(self._ended.items()):
            opened = self._book.claims.get(run_id)
            if opened is None or opened.claim.result is not None:
                # Its end is told already, or its claim was taken away: adoption sees to the rest.
                del self._ended[run_id]
                continue
            found[run_id] = (opened, _result(event))
        run_ids = {id(opened): run_id for run_id, (opened, _) in found.items()}
        finished = self._endings.finish(self._ends(list(found.values())))
        with together():
            for opened in finished:
                run_id = run_ids[id(opened)]  # the claim may be the next attempt's by now
                self._say(opened, self._ended.pop(run_id))
                self._recording.closed(opened)

    @staticmethod
    def _say(opened: OpenClaim, event: Ended) -> None:
        log.info(
            "job=%s run=%s %s exit_code=%s signal=%s reason=%s",
            opened.slot,
            event.run_id,
            event.state,
            event.exit_code,
            event.signal,
            event.reason,
        )

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
        for done in self._endings.finish(self._ends([(opened, result)])):
            self._recording.closed(done)

    def _ends(self, results: Sequence[tuple[OpenClaim, Result]]) -> list[End]:
        """What follows these results; nothing where the end of the run was asked for. Who asks
        writes the fence: an end that was decided before fails by its version. ConnectionLost."""
        ends = [End(opened, result, self._again_at(opened, result)) for opened, result in results]
        again = [i for i, end in enumerate(ends) if end.retry_at is not None]
        claims = [ends[i].opened for i in again]
        nodes = self._coordinator.get_many(
            [paths.kill(self._book.worker, one.slot, one.key) for one in claims]
        )
        for i, node in zip(again, nodes, strict=True):
            if node is not None:
                ends[i] = _heeded(ends[i], node.data)
        return ends

    def start_retries(self) -> None:
        """Launch the attempts whose time has come (P12: the present holder does)."""
        now = self._clock.wall()
        due = [
            opened
            for opened in self._book.claims.values()
            if opened.claim.not_before is not None
            and opened.claim.not_before <= now
            and self._book.may_start(opened.slot, opened.key)
            and not self.on_its_way(opened.claim.run_id)
        ]
        if due:
            self.begin(self._claims.take_again(due))

    def take_tasks(self, but_not: Collection[str] = ()) -> None:
        """Start what the leader, or a user, asked for; `but_not`: names of what is to end."""
        for name in self._coordinator.children(paths.tasks(self._book.worker)):
            if name in but_not:
                continue
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
        if not self._book.may_start(slot, key):
            return
        try:
            node = self._coordinator.get(paths.task(self._book.worker, slot, key))
        except NoNode:
            return
        opened = self._claims.take_task(slot, key, Task.decode(node.data))
        if opened is not None:
            self.begin([opened])


def _heeded(end: End, request: bytes) -> End:
    """The end of a run that would go on, and for which there is a request. One that cannot be read
    asks for nothing, and `killing` says so."""
    try:
        kill = Kill.decode(request)
    except DcronError:
        return end
    claim, result = end.opened.claim, end.result
    if not kill.means(claim.run_id, claim.ended):
        return end
    how = result.reason or f"it had ended by itself: {result.state.value}"
    killed = replace(result, state=RunState.KILLED, reason=f"{kill.reason}; {how}")
    return End(end.opened, killed, None)


def _result(event: Ended) -> Result:
    return Result(
        state=RunState(event.state),
        started_at=event.started_at,
        finished_at=event.finished_at,
        exit_code=event.exit_code,
        signal=event.signal,
        reason=event.reason,
        output_tail=event.output_tail,
    )
