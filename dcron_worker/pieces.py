"""Where pieces of followed output go: rows of the database, written by the worker's own account."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dcron_common.db import chunks
from dcron_common.db.chunks import Chunk, Copied
from dcron_common.db.connection import Database

PATIENCE = 2.0  # seconds for a database that does not serve: what waits is in the run's file


class Pieces:
    """For one thread. DatabaseError; DatabaseUnavailable: it may be tried again."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._database = database
        self._wall = wall

    def put(self, pieces: Sequence[Chunk]) -> None:
        """Add them; again is harmless."""
        chunks.append(self._database, pieces, self._wall(), deadline=PATIENCE)

    def copied(self, run_id: str) -> Copied:
        """How much of this run was put, by an earlier daemon, too."""
        return chunks.copied(self._database, run_id, deadline=PATIENCE)

    def rest(self) -> None:
        """Nothing is put for a while: let the connection go."""
        self._database.close()
