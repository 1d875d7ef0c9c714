"""Whether this account can write what it has to: for `dcron doctor`."""

from __future__ import annotations

from dcron_common.db.connection import Database

# Both the API's account and the workers' may do this. It finds no row, so it changes none; but a
# member that only reads, or without a majority, refuses it all the same.
_NOTHING = "UPDATE run SET state = state WHERE job_id < 0"


def check_writable(database: Database) -> None:
    """One try: DatabaseUnavailable where nobody takes writes, DatabaseError where this account
    may not."""
    database.transaction(lambda: database.execute(_NOTHING), deadline=0)
