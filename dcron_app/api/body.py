"""A request's body: read within bounds of length, time and number, and read as strict JSON.

A body above 1 MiB takes one of few places while it is in hand; where none is free the answer is
503 at once, so that uploads neither take all threads nor all memory. A body has `body_seconds`
and a second more for each 256 KiB of it; then the answer is 408.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dcron_app.api.errors import Problem, unavailable
from dcron_app.api.fields import field_of
from dcron_app.api.services import Services

_FRAME = 1024 * 1024  # what a request may hold beside the file
SMALL = 1024
_PIECE = 64 * 1024
_RATE = 256 * 1024  # bytes a second: a file of 64 MiB gets seven minutes, for lines of 2 Mbit/s
# Far more than a valid job can hold (its text has 256 KiB), far less than would fill the memory:
# each costs some hundred bytes once it is parsed.
_MAX_PARTS = 2**19


def body_limit(executable_bytes: int) -> int:
    """The longest body, in bytes: a file of that size in BASE64, and all else."""
    return (executable_bytes + 2) // 3 * 4 + _FRAME


def reading_seconds(length: int, body_seconds: float) -> float:
    """How long a body of `length` bytes may take to arrive."""
    return body_seconds + length / _RATE


class Bodies:
    """Reads bodies for one resource; safe to use from all threads."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        self._limit = body_limit(settings.max_executable_bytes)
        self._places = services.large
        self._boot = services.clock.boot
        self._seconds = settings.body_seconds

    @contextmanager
    def json(self, environ: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The JSON object that a request carries; stay inside while it or its file is in use.

        Problem 411, 413, 415, 503, 408, 400 or 422.
        """
        yield from self._json(environ)

    @contextmanager
    def optional_json(self, environ: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """As `json`; a request without a body gives an empty object."""
        if _is_empty(environ):
            yield {}
            return
        yield from self._json(environ)

    def _json(self, environ: dict[str, Any]) -> Iterator[dict[str, Any]]:
        length = _announced(environ, self._limit)
        with self._place(length):
            yield _parsed(_text(self._read(environ, length)))

    def small(
        self, environ: dict[str, Any], limit: int = SMALL, *, optional: bool = False
    ) -> dict[str, Any]:
        """As `json`, of `limit` bytes at most; `optional`: no body is an empty object."""
        if optional and _is_empty(environ):
            return {}
        return _parsed(_text(self._read(environ, _announced(environ, limit))))

    def nothing(self, environ: dict[str, Any]) -> None:
        """For a POST that needs no body: it may be absent or an empty JSON object."""
        for key in self.small(environ, optional=True):
            errors = [(field_of((key,)), "is unknown; leave it out")]
            raise Problem(422, "no field is known here", errors=errors)

    @contextmanager
    def _place(self, length: int) -> Iterator[None]:
        if length <= _FRAME:
            yield
            return
        if not self._places.acquire(blocking=False):
            raise unavailable("other large files are being taken in now; try again soon")
        try:
            yield
        finally:
            self._places.release()

    def _read(self, environ: dict[str, Any], length: int) -> bytearray:
        """By pieces, so that the clock is looked at; what one piece may take, the server bounds."""
        end = self._boot() + reading_seconds(length, self._seconds)
        data = bytearray()
        while len(data) < length:
            if self._boot() > end:
                raise _late(len(data), length)
            try:
                piece = environ["wsgi.input"].read(min(_PIECE, length - len(data)))
            except TimeoutError as error:
                raise _late(len(data), length) from error
            except OSError:  # the client is gone, so nobody reads this answer either
                piece = b""
            if not piece:
                raise _refused(400, "body", f"ended after {len(data)} of {length} bytes")
            data += piece
        return data


def _is_empty(environ: dict[str, Any]) -> bool:
    """Whether a request says that it has no body."""
    length = _length(environ)
    return length == 0 or (length is None and "HTTP_TRANSFER_ENCODING" not in environ)


def _announced(environ: dict[str, Any], limit: int) -> int:
    """The length of a body that is worth reading. Problem 411, 413 or 415."""
    length = _length(environ)
    if length is None:
        raise _refused(411, "Content-Length", "is missing; send it, chunked bodies are not taken")
    if length > limit:
        raise _refused(413, "body", f"has {length} bytes; {limit} are the most")
    media = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise _refused(415, "Content-Type", "must be application/json")
    return length


def _length(environ: dict[str, Any]) -> int | None:
    text = environ.get("CONTENT_LENGTH") or ""
    if "HTTP_TRANSFER_ENCODING" in environ or not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise _refused(400, "Content-Length", "must be a number of bytes")
    return int(text[:20])


def _text(data: bytearray) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(400, "body", f"is not UTF-8 at byte {error.start}") from error


def _parsed(text: str) -> dict[str, Any]:
    """Strict JSON: an object, no key twice, no NaN, no infinity."""
    if sum(map(text.count, ",[{")) > _MAX_PARTS:
        raise _refused(422, "body", f"has too many parts; {_MAX_PARTS} are the most")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_number
        )
    except json.JSONDecodeError as error:
        message = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise _refused(400, "body", f"is not JSON: {message}") from error
    except RecursionError as error:
        raise _refused(400, "body", "is nested too deeply") from error
    except ValueError as error:  # a number with thousands of digits
        raise _refused(400, "body", f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        message = 'must be a JSON object such as {"executable": "ls -la", …}'
        raise _refused(422, "body", message)
    return value


def _refused(status: int, part: str, message: str) -> Problem:
    """The part of the request at fault is named like a field."""
    return Problem(status, f"{part} {message}", errors=[(part, message)])


def _late(count: int, length: int) -> Problem:
    return _refused(408, "body", f"took too long: {count} of {length} bytes came")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise _refused(400, "body", f"holds the key {key[:64]!a} twice in one object")
        values[key] = value
    return values


def _number(text: str) -> float | int:
    """JSON knows one kind of number: 60.0 is the whole number 60 (JSON Schema, "integer")."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _no_constant(name: str) -> Any:
    raise _refused(400, "body", f"is not JSON: {name} is no number")
