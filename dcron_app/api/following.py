"""What a run writes, streamed while it goes on.

The bytes are the job's own, unchanged. What the server has to say stands in lines of its own,
`[dcron: …]`: that bytes are left out, and why the stream ends before the run does. With the
database away the stream ends with such a line; the run is not disturbed. The line says at which
byte it stops, and a stream can be asked for from there: nothing but what a job wrote is counted.

Each stream holds one of the server's threads, so there are only so many (`Settings.followers`),
half of them at most of one user (`readers`). None lasts longer than `Settings.follow_seconds`, or
`Settings.quiet_seconds` without a byte. A client that is gone is noticed within a second; behind a
load balancer, which tells that only when something is sent, with the next bytes.
"""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

from dcron_app.api.services import Services
from dcron_app.api.wishes import is_there, wish
from dcron_common.db import chunks
from dcron_common.db.chunks import Chunk, Mark
from dcron_common.db.outputs import get_output
from dcron_common.errors import CoordinatorError, DatabaseError
from dcron_common.run import RunState

log = logging.getLogger(__name__)

POLL = 0.5  # seconds between two looks for what is new
RENEW = 10.0  # seconds between two renewals of the wish
GRACE = 10.0  # seconds after the run's end, or the last piece, that the worker has to send the rest
_AT_ONCE = 8  # pieces of one look: half a MiB


@dataclass(frozen=True, slots=True)
class Followed:
    """A run that goes on; `until`: when the wish that was made for it passes."""

    job_id: int
    run_id: str
    worker: str
    until: float
    position: int = 0  # the first byte that is wanted


class Stream:
    """An iterator over what the run writes. `rest` gives what is known of the output behind an
    offset once the run is over; `admitted` whether the reader may still read; `hung_up` whether
    there is a reader. `release` is called once, by `close`."""

    def __init__(
        self,
        services: Services,
        run: Followed,
        *,
        rest: Callable[[int], Iterator[bytes]],
        admitted: Callable[[], bool],
        hung_up: Callable[[], bool],
        release: Callable[[], None],
    ) -> None:
        self._services = services
        self._run = run
        self._rest = rest
        self._admitted = admitted
        self._hung_up = hung_up
        self._release: Callable[[], None] | None = release
        self._position = run.position
        self._until = run.until
        self._pieces = self._stream()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Give the place back; also where nothing was read."""
        self._pieces.close()
        release, self._release = self._release, None
        if release is not None:
            release()

    def _stream(self) -> Generator[bytes, None, None]:
        yield b""  # servers send the headers with it: they need not wait until the job writes
        try:
            yield from self._follow()
        except DatabaseError as error:
            log.warning("run=%s is followed no more: %s", self._run.run_id, error)
            yield self._stops("the database does not answer; the run goes on")

    def _follow(self) -> Iterator[bytes]:
        boot = self._services.clock.boot
        begun = quiet_since = boot()
        renew_at, over = begun + RENEW, False
        while not self._hung_up():
            found = self._next()
            yield from self._shown(found)
            if found and found[-1].mark is not Mark.DATA:
                return
            now = boot()
            if found:
                quiet_since = now
                continue
            if over and now - quiet_since >= GRACE:
                yield from self._rest(self._position)
                return
            why = self._too_long(now - begun, now - quiet_since)
            if why is None and now >= renew_at:
                renew_at = now + RENEW
                why = self._renew(now - quiet_since)
            if why is not None:
                yield self._stops(why)
                return
            if not over and self._is_over():
                over, quiet_since = True, now
            self._services.pause(POLL)

    def _stops(self, why: str) -> bytes:
        """The last line, from whose offset a reader may go on (dcron_cli/following.py)."""
        return note(f"following stops at byte {self._position}, since {why}")

    def _too_long(self, lasted: float, quiet: float) -> str | None:
        """Why the thread is needed for others; None: it is not."""
        settings = self._services.settings
        if lasted >= settings.follow_seconds:
            return f"it has lasted {settings.follow_seconds:.0f} s"
        if quiet >= settings.quiet_seconds:
            return f"nothing came for {settings.quiet_seconds:.0f} s"
        return None

    def _next(self) -> list[Chunk]:
        database, run_id = self._services.database, self._run.run_id
        return chunks.chunks_from(database, run_id, self._position, _AT_ONCE)

    def _shown(self, found: list[Chunk]) -> Iterator[bytes]:
        for chunk in found:
            if chunk.offset > self._position:
                yield left_out(chunk.offset - self._position)
                self._position = chunk.offset
            data = chunk.data[self._position - chunk.offset :]
            self._position = max(self._position, chunk.stop)
            if data:
                yield data
            if chunk.mark is Mark.FULL:
                yield note(
                    f"{self._position} bytes were followed, and no more are; the output can be "
                    "read when the run has ended"
                )

    def _is_over(self) -> bool:
        run = self._run
        row = get_output(self._services.database, run.job_id, run.run_id)
        return row is None or row.state is not RunState.RUNNING

    def _renew(self, quiet: float) -> str | None:
        """Say that somebody still reads; why nobody may, or nothing comes any more."""
        services, run = self._services, self._run
        if not self._admitted():
            return "the token holds no more"
        now = services.clock.wall()
        try:
            if quiet >= RENEW and not is_there(services.coordinator, run.worker):
                return f"worker {run.worker}, which had the run, is away"
            self._until = wish(services.coordinator, run.worker, run.run_id, now)
        except CoordinatorError as error:
            log.warning("run=%s its wish was not renewed: %s", run.run_id, error)
            if now > self._until:
                return "the coordination service does not answer"
        return None


def note(text: str) -> bytes:
    """A line that the job did not write."""
    return f"\n[dcron: {text}]\n".encode()


def left_out(count: int) -> bytes:
    """A line in the place of so many bytes."""
    return note(f"{count} bytes are left out here")


def hung_up(connection: socket.socket | None) -> bool:
    """Whether the client has closed its side; False where that cannot be seen."""
    if connection is None:
        return False
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))
