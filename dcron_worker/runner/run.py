"""One living run: what may end it, how it is ended, and what is said about it afterwards.

The lease, the timeout and a request all end a run the same way: TERM to every process of the
tree, a grace, KILL until nobody is left. A passed lease allows `LEASE_GRACE` only, because the
cluster waits no longer than that before it may run the job elsewhere; such a run is `lost`, as
nobody asked for its end: `killed` is for requests. When the main process has
exited, what it left behind is ended too, and bounded by the lease all the same; that changes the
result only if force was needed, and then only its reason.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

from dcron_worker.runner import output
from dcron_worker.runner.limits import Group
from dcron_worker.runner.model import Ended, Launch, Started
from dcron_worker.runner.tree import Tree

LEASE_GRACE = 1.0
LEFTOVER_GRACE = 1.0
KILL_INTERVAL = 0.05
EXIT_UNSEEN = "launcher and starter were killed during the run, so its exit code was not seen"


@dataclass(frozen=True)
class Exit:
    """How the main process ended; both None if nobody saw it."""

    code: int | None
    signal: int | None


@dataclass(frozen=True)
class Ending:
    """Why the run is being ended. `state` None: it ended itself, leftovers are cleared."""

    state: str | None
    reason: str | None
    kill_at: float


class Run:
    """`boot_at` and every `now` are CLOCK_BOOTTIME seconds. `vacant` says whether the run has
    no process left, and is asked after the main one is reaped."""

    def __init__(
        self,
        launch: Launch,
        started: Started,
        boot_at: float,
        tree: Tree,
        group: Group | None,
        output_path: str,
        vacant: Callable[[Run], bool],
    ) -> None:
        self.launch = launch
        self.started = started
        self.tree = tree
        self.group = group
        self.inherited = False  # whether an earlier launcher started it
        self._deadline = boot_at + launch.timeout_seconds
        self._output_path = output_path
        self._vacant = vacant
        self._exit: Exit | None = None
        self._refused: tuple[str, str] | None = None
        self._ending: Ending | None = None
        self._forced = 0
        self._exceeded: str | None = None
        self._throttled: str | None = None

    def refused(self, state: str, reason: str) -> None:
        """The child said that it did not become the program."""
        self._refused = (state, reason)

    def end(self, state: str, reason: str, now: float, grace: float) -> None:
        """Begin to end the run; an ending under way, be it of what the main process has left, is
        only ever hastened."""
        kill_at = now + grace
        if self._ending is not None:
            self._ending = replace(self._ending, kill_at=min(kill_at, self._ending.kill_at))
        elif self._exit is None:
            self.tree.terminate()
            self._ending = Ending(state, reason, kill_at)

    def exited(self, how: Exit, now: float) -> None:
        """The main process is gone (and reaped, if it was ours)."""
        self._exit = how
        if self.group:
            self._exceeded = self.group.exceeded(self.launch)
            self._throttled = self.group.throttled(self.launch)
        self._end_leftovers(now)

    def guard(self, now: float, lease_until: float) -> float:
        """End what must end; returns when to look again at the latest."""
        self._check(now, lease_until)
        if self._exit is not None:
            self._end_leftovers(now)  # a look at /proc may have missed one before
        if self._ending is None:
            return min(self._deadline, lease_until) if self.launch.leased else self._deadline
        if now >= self._ending.kill_at:
            self._force()
            return now + KILL_INTERVAL
        return min(self._ending.kill_at, now + KILL_INTERVAL if self._exit else now + 1)

    def over(self) -> bool:
        """Whether nothing of the run is left."""
        return self._exit is not None and self._vacant(self)

    def result(self, finished_at: float) -> Ended:
        """What is said about the run, once it is over."""
        summary = output.close(self._output_path, self.launch.output_bytes)
        how = self._exit or Exit(None, None)
        state, reason = self._verdict(how, summary.truncated)
        return Ended(
            run_id=self.launch.run_id,
            state=state,
            started_at=None if self._refused else self.started.started_at,
            finished_at=finished_at,
            exit_code=None if self._refused else how.code,
            signal=how.signal,
            reason=reason,
            output_tail=summary.tail,
            output_path=self._output_path,
            output_size=summary.size,
            truncated=summary.truncated,
        )

    def _check(self, now: float, lease_until: float) -> None:
        grace = self.launch.grace_seconds
        if self.launch.leased and now >= lease_until:
            self.end("lost", "lease passed", now, min(grace, LEASE_GRACE))
        if self._ending is None and now >= self._deadline:
            reason = f"timeout of {self.launch.timeout_seconds:g} s"
            self.end("timed_out", reason, now, grace)
        if output.size(self._output_path) > self.launch.output_bytes:
            self.end("failed", self._too_much_output(), now, 0)

    def _end_leftovers(self, now: float) -> None:
        if self._ending is None and not self._vacant(self):
            self.tree.terminate()
            grace = min(self.launch.grace_seconds, LEFTOVER_GRACE)
            self._ending = Ending(None, None, now + grace)

    def _force(self) -> None:
        count = self.tree.kill()
        if self._exit is not None and self._ending and self._ending.state is None:
            self._forced = max(self._forced, count)

    def _verdict(self, how: Exit, truncated: bool) -> tuple[str, str | None]:
        if self._refused:
            return self._refused
        state, reason = self._plain_verdict(how, truncated)
        late = self._throttled if state == "timed_out" else None
        left = f"{self._forced} processes left behind had to be killed" if self._forced else None
        return state, "; ".join(x for x in (reason, self._exceeded, late, left) if x) or None

    def _plain_verdict(self, how: Exit, truncated: bool) -> tuple[str, str | None]:
        """Without what its limits had to do with it."""
        if self._ending and self._ending.state:
            return self._ending.state, self._ending.reason
        if truncated:
            return "failed", self._too_much_output()
        if how == Exit(None, None):
            return "lost", EXIT_UNSEEN
        if how == Exit(0, None):
            return "succeeded", None
        if how.signal is None or self._exceeded:
            return "failed", None
        return "failed", f"ended by signal {how.signal} ({_signal_name(how.signal)})"

    def _too_much_output(self) -> str:
        return f"output limit of {self.launch.output_bytes} bytes exceeded"


def never_ran(launch: Launch, state: str, reason: str, at: float, path: str) -> Ended:
    """The result of a run of which no process exists or existed as far as anybody knows."""
    summary = output.close(path, launch.output_bytes)
    return Ended(
        run_id=launch.run_id,
        state=state,
        started_at=None,
        finished_at=at,
        exit_code=None,
        signal=None,
        reason=reason,
        output_tail=summary.tail,
        output_path=path,
        output_size=summary.size,
        truncated=summary.truncated,
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "real-time"
