"""What takes long says so: on stderr, only where that is a terminal, and never beside --json."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from dcron_cli.session import Session

if TYPE_CHECKING:
    from rich.progress import Progress

_WORTH_TELLING = 262_144  # bytes; less is sent before anybody could read a line
_WIDTH = 30
_FEW = 5  # of what takes a request each

T = TypeVar("T")
Advance = Callable[[int], None]


def is_seen() -> bool:
    """Whether there is somebody to tell."""
    context = click.get_current_context(silent=True)
    session = None if context is None else context.find_object(Session)
    return sys.stderr.isatty() and not (session is not None and session.as_json)


class _Line:
    """The one line on the terminal, from when there is something to tell; `total` None: unknown."""

    shown = False  # there is only one terminal: what is within another line is not told

    def __init__(self, what: str, total: int | None) -> None:
        self._what = what
        self._total = total
        self._progress: Progress | None = None

    def advance(self, count: int) -> None:
        """So many more are done."""
        if self._progress is None:
            self._progress = _progress()
            self._progress.add_task(self._what, total=self._total)
            self._progress.start()
        self._progress.advance(self._progress.task_ids[0], count)

    def end(self) -> None:
        """Take it away again."""
        if self._progress is not None:
            self._progress.stop()


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(_WIDTH),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # it would go to stderr
        redirect_stderr=False,
    )


@contextmanager
def working(what: str, total: int | None = None) -> Iterator[Advance]:
    """Something to call with how many more are done: `pausing ---- 12/40 0:00:03`."""
    if _Line.shown or not is_seen():
        yield lambda _count: None
        return
    line = _Line(what, total)
    _Line.shown = True
    try:
        yield line.advance
    finally:
        _Line.shown = False
        line.end()


@contextmanager
def counted(what: str, items: Sequence[T]) -> Iterator[Iterator[T]]:
    """The items, one by one, saying how many are done: `with counted("planning", jobs) as each`."""
    if len(items) <= _FEW:
        yield iter(items)
        return
    with working(what, len(items)) as advance:
        yield _telling(items, advance)


def _telling(items: Sequence[T], advance: Advance) -> Iterator[T]:
    advance(0)
    for item in items:
        yield item
        advance(1)


class Upload(io.BytesIO):
    """A body that tells how much of it has been sent."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._size = len(data)

    @classmethod
    def of(cls, data: bytes) -> bytes | Upload:
        """The body as it is, unless it is worth telling of and there is somebody to tell."""
        worth = len(data) > _WORTH_TELLING and not _Line.shown and is_seen()
        return cls(data) if worth else data

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
