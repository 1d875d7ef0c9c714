"""Logging: one event, one line, to standard error; journald adds time and unit.

Only entry points call `configure`. Modules use `logging.getLogger(__name__)` and put ids into
the message as `key=value`, so that `journalctl -g job=12` finds a job's whole story.
"""

from __future__ import annotations

import logging
import os
import sys


class _OneLine(logging.Formatter):
    """Control characters in a message are shown as escapes: nothing can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.exc_info:
            return text  # a traceback is ours, and is read better with its lines
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def configure(level: str = "INFO") -> None:
    """Send all log lines of this process to standard error."""
    under_journald = "JOURNAL_STREAM" in os.environ
    stamp = "" if under_journald else "%(asctime)s "
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine(f"{stamp}%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("kazoo").setLevel(logging.WARNING)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # At DEBUG it shows each statement with its values: hashes of passwords, what people typed.
    logging.getLogger("peewee").setLevel(logging.INFO)
