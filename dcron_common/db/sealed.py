"""Secrets sealed for single workers: written by the leader, read by the worker (P18: a worker's
account reads this table, and nothing of `secret`).

Errors: those of connection.Database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dcron_common.db.connection import Database
from dcron_common.db.models import SealedSecret

Pair = tuple[str, str]  # worker, secret


@dataclass(frozen=True, slots=True)
class Sealed:
    """One value for one worker. `sealed`: BASE64, opens by the private half of `public_key`."""

    worker: str
    secret: str
    version: str
    public_key: str
    sealed: str


@dataclass(frozen=True, slots=True)
class Seal:
    """Of which version a sealed value is, and for which key."""

    version: str
    public_key: str


def fetch(
    database: Database, worker: str, names: Sequence[str], *, deadline: float
) -> dict[str, Sealed]:
    """What is sealed of these secrets for this worker, by name; one query. `deadline`: seconds."""
    table = SealedSecret
    columns = (table.worker, table.secret, table.version, table.public_key, table.sealed)
    wanted = (table.worker == worker) & table.secret.in_(list(names))
    query: Any = table.select(*columns).where(wanted)
    rows = database.read(lambda: list(query.clone().tuples()), deadline=deadline)
    return {row.secret: row for row in (Sealed(*values) for values in rows)}


def seals(database: Database) -> dict[Pair, Seal]:
    """Of everything that is sealed."""
    table = SealedSecret
    query: Any = table.select(table.worker, table.secret, table.version, table.public_key)
    rows = database.read(lambda: list(query.clone().tuples()), causal=True)
    return {(worker, secret): Seal(version, key) for worker, secret, version, key in rows}


def save(database: Database, rows: Collection[Sealed]) -> None:
    """Write sealed values in place of those of the same worker and secret."""
    values = [asdict(row) for row in rows]
    database.transaction(
        lambda: SealedSecret.insert_many(values).on_conflict_replace().execute(), idempotent=True
    )


def drop(database: Database, pairs: Iterable[Pair]) -> None:
    """Remove what is sealed of these."""
    by_worker: dict[str, list[str]] = {}
    for worker, secret in pairs:
        by_worker.setdefault(worker, []).append(secret)

    def work() -> None:
        for worker, names in by_worker.items():
            SealedSecret.delete().where(
                SealedSecret.worker == worker, SealedSecret.secret.in_(names)
            ).execute()

    database.transaction(work, idempotent=True)
