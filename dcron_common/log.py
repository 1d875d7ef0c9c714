"""Logging: one event, one line, to standard error; journald adds time and unit.

Only entry points call `configure`. Modules use `logging.getLogger(__name__)` and put ids into
the message as `key=value`, so that `journalctl -g job=12` finds a job's whole story.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TextIO


class _OneLine(logging.Formatter):
    """Control characters in a message are shown as escapes: nothing can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.exc_info:
            return text  # a traceback is ours, and is read better with its lines
        if text.isprintable():  # nearly all
            return text
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes each line at once, or while somebody holds it all of them then."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._held: list[logging.LogRecord] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._held is None:
            super().emit(record)
        else:
            self._held.append(record)

    @contextmanager
    def holding(self) -> Iterator[None]:
        self.acquire()
        outermost = self._held is None
        if outermost:
            self._held = []
        self.release()
        try:
            yield
        finally:
            if outermost:
                self._let_go()

    def _let_go(self) -> None:
        """What cannot be written is nobody's trouble but the log's, as with a single line."""
        self.acquire()
        held, self._held = self._held or [], None
        try:
            if held:
                self.stream.write("".join(self.format(x) + self.terminator for x in held))
                self.flush()
        except Exception:  # noqa: BLE001 - as every handler of logging does
            self.handleError(held[-1])
        finally:
            self.release()


@contextmanager
def together() -> Iterator[None]:
    """What is logged meanwhile is written in one piece at the end, even after an error: a write for
    each of hundreds of lines costs more than what they tell of, and wakes journald as often."""
    with ExitStack() as stack:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, _Lines):
                stack.enter_context(handler.holding())
        yield


def configure(level: str = "INFO") -> None:
    """Send all log lines of this process to standard error."""
    under_journald = "JOURNAL_STREAM" in os.environ
    stamp = "" if under_journald else "%(asctime)s "
    handler = _Lines()
    handler.setFormatter(_OneLine(f"{stamp}%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("kazoo").setLevel(logging.WARNING)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # At DEBUG it shows each statement with its values: hashes of passwords, what people typed.
    logging.getLogger("peewee").setLevel(logging.INFO)
