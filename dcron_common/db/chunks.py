"""What a run writes while somebody follows it, in pieces, for some minutes.

A worker only adds rows and looks how far it has come, but not at what they hold; the API reads
them; the leader removes them.
A piece that is written twice is written once: it is known by run and offset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from peewee import fn

from dcron_common.db.connection import Database
from dcron_common.db.models import OutputChunk, Run
from dcron_common.run import RunState

CHUNK_BYTES = 64 * 1024  # of one piece, at most


class Mark(StrEnum):
    """What a row says. END: the run is over and this was all. FULL: so much was written to the
    database for this run that no more is."""

    DATA = ""
    END = "end"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of a run's output from `offset` on; none where `mark` is not DATA."""

    run_id: str
    offset: int
    data: bytes
    mark: Mark = Mark.DATA

    @property
    def stop(self) -> int:
        """Where the next piece begins."""
        return self.offset + len(self.data)


@dataclass(frozen=True, slots=True)
class Copied:
    """Up to which offset pieces were added, and how many bytes they are."""

    stop: int
    total: int


def append(database: Database, chunks: Sequence[Chunk], now: float, *, deadline: float) -> None:
    """Add pieces; those that are there already stay as they are. `deadline`: seconds."""
    rows = [
        {
            "run_id": one.run_id,
            "start": one.offset,
            "stop": one.stop,
            "mark": one.mark.value,
            "data": one.data,
            "at": now,
        }
        for one in chunks
    ]

    def work() -> None:
        OutputChunk.insert_many(rows).on_conflict_ignore().execute()

    database.transaction(work, idempotent=True, deadline=deadline)


def copied(database: Database, run_id: str, *, deadline: float) -> Copied:
    """How much of a run's output was added."""

    def work() -> Copied:
        length = fn.SUM(OutputChunk.stop - OutputChunk.start)
        query: Any = OutputChunk.select(fn.MAX(OutputChunk.stop), length)
        ((stop, total),) = query.where(OutputChunk.run_id == run_id).tuples()
        return Copied(int(stop or 0), int(total or 0))

    return database.read(work, deadline=deadline)


def chunks_from(database: Database, run_id: str, position: int, limit: int) -> list[Chunk]:
    """At most `limit` pieces that hold something at or behind `position`, or a mark; in order."""
    chunk = OutputChunk

    def work() -> list[Chunk]:
        wanted = (chunk.run_id == run_id) & (chunk.start > position - CHUNK_BYTES)
        news = (chunk.stop > position) | ((chunk.mark != "") & (chunk.start >= position))
        query = chunk.select(chunk.start, chunk.data, chunk.mark).where(wanted & news)
        rows: Any = query.order_by(chunk.start, chunk.mark).limit(limit).tuples()
        return [Chunk(run_id, offset, bytes(data), Mark(mark)) for offset, data, mark in rows]

    return database.read(work)


def drop_old(database: Database, now: float, *, ended: float, any_run: float, most: int) -> int:
    """Remove pieces that nobody needs any more, at most `most` rows; how many were.

    A run's pieces go together, so that whoever follows it anew has it from the beginning: when the
    newest is older than `ended` seconds and the run is over, or older than `any_run` seconds.
    """
    chunk = OutputChunk

    def work() -> int:
        old: Any = chunk.select(chunk.run_id).where(chunk.at < now - ended).distinct().limit(most)
        runs = [row.run_id for row in old]
        if not runs:
            return 0
        living = Run.select(Run.run_id).where(Run.run_id.in_(runs), Run.state == RunState.RUNNING)
        lives = {row.run_id for row in living}
        newest: Any = chunk.select(chunk.run_id, fn.MAX(chunk.at)).where(chunk.run_id.in_(runs))
        ages = newest.group_by(chunk.run_id).tuples()
        gone = [run for run, at in ages if at < now - (any_run if run in lives else ended)]
        # From the newest on: what is left of a run is its beginning, from which it can go on.
        rows = chunk.select(chunk.id).where(chunk.run_id.in_(gone)).order_by(chunk.id.desc())
        ids = [row.id for row in rows.limit(most)]
        return int(chunk.delete().where(chunk.id.in_(ids)).execute()) if ids else 0

    return database.transaction(work, idempotent=True)
