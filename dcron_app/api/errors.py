"""Answers that are not a success: application/problem+json (RFC 9457) with `errors`.

{"type": "about:blank", "title": …, "status": …, "detail": …,
 "errors": [{"field": …, "message": …}]}
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from http import HTTPStatus

from bottle import HTTPResponse

from dcron_common.errors import (
    CommitInDoubt,
    Conflict,
    ConnectionLost,
    DatabaseError,
    DcronError,
    ObjectNotFound,
    ObjectStoreError,
    Outdated,
    ValidationError,
)
from dcron_common.schedule import ScheduleError

log = logging.getLogger(__name__)

RETRY_AFTER = "5"  # seconds: a failover takes about as long

# What of the cluster still works: whoever reads a 503 wants to know what to expect.
_GO_ON = "jobs go on firing, and their results are kept until they can be recorded"
_NO_DATABASE = (
    "the database does not answer, and without it no token can be checked: only /health/live and "
    f"/health/ready are answered; {_GO_ON}"
)
_NOT_NOW = (
    "the database cannot do this now; other requests, above all those that only read, may still "
    f"be answered; {_GO_ON}"
)
_IN_DOUBT = (
    "the connection to the database was lost in the commit: this may or may not be done; look "
    "before asking again"
)
_NO_STORE = (
    "the object store does not answer: no file can be stored or fetched; all that needs none is "
    "served, and files that a worker has fetched before still run"
)
_NO_COORDINATION = (
    "the coordination service does not answer: what has to reach every worker before the answer "
    "cannot be done; reads and new jobs are served, and a new job is placed once it is back"
)


class Problem(DcronError):
    """An answer with an error status. `errors`: pairs of a field and what is wrong with it."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = headers or {}

    def response(self) -> HTTPResponse:
        """As bottle sends it."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "errors": [{"field": field, "message": message} for field, message in self.errors],
        }
        headers = {"Content-Type": "application/problem+json", **self.headers}
        return HTTPResponse(json.dumps(body) + "\n", self.status, headers)


class InDoubt(Problem):
    """503 for what may have been done all the same: nobody must take it for undone."""

    def __init__(self, detail: str) -> None:
        super().__init__(503, detail, headers={"Retry-After": RETRY_AFTER})


def invalid(*errors: tuple[str, str]) -> Problem:
    """422: these fields are refused."""
    named = ", ".join(dict.fromkeys(field for field, _ in errors if field))
    return Problem(422, f"refused: {named}" if named else errors[0][1], errors=errors)


def forbidden(message: str, field: str = "") -> Problem:
    """403."""
    return Problem(403, message, errors=[(field, message)] if field else [])


def unavailable(what: str) -> Problem:
    """503: try again soon."""
    return Problem(503, what, headers={"Retry-After": RETRY_AFTER})


def outdated(tag: str | None, what: str = "it was changed") -> Problem:
    """412: the client knows an older state; `tag`: that of the present one."""
    message = f"{what} by now: read it again and decide again"
    headers = {} if tag is None else {"ETag": f'"{tag}"'}
    return Problem(412, message, errors=[("If-Match", message)], headers=headers)


def problem_of(error: DcronError, *, admitted: bool = True) -> Problem:
    """The answer to an error of ours. What only operators should know goes to the log.

    `admitted`: it is known who asks, so the database answered a moment ago.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationError):
        return invalid((error.field, error.message))
    if isinstance(error, ScheduleError):
        return invalid((error.field, str(error)))
    if isinstance(error, Outdated):
        return outdated(error.tag)
    if isinstance(error, Conflict):
        return Problem(409, str(error))
    if isinstance(error, ObjectNotFound):
        log.error("a job's file is not in the object store: %s", error)
        return Problem(404, "the file is not in the object store any more")
    log.warning("request could not be served: %s: %s", type(error).__name__, error)
    if isinstance(error, CommitInDoubt):
        return unavailable(_IN_DOUBT)
    if isinstance(error, DatabaseError):
        return unavailable(_NOT_NOW if admitted else _NO_DATABASE)
    if isinstance(error, ObjectStoreError):
        return unavailable(_NO_STORE)
    if isinstance(error, ConnectionLost):
        return unavailable(_NO_COORDINATION)
    return Problem(500, "the server failed; its log says why")
