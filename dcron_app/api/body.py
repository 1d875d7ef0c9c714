"""A request's body: read within bounds, and read as strict JSON."""

from __future__ import annotations

import json
from typing import Any

from dcron_app.api.errors import Problem

_FRAME = 1024 * 1024  # what a request may hold beside the file
_SMALL = 1024


def body_limit(executable_bytes: int) -> int:
    """The longest body, in bytes: a file of that size in BASE64, and all else."""
    return (executable_bytes + 2) // 3 * 4 + _FRAME


def read_json(environ: dict[str, Any], limit: int) -> dict[str, Any]:
    """The JSON object that a request carries. Problem 411, 413, 415, 400 or 422."""
    length = _length(environ)
    if length is None:
        raise _refused(411, "Content-Length", "is missing; send it, chunked bodies are not taken")
    if length > limit:
        raise _refused(413, "body", f"has {length} bytes; {limit} are the most")
    media = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise _refused(415, "Content-Type", "must be application/json")
    data = environ["wsgi.input"].read(length) if length else b""
    if len(data) < length:
        raise _refused(400, "body", f"ended after {len(data)} of {length} bytes")
    return parse(data)


def read_nothing(environ: dict[str, Any]) -> None:
    """For a POST that needs no body: it may be absent or an empty JSON object."""
    if _length(environ) == 0 or (
        _length(environ) is None and "HTTP_TRANSFER_ENCODING" not in environ
    ):
        return
    for key in read_json(environ, _SMALL):
        raise Problem(422, "no field is known here", errors=[(key, "is unknown; leave it out")])


def parse(data: bytes) -> dict[str, Any]:
    """Strict JSON: UTF-8, an object, no key twice, no NaN, no infinity."""
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise _refused(400, "body", f"is not UTF-8 at byte {error.start}") from error
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


def _length(environ: dict[str, Any]) -> int | None:
    text = environ.get("CONTENT_LENGTH") or ""
    if "HTTP_TRANSFER_ENCODING" in environ or not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise _refused(400, "Content-Length", "must be a number of bytes")
    return int(text[:20])


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _refused(400, "body", f"holds the key {twice[:64]!a} twice in one object")
    return values


def _no_constant(name: str) -> Any:
    raise _refused(400, "body", f"is not JSON: {name} is no number")
