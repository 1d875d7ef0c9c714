"""The daemon's side of the launcher: Runner.

Thread-safe. A reader thread takes what the launcher says, so that events never wait for a
request's answer. A lost connection is made again by the next call; results that were not
acknowledged are then told again. A request whose answer was lost is repeated for some
seconds before it raises LaunchError (one that did not answer then is not waited for again until
it does), and may be repeated later too: a run is never started twice
under one id. `renew` touches only the lease's file, and works without the launcher.
"""

from __future__ import annotations

import itertools
import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from dcron_common.errors import LaunchError
from dcron_worker.runner import output, wire
from dcron_worker.runner.lease import Lease, lease_path
from dcron_worker.runner.model import (
    Ended,
    Launch,
    Started,
    ended_from,
    launch_from,
    started_from,
    to_json,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

Known = dict[str, tuple[Launch, Started | None, Ended | None]]

ANSWER_SECONDS = 30.0
RECONNECT_SECONDS = 5.0
_RETRY = 0.02
_READ = 1 << 20


class _Lost(LaunchError):
    """The connection ended before the answer: done or not, the request may be repeated."""


class _Refused(LaunchError):
    """The launcher answered that it does not do this."""


class _Connection:
    """One connection with its reader thread; `lost` is set when it is over."""

    def __init__(self, sock: socket.socket, events: queue.SimpleQueue[Started | Ended]) -> None:
        self._socket = sock
        self._events = events
        self._sending = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self.lost = threading.Event()
        threading.Thread(target=self._read, name="launcher-reader", daemon=True).start()

    def ask(self, message: dict[str, Any]) -> Any:
        """Send a request and wait for its answer."""
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answers[message["seq"]] = answers
        try:
            with self._sending:
                self._socket.sendall(wire.encode(message))
            if self.lost.is_set():
                raise _Lost("the launcher closed the connection")
            answer = answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty as error:
            self.close()
            raise LaunchError(
                f"the launcher did not answer {message['op']} in {ANSWER_SECONDS:g} s"
            ) from error
        except OSError as error:
            self.close()
            raise _Lost(f"the launcher went away: {error.strerror}") from error
        finally:
            del self._answers[message["seq"]]
        if "lost" in answer:
            raise _Lost(f"the launcher went away during {message['op']}")
        if "error" in answer:
            raise _Refused(f"the launcher refused {message['op']}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """End the connection and its thread."""
        self.lost.set()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed by the other side already

    def _read(self) -> None:
        decoder = wire.Decoder()
        try:
            while data := self._socket.recv(_READ):
                for message in decoder.feed(data):
                    self._take(message)
        except (OSError, LaunchError) as error:
            log.warning("connection to the launcher failed: %s", error)
        self.lost.set()
        for answers in list(self._answers.values()):
            answers.put({"lost": True})
        self._socket.close()

    def _take(self, message: dict[str, Any]) -> None:
        for kind, data in message.get("events", []):
            self._events.put(started_from(data) if kind == "Started" else ended_from(data))
        answers = self._answers.get(message.get("re", -1))
        if answers is not None:
            answers.put(message)


class Runner:
    """`state_dir` is the launcher's; the client reads nothing there but outputs."""

    def __init__(self, socket_path: Path, state_dir: Path) -> None:
        self._path = socket_path
        self._state_dir = state_dir
        self._events: queue.SimpleQueue[Started | Ended] = queue.SimpleQueue()
        self._connection: _Connection | None = None
        self._connecting = threading.Lock()
        self._away = False
        self._sequence = itertools.count(1)
        self._lease: Lease | None = None
        self._leasing = threading.Lock()

    def connect(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for the launcher; LaunchError if it does not come."""
        self._connect(timeout)

    def start(self, launches: Sequence[Launch]) -> None:
        """Have runs started that were checked. Returns when all are on disk; LaunchError: none is,
        unless the connection was lost, when `known` tells (or the same call again)."""
        if launches:
            self._ask("start", launches=[to_json(launch) for launch in launches])

    def kill(self, run_id: str, reason: str) -> None:
        """Have a run ended by TERM, its grace, and KILL. One that has ended is left alone."""
        self._ask("kill", run_id=run_id, reason=reason)

    def known(self) -> Known:
        """Every run that is not acknowledged, in the order of their launches; ends with their
        output's tail, the launches' environments are empty. What begins or ends while this is
        asked, page by page, may be in it or not."""
        return self._repeat(self._known)

    def names(self) -> dict[str, bool]:
        """By run id, whether it has ended: of every run that is not acknowledged."""
        try:
            return dict(self._ask("names"))
        except _Refused:  # a launcher of an earlier release, which an upgrade left running
            return {run_id: end is not None for run_id, (_, _, end) in self.known().items()}

    def events(self, timeout: float) -> list[Started | Ended]:
        """What happened, oldest first; waits up to `timeout` seconds for the first event. The
        same Ended may come more than once. LaunchError: no launcher within `timeout`."""
        deadline = time.monotonic() + timeout
        while True:
            found = self._collect()
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            connection = self._connect(left)
            try:
                # Short waits only so that a lost connection is noticed and made again.
                first = self._events.get(timeout=min(left, 0.5))
            except queue.Empty:
                if connection.lost.is_set():
                    log.warning("launcher at %s: connecting again", self._path)
                continue
            return [first, *self._collect()]

    def acknowledge(self, run_ids: Sequence[str]) -> None:
        """Have ended runs forgotten and their files deleted; others are left alone."""
        if run_ids:
            self._ask("acknowledge", run_ids=list(run_ids))

    def output_path(self, run_id: str) -> Path:
        """Where the output of a run lies that is not acknowledged."""
        return output.path_of(self._state_dir, run_id)

    def renew(self, until_boot: float) -> None:
        """Let leased runs live until `until_boot` (CLOCK_BOOTTIME seconds). OSError: not done."""
        with self._leasing:
            if self._lease is None:
                self._lease = Lease(lease_path(self._path))
            self._lease.renew(until_boot)

    def close(self) -> None:
        """Leave the launcher; its runs go on."""
        if self._connection:
            self._connection.close()
        with self._leasing:
            if self._lease:
                self._lease.close()
            self._lease = None

    def _known(self, connection: _Connection) -> Known:
        found: Known = {}
        after = 0
        while after is not None:  # a launcher's own numbers: not to be gone on with at another
            answer = connection.ask(self._message("known", after=after))
            for launch, started, ended in answer["entries"]:
                found[launch["run_id"]] = (
                    launch_from(launch),
                    started_from(started) if started else None,
                    ended_from(ended) if ended else None,
                )
            after = answer["next"]
        return found

    def _message(self, op: str, **fields: Any) -> dict[str, Any]:
        return {"op": op, "seq": next(self._sequence), **fields}

    def _ask(self, op: str, **fields: Any) -> Any:
        message = self._message(op, **fields)
        return self._repeat(lambda connection: connection.ask(message))

    def _repeat(self, ask: Callable[[_Connection], T]) -> T:
        """Ask again after a lost connection; LaunchError at once while a launcher stays away."""
        deadline = time.monotonic() + (0.0 if self._away else RECONNECT_SECONDS)
        try:
            answer = self._until(deadline, ask)
        except _Refused:
            self._away = False
            raise
        except LaunchError:
            self._away = True
            raise
        self._away = False
        return answer

    def _until(self, deadline: float, ask: Callable[[_Connection], T]) -> T:
        while True:
            connection = self._connect(max(0.0, deadline - time.monotonic()))
            try:
                return ask(connection)
            except _Lost:
                # A restart not noticed yet; a killed launcher's socket can even accept for a
                # moment, held open by a child that is about to exec.
                if time.monotonic() >= deadline:
                    raise

    def _connect(self, timeout: float) -> _Connection:
        with self._connecting:
            if self._connection and not self._connection.lost.is_set():
                return self._connection
            deadline = time.monotonic() + timeout
            while True:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    sock.connect(str(self._path))
                    break
                except OSError as error:
                    sock.close()
                    if time.monotonic() >= deadline:
                        raise LaunchError(
                            f"no launcher answers at {self._path}: {error.strerror}; "
                            "is dcron-launcher running?"
                        ) from error
                    time.sleep(_RETRY)  # until the deadline above
            self._connection = _Connection(sock, self._events)
            return self._connection

    def _collect(self) -> list[Started | Ended]:
        found: list[Started | Ended] = []
        while True:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                return found
