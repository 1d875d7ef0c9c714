"""The launcher: has runs started, guards them for the worker daemon, and outlives it.

One thread, one loop. It never waits until a starter, a client or a lease renewal does something, so
that none of them can keep it from ending a run whose lease has passed; when a starter has said
something it gives it a few milliseconds (`_NAP`) to say more, whether it does or not. When it is
killed and started again it finds the living runs by the journal and the starters' logs, and goes on
guarding them. On SIGTERM it leaves at once and lets the runs go on. `start` is answered when the
launches are on disk; a run id that is known already is not started again, so a request may be
repeated.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dcron_common.errors import LaunchError
from dcron_worker.runner import account, host, order, output
from dcron_worker.runner.account import Account
from dcron_worker.runner.channel import Channel
from dcron_worker.runner.host import now
from dcron_worker.runner.lease import Lease, lease_path
from dcron_worker.runner.limits import Cgroups, Group
from dcron_worker.runner.living import Living
from dcron_worker.runner.model import Ended, Launch, launch_from
from dcron_worker.runner.news import GATHER, HOLD, HOLD_LAST, News
from dcron_worker.runner.outbox import Outbox, known_page
from dcron_worker.runner.register import Register
from dcron_worker.runner.run import Run
from dcron_worker.runner.starters import Starters

log = logging.getLogger(__name__)

LEASE_PASSED = "lease passed before start"
ENDED_BEFORE = "never started: it ended before its start was written down"
_CHUNK = 32  # launches between two looks at everything else
_MANY = 32  # launches of one request, after which more are to be expected
_MORE = 0.1  # seconds in which they come
_UNDER_WAY = 128  # orders that a starter has to do: as many as it does in a few looks
_SOON = 0.01  # seconds until a child that was forked has said so
_UNHEARD = 0.25  # seconds between two looks at what an earlier launcher was about to start
_NAP = 0.005  # seconds that what a starter saw waits for more, to be read together
_IDLE = 10.0
_UNTIDY = 5000  # cgroups of runs that are over, for whose removal there is always time


class Launcher:
    """`run` returns after SIGTERM, or when idle with `exit_when_idle`. `name`: no other launcher of
    this host has it, but the next one of this state folder."""

    def __init__(
        self,
        name: str,
        socket_path: Path,
        state_dir: Path,
        cgroups: Cgroups,
        *,
        exit_when_idle: bool = False,
    ) -> None:
        self._name = name
        self._exit_when_idle = exit_when_idle
        self._cgroups = cgroups
        self._register = Register(state_dir)
        lease = Lease(lease_path(socket_path))
        self._lease = lease
        self._selector = selectors.DefaultSelector()
        self._wake = host.wake_on_signals(self._stop)
        self._selector.register(self._wake, selectors.EVENT_READ, "wake")
        files = host.raise_file_limit()
        self._starters = Starters(state_dir / "starters", lease.path, self._selector, files)
        self._living = Living(
            name, self._register, cgroups, lease, self._starters, self._selector, self._result
        )
        self._spares = output.Spares(self._register.outputs)
        self._queue: deque[Launch] = deque()
        self._ordered: dict[str, tuple[Launch, Group | None]] = {}  # not yet heard of
        self._to_end: dict[str, str] = {}  # run ids and reasons of requests to end them
        self._more_until = 0.0
        self._news = News(self._register)
        self._idle_since = now()
        self._stopping = False
        self._recover()
        self._channel = Channel(socket_path, self._selector)
        self._outbox = Outbox(self._channel)

    def run(self) -> None:
        """Serve until told to stop."""
        with contextlib.suppress(OSError):  # the next order asks again, and says why
            self._starters.ready()
        while not self._stopping or self._queue or self._under_way:
            for key, _ in self._selector.select(self._timeout()):
                self._handle(key)
            self._order_some()
            dead = self._living.reap()  # first: then all that they said is there to be read
            self._take(self._starters.read())
            self._living.died(dead)
            self._end_asked()
            if not self._starting:  # else it takes time from what waits for its start
                self._living.settle()
            self._living.look()
            self._outbox.add(self._news.step(now(), self._hold))
            self._outbox.send(self._register.entries)
            self._prepare()
            if self._idle():
                break
        self._take(self._starters.read())
        self._living.settle()
        self._news.write()
        self._starters.leave()
        while self._living.untidy and not self._stopping:  # else the next launcher does it
            self._living.tidy()
        self._cgroups.remove()
        self._channel.close()
        self._register.journal.close()

    # The loop's parts

    def _timeout(self) -> float | None:
        if self._can_order() or self._can_prepare() or self._outbox.ready:
            return 0.0
        waits = [self._living.next_look - now()] if self._living else []
        if now() < self._more_until:
            waits.append(self._more_until - now())
        if self._ordered:
            waits.append(_SOON if self._under_way else _UNHEARD)
        news = self._news.next_step(self._hold)
        if news is not None:
            waits.append(news - now())
        if self._exit_when_idle and not self._living and not self._channel.connected:
            waits.append(self._idle_since + _IDLE - now())
        return max(0.0, min(waits)) if waits else None

    def _handle(self, key: selectors.SelectorKey) -> None:
        if key.data == "accept":
            if self._channel.accept():
                self._outbox.begin(self._news.for_a_new_client())
        elif key.data == "client":
            self._channel.flush()
            for message in self._channel.receive():
                self._answer(message)
        elif key.data == "wake":
            host.drain(self._wake)
        elif key.data == "seen":
            time.sleep(_NAP)  # not a wait for anything: no longer than this, once for each starter
        elif isinstance(key.data, Run):
            self._living.left(key.data)

    def _answer(self, message: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"re": message.get("seq")}
        try:
            reply["result"] = self._do(message)
        except (LaunchError, OSError, KeyError, TypeError) as error:
            log.error("request op=%s failed: %s", message.get("op"), error)
            reply["error"] = f"{type(error).__name__}: {error}"
        self._channel.send(reply)

    def _do(self, message: dict[str, Any]) -> Any:
        match message.get("op"):
            case "start":
                launches = [launch_from(data) for data in message["launches"]]
                for launch in launches:
                    launch.check()
                self._queue.extend(self._register.add(launches))
                if len(launches) >= _MANY:
                    self._more_until = now() + _MORE
            case "kill":
                self._kill(message["run_id"], message["reason"])
            case "known":
                return known_page(self._register, message["after"])
            case "names":
                return [[x, self._is_over(x)] for x in self._register.entries]
            case "acknowledge":
                self._register.forget(message["run_ids"])
                self._starters.sweep(self._register.unfinished)
            case other:
                raise LaunchError(f"request {other!r} is not known to this launcher")
        return None

    def _kill(self, run_id: str, reason: str) -> None:
        queued = next((x for x in self._queue if x.run_id == run_id), None)
        if queued is not None:
            self._queue.remove(queued)
            self._living.never(queued, "killed", reason)
        else:
            self._to_end[run_id] = reason

    def _end_asked(self) -> None:
        """When all is read that starters saw: what has ended by itself was not killed."""
        if not self._to_end:
            return
        self._living.settle()
        asked, self._to_end = self._to_end, {}
        for run_id, reason in asked.items():
            if not self._living.end(run_id, reason) and run_id in self._ordered:
                self._to_end[run_id] = reason

    # Starters

    @property
    def _under_way(self) -> int:
        """Orders that our own starters have to do."""
        return len(self._ordered) - self._starters.unheard

    def _can_order(self) -> bool:
        return bool(self._queue) and self._under_way < _UNDER_WAY

    def _order_some(self) -> None:
        if self._can_order():
            self._living.follow_lease()
            passed = now() >= self._lease.until()  # each child looks once more
            accounts: dict[str | None, Account] = {}
            for _ in range(min(_CHUNK, len(self._queue))):
                launch = self._queue.popleft()
                if passed and launch.leased:
                    self._living.never(launch, "lost", LEASE_PASSED)
                else:
                    self._order(launch, accounts)
        self._starters.flush()

    def _order(self, launch: Launch, accounts: dict[str | None, Account]) -> None:
        group: Group | None = None
        try:
            if launch.user not in accounts:
                accounts[launch.user] = account.lookup(launch.user)
            group = self._cgroups.prepare(launch)
            path = self._register.output_path(launch.run_id)
            self._spares.give(path)
            self._starters.order(
                launch.run_id,
                order.encode(
                    launch,
                    order.mark_of(launch.run_id, self._name),
                    accounts[launch.user],
                    path,
                    group,
                ),
            )
        except (LaunchError, OSError) as error:
            if group:
                group.remove()
            prefix = "cannot be started: " if isinstance(error, OSError) else ""
            self._living.never(launch, "failed", f"{prefix}{error}")
        else:
            self._ordered[launch.run_id] = (launch, group)

    def _take(self, seen: Iterable[dict[str, Any]]) -> None:
        """What the starters saw: the beginnings and ends of runs."""
        unbegun: list[str] = []
        for record in seen:
            run_id = record["run_id"]
            if record["t"] == "started":
                _, group = self._ordered.pop(run_id, (None, None))
                started = self._living.started(record, group)
                if started:
                    self._news.begun(started, now())
            elif record["t"] == "refused":
                self._refused(record)
            elif record["t"] == "exited" and run_id in self._ordered:
                unbegun.append(run_id)
            elif record["t"] == "exited":
                self._living.exited(run_id, record["code"])
        for run_id in unbegun:  # unless the child did say why, by the pipe, which is read last
            self._refused({"run_id": run_id, "lease": True, "reason": ENDED_BEFORE})

    def _refused(self, record: dict[str, Any]) -> None:
        if self._living.refused(record) or record["run_id"] not in self._ordered:
            return
        launch, group = self._ordered.pop(record["run_id"])
        if group:
            self._living.vacate(group)  # its child may be in it yet, on its way out
        self._living.never(launch, "lost" if record["lease"] else "failed", record["reason"])

    # Ending

    def _result(self, ended: Ended) -> None:
        self._news.ended(ended, now())

    def _is_over(self, run_id: str) -> bool:
        ended = self._register.entries[run_id].ended is not None
        return ended and not self._news.withholds(run_id)

    @property
    def _starting(self) -> bool:
        """Whether runs wait for their start, here or, most likely, on their way here."""
        return bool(self._queue) or now() < self._more_until

    @property
    def _hold(self) -> float:
        if self._starting:
            return HOLD
        return HOLD_LAST if self._ordered else GATHER

    def _prepare(self) -> None:
        """What the last batch left and the next one needs, while there is nothing else to do."""
        if self._living.untidy > _UNTIDY or (self._living.untidy and self._has_time()):
            self._living.tidy()
        if self._spares.wanted and self._has_time():
            self._spares.refill()

    def _can_prepare(self) -> bool:
        return bool(self._spares.wanted or self._living.untidy) and self._has_time()

    def _has_time(self) -> bool:
        return not (self._starting or self._news.unwritten or self._under_way)

    def _idle(self) -> bool:
        if self._living or self._queue or self._ordered or self._channel.connected:
            self._idle_since = now()
        return self._exit_when_idle and now() - self._idle_since >= _IDLE

    def _recover(self) -> None:
        seen = self._starters.read()
        for record in seen:
            if record["t"] == "started" and self._register.same_boot:
                self._register.start(record)
        unheard = self._living.recover()
        self._ordered = {x.run_id: (x, self._cgroups.find(x.run_id)) for x in unheard}
        if self._register.same_boot:
            self._take(record for record in seen if record["t"] != "started")
        self._starters.expect(self._ordered)
        self._take(self._starters.read())
        self._living.settle()
        self._news.write()
        if not self._register.same_boot:
            self._register.disowned()
        log.info("found runs=%d results=%d", len(self._living), len(self._register.results()))

    def _stop(self) -> None:
        self._stopping = True
