"""Successful answers, and the bounds of lists."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bottle import HTTPResponse

from dcron_app.api.errors import invalid

JSON = {"Content-Type": "application/json"}
MAX_PAGE = 1000


def encoded(value: object) -> bytes:
    """JSON as we send it: UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ")).encode()


def reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    """One JSON document."""
    return HTTPResponse(encoded(value) + b"\n", status, {**JSON, **(headers or {})})


def array(pages: Iterator[list[bytes]]) -> Iterator[bytes]:
    """A JSON array, page by page, an item a line. An error midway ends the connection: what came
    is then no complete JSON, and no client takes it for the whole."""
    opened = False
    for page in pages:
        if page:
            yield (b",\n" if opened else b"[") + b",\n".join(page)
            opened = True
    yield b"]\n" if opened else b"[]\n"


def number(query: Any, name: str, low: int, high: int, default: int | None) -> int | None:
    """A whole number of the query string; Problem 422 outside [low, high]."""
    text = query.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high:
        return int(text)
    raise invalid((name, f"must be a whole number from {low} to {high}"))
