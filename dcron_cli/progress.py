"""What takes long says so: on stderr, and only where that is a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

_WORTH_TELLING = 262_144  # bytes; less is sent before anybody could read a line
_WIDTH = 30
_FEW = 5  # of what takes a request each

T = TypeVar("T")


def counted(what: str, items: Sequence[T]) -> Iterator[T]:
    """The items, one by one, saying which it is: `planning 3 of 40`."""
    telling = len(items) > _FEW and sys.stderr.isatty()
    for number, item in enumerate(items, 1):
        if telling:
            sys.stderr.write(f"\r{what} {number} of {len(items)}")
            sys.stderr.flush()
        yield item
    if telling:
        sys.stderr.write("\n")


class Upload(io.BytesIO):
    """A body that tells how much of it has been sent."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._size = len(data)

    @classmethod
    def of(cls, data: bytes) -> bytes | Upload:
        """The body as it is, unless it is worth telling of and there is somebody to tell."""
        return cls(data) if len(data) > _WORTH_TELLING and sys.stderr.isatty() else data

    def __len__(self) -> int:
        return self._size

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        sys.stderr.write(f"\r{bar(self.tell(), self._size)}")
        if not piece:
            sys.stderr.write("\n")
        sys.stderr.flush()
        return piece


def bar(done: int, size: int) -> str:
    """Such as `sending [#####     ]  50% of 2.0 MiB`."""
    part = done / size if size else 1.0
    filled = "#" * round(part * _WIDTH)
    return f"sending [{filled:<{_WIDTH}}] {part:4.0%} of {size / 2**20:.1f} MiB"
