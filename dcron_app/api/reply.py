"""Successful answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from bottle import HTTPResponse, request

_STREAM = "dcron.stream"
# DEL and C1, what hides or turns text around, line ends beside \n, and halves of characters.
_STEERS = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
JSON = {"Content-Type": "application/json"}


def encoded(value: object) -> bytes:
    """JSON as we send it: UTF-8, with characters that would steer a terminal escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    if text.isascii() and "\x7f" not in text:  # nearly always; looking for each costs more
        return text.encode()
    return _STEERS.sub(lambda found: json.dumps(found[0])[1:-1], text).encode()


def reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    """One JSON document."""
    return HTTPResponse(encoded(value) + b"\n", status, {**JSON, **(headers or {})})


def streamed(pieces: Iterable[bytes], headers: dict[str, str]) -> HTTPResponse:
    """An answer whose headers are sent at once. bottle keeps them until there is a byte, so it
    gets one in the place of the pieces, which `whole` then puts back."""
    request.environ[_STREAM] = pieces
    return HTTPResponse(iter([b" "]), 200, headers)


def whole(environ: dict[str, Any], pieces: Iterable[bytes]) -> Iterable[bytes]:
    """What the server is to send for what bottle made."""
    found: Iterable[bytes] = environ.pop(_STREAM, pieces)
    return found


def array(pages: Iterator[list[bytes]]) -> Iterator[bytes]:
    """A JSON array, page by page, an item a line. An error midway ends the connection: what came
    is then no complete JSON, and no client takes it for the whole."""
    opened = False
    for page in pages:
        if page:
            yield (b",\n" if opened else b"[") + b",\n".join(page)
            opened = True
    yield b"]\n" if opened else b"[]\n"
