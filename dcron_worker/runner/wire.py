"""Messages on the socket: four bytes of length (big endian), then JSON of that length.

Text goes as it is, not as escapes of six bytes a character. Lone surrogates, which a job's
arguments may hold, pass (`json.loads` of bytes reads them back).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from dcron_common.errors import LaunchError

MAX_MESSAGE = 256 * 1024 * 1024
_LENGTH = struct.Struct(">I")


def encode(message: dict[str, Any]) -> bytes:
    """One message as bytes; LaunchError if it is too long."""
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
    body = text.encode("utf-8", "surrogatepass")
    if len(body) > MAX_MESSAGE:
        raise LaunchError(f"message of {len(body)} bytes is too long: start fewer runs at once")
    return _LENGTH.pack(len(body)) + body


class Decoder:
    """Puts messages together from pieces. LaunchError if the other side talks nonsense."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Take `data`; give every message that is now whole."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_MESSAGE:
                raise LaunchError(f"message of {length} bytes announced: not a launcher's peer")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                message = json.loads(body)
            except ValueError as error:
                raise LaunchError(f"message is not JSON: {error}") from error
            if not isinstance(message, dict):
                raise LaunchError("message is not an object")
            yield message
