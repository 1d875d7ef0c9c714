"""/jobs/{id}/runs/{run}/output: what a run wrote.

Where it lies follows from the run's own worker and id, not from what a row says: workers write
rows, and none of them may have the API read some other object.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import chain

from bottle import HTTPResponse, request
from pydantic import ConfigDict, Field

from dcron_app.api import auth
from dcron_app.api.errors import Problem, invalid
from dcron_app.api.following import Followed, Stream, hung_up, note
from dcron_app.api.found import no_run
from dcron_app.api.queries import Flag, Query, Whole, read_query
from dcron_app.api.readers import Readers
from dcron_app.api.reply import streamed
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_app.api.wishes import first_wish
from dcron_common.db.outputs import Output, get_output
from dcron_common.errors import ObjectNotFound, ObjectStoreError
from dcron_common.object_store.contract import output_key
from dcron_common.run import TAIL_BYTES, RunState

log = logging.getLogger(__name__)

_REPLACED = "\ufffd"  # stands in a tail where the job wrote bytes that are no UTF-8


class OutputQuery(Query):
    """How it is answered."""

    model_config = ConfigDict(populate_by_name=True)
    follow: Flag = Field(False, description="as it is written, until the run ends")
    position: Whole = Field(
        0, alias="from", description="the first byte that is wanted; only with `follow=true`"
    )


class Outputs:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._readers = Readers(services.settings.followers)

    def routes(self) -> list[Route]:
        """What it answers."""
        path = "/jobs/{job_id}/runs/{run_id}/output"
        text = {200: "text/plain"}
        return [Route("GET", path, self.show, Access.READ, "What a run wrote", text, OutputQuery)]

    def show(self, job_id: str, run_id: str) -> HTTPResponse:
        """The whole output, or its end where only that was kept: `Dcron-Output` says which. Of a
        run that goes on: what it writes, if that is asked for."""
        query = read_query(OutputQuery)
        follow, position = query.follow, query.position
        if position and not follow:
            raise invalid(("from", "is for what is followed: send follow=true with it"))
        found = get_output(self._services.database, int(job_id), run_id)
        if found is None:
            raise no_run(job_id, run_id)
        if found.state is RunState.RUNNING and not follow:
            raise Problem(
                409,
                "the run goes on: read what it writes with ?follow=true, or its output when it "
                "has ended",
            )
        if found.state is RunState.RUNNING or position:  # a reader goes on where it stopped
            return self._follow(int(job_id), found, position)
        whole = self._whole(found)
        if whole is not None:
            return _text(whole, "whole")
        return _text([(found.tail or "").encode()], "whole" if _is_all(found) else "tail")

    def _follow(self, job_id: int, found: Output, position: int) -> HTTPResponse:
        services, environ = self._services, request.environ
        if request.method == "HEAD":
            return _text([], "followed")
        user = auth.principal(environ).name
        self._readers.enter(user)
        try:
            now, worker = services.clock.wall(), found.worker
            until = now
            if found.state is RunState.RUNNING:
                until = first_wish(services.coordinator, worker, found.run_id, now)
            stream = Stream(
                services,
                Followed(job_id, found.run_id, worker or "", until, position),
                rest=lambda position: self._rest(job_id, found.run_id, position),
                admitted=lambda: auth.principal_by_now(services, environ) is not None,
                hung_up=lambda: hung_up(environ.get("gunicorn.socket")),
                release=lambda: self._readers.leave(user),
            )
        except BaseException:
            self._readers.leave(user)
            raise
        return streamed(stream, _headers("followed"))

    def _rest(self, job_id: int, run_id: str, position: int) -> Iterator[bytes]:
        """What is known of the output of a run that is over, from this offset on."""
        found = get_output(self._services.database, job_id, run_id)
        if found is None:
            return
        try:
            whole = self._whole(found)
        except ObjectStoreError as error:
            log.warning("run=%s its output is not read: %s", run_id, error)
            whole = None
        tail = (found.tail or "").encode()
        if whole is None and _is_all(found):
            whole = [tail]
        if whole is not None:
            yield from _behind(whole, position)
        elif position == 0:
            yield note("only the end of this output was kept")
            yield tail
        else:
            yield note("the rest did not come; the run has ended, and its output can be read")

    def _whole(self, found: Output) -> Iterable[bytes] | None:
        """The stored output; None where none was stored, or it is there no more."""
        if found.url is None or found.worker is None:
            return None
        pieces = self._services.object_store.stream(output_key(found.worker, found.run_id))
        try:
            first = next(pieces, b"")  # before the status is sent
        except ObjectNotFound:
            log.warning("run=%s its output is not in the object store any more", found.run_id)
            return None
        return chain([first], pieces)


def _behind(pieces: Iterable[bytes], position: int) -> Iterator[bytes]:
    """The bytes from this offset on."""
    for piece in pieces:
        if position < len(piece):
            yield piece[position:]
        position = max(0, position - len(piece))


def _is_all(found: Output) -> bool:
    """Whether the tail is surely all that the run wrote, byte by byte.

    Not where the row has none, where nobody saw the run's end, where it fills its room (there may
    have been more), and where bytes were replaced. A replacement is never shorter than what it
    stands for, so a tail that is short was not cut.
    """
    return (
        found.tail is not None
        and found.state is not RunState.LOST
        and len(found.tail.encode()) < TAIL_BYTES
        and _REPLACED not in found.tail
    )


def _text(pieces: Iterable[bytes], extent: str) -> HTTPResponse:
    return HTTPResponse(pieces, 200, _headers(extent))


def _headers(extent: str) -> dict[str, str]:
    """What the job wrote may be any bytes; no browser is to take it for a page."""
    return {"Content-Type": "text/plain; charset=utf-8", "Dcron-Output": extent}
