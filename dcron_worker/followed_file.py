"""A run's output file as whoever follows it gets it: piece by piece, in order, within bounds."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dcron_common.db.chunks import CHUNK_BYTES, Chunk, Copied, Mark

BACKLOG = 4 << 20  # bytes that a reader may be behind
MOST = 32 << 20  # bytes of one run that are copied


class FollowedFile:
    """`copied`: how much of it was, None while that is not known. `over`: it grows no more.
    `done`: nothing of it is to be copied any more.

    It stays open from the first look on: a run's file is removed as soon as its end is recorded,
    and what it wrote last is still to be read then.
    """

    def __init__(self, run_id: str, path: Path) -> None:
        self.run_id = run_id
        self.copied: Copied | None = None
        self.over = False
        self.done = False
        self._path = path
        self._descriptor: int | None = None

    def read(self, most: int) -> list[Chunk]:
        """What comes next, at most `most` bytes of it; the last piece may be a mark. OSError.

        The same again, or more, until `took` says that it was copied.
        """
        before = self.copied or Copied(0, 0)
        position, left = before.stop, MOST - before.total
        over = self.over  # before the size: what was written before the end is seen after it
        descriptor = self._open()
        if descriptor is None:
            self.done = over  # nobody knows how much it was: the run's row says the rest
            return []
        size = os.fstat(descriptor).st_size
        if size - position > BACKLOG:
            position = size - BACKLOG // 2
        found: list[Chunk] = []
        end = min(size, position + most, position + left)
        while position < end:
            data = os.pread(descriptor, min(CHUNK_BYTES, end - position), position)
            if not data:
                break  # cut to its limit since its size was asked for
            found.append(Chunk(self.run_id, position, data))
            position += len(data)
            left -= len(data)
        if left <= 0:
            found.append(Chunk(self.run_id, position, b"", Mark.FULL))
        elif over and position >= size:
            found.append(Chunk(self.run_id, position, b"", Mark.END))
        return found

    def took(self, chunks: list[Chunk]) -> None:
        """These were copied."""
        if chunks:
            before = self.copied or Copied(0, 0)
            length = sum(len(one.data) for one in chunks)
            self.copied = Copied(chunks[-1].stop, before.total + length)
            if chunks[-1].mark is not Mark.DATA:
                self.give_up()

    def give_up(self) -> None:
        """Nothing more of it is copied."""
        self.done = True
        self.close()

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int | None:
        """The open file; None while there is none. OSError for what no launcher has made."""
        if self._descriptor is None:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                self._descriptor = os.open(self._path, flags)
            except FileNotFoundError:
                return None
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise OSError(f"{self._path} is no plain file")
        return self._descriptor
