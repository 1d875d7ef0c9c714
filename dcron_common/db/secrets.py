"""Secrets of users, as control nodes keep them: values encrypted by `sealing.Ring`.

`version` is new with every value: one that is removed and made again is never taken for the same.
Nothing here decrypts. Errors: those of connection.Database. Instants are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from peewee import IntegrityError

from dcron_common.auditing import Action
from dcron_common.db import audit, job_secrets
from dcron_common.db.connection import Database
from dcron_common.db.models import Secret
from dcron_common.errors import Conflict

_NAMED = 5  # jobs that a refusal names


@dataclass(frozen=True, slots=True)
class SecretRow:
    """A secret without its value. `revision` counts its values, from 1."""

    name: str
    owner: str
    team: str | None
    revision: int
    version: str
    created_at: float
    updated_at: float


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What shall stand there. `value`: as `Ring.encrypt` made it; `version`: a new ULID."""

    name: str
    owner: str
    team: str | None
    version: str
    value: str


_ROW = [getattr(Secret, item.name) for item in fields(SecretRow)]


def get_secrets(database: Database, names: Sequence[str]) -> dict[str, SecretRow]:
    """The secrets of these names; those that do not exist are absent."""
    if not names:
        return {}
    return {row.name: row for row in database.read(lambda: _rows(Secret.name.in_(list(names))))}


def list_secrets(database: Database) -> list[tuple[SecretRow, int]]:
    """All by name, each with in how many live jobs it stands."""

    def work() -> list[tuple[SecretRow, int]]:
        used = job_secrets.counts()
        return [(row, used.get(row.name, 0)) for row in _rows(Secret.name != "")]

    return database.read(work)


def count_jobs(database: Database, name: str) -> int:
    """In how many live jobs a secret stands."""
    return database.read(lambda: job_secrets.count(name))


def put_secret(
    database: Database, before: SecretRow | None, new: NewSecret, now: float, actor: str
) -> SecretRow | None:
    """Write a value; None where `before` (None: there is none) is not what stands there any more.

    Sure even after a connection lost in the commit: a row of this version is this call's own.
    """

    def work() -> SecretRow | None:
        if not (_change(before, new, now) if before else _insert(new, now)):
            found = _rows((Secret.name == new.name) & (Secret.version == new.version))
            return found[0] if found else None
        made = _rows(Secret.name == new.name)[0]
        action: Action = "update" if before else "create"
        old = _audited(before) if before else None
        audit.add(now, actor, action, "secret", new.name, before=old, after=_audited(made))
        return made

    return database.transaction(work, idempotent=True)


def _insert(new: NewSecret, now: float) -> bool:
    values = {**asdict(new), "revision": 1, "created_at": now, "updated_at": now}
    try:
        Secret.insert(values).execute()
    except IntegrityError:  # somebody was first, or an earlier try of this has come through
        return False
    return True


def _change(before: SecretRow, new: NewSecret, now: float) -> bool:
    values = {**asdict(new), "revision": before.revision + 1, "updated_at": now}
    unchanged = (Secret.name == before.name) & (Secret.version == before.version)
    return bool(Secret.update(values).where(unchanged).execute())


def remove_secret(database: Database, before: SecretRow, now: float, actor: str) -> bool:
    """Remove a secret; False where `before` does not stand there any more. Conflict while a live
    job names it."""

    def work() -> bool:
        used = job_secrets.jobs_of(before.name, _NAMED + 1)
        if used:
            named = ", ".join(map(str, used[:_NAMED])) + (", …" if len(used) > _NAMED else "")
            raise Conflict(
                f"secret {before.name} is in use by jobs {named}: take it out of their `secrets`, "
                "or remove them, first"
            )
        same = (Secret.name == before.name) & (Secret.version == before.version)
        try:
            removed = Secret.delete().where(same).execute()
        except IntegrityError as error:  # a job that was made at the same moment
            raise Conflict(f"secret {before.name} is in use by a new job") from error
        if removed:
            audit.add(now, actor, "delete", "secret", before.name, before=_audited(before))
        return bool(removed)

    return database.transaction(work, idempotent=True)


def versions(database: Database) -> dict[str, str]:
    """The present version of every secret, by name."""
    query: Any = Secret.select(Secret.name, Secret.version)
    return database.read(lambda: dict(query.clone().tuples()))


def encrypted(database: Database, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Version and encrypted value of these secrets, by name."""
    columns = (Secret.name, Secret.version, Secret.value)
    query: Any = Secret.select(*columns).where(Secret.name.in_(list(names)))
    rows = database.read(lambda: list(query.clone().tuples()), causal=True)
    return {name: (version, value) for name, version, value in rows}


def reencrypt(database: Database, name: str, version: str, value: str) -> bool:
    """Put the same value in another encryption; False where it was changed meanwhile."""
    same = (Secret.name == name) & (Secret.version == version)

    def work() -> bool:
        changed = Secret.update(value=value).where(same, Secret.value != value).execute()
        return bool(changed) or bool(Secret.select().where(same, Secret.value == value).exists())

    return database.transaction(work, idempotent=True)


def _rows(condition: object) -> list[SecretRow]:
    query: Any = Secret.select(*_ROW).where(condition).order_by(Secret.name).tuples()
    return [SecretRow(*values) for values in query]


def _audited(row: SecretRow) -> dict[str, object]:
    return {"owner": row.owner, "team": row.team, "revision": row.revision}
