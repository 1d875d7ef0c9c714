"""Keys by which a user repeats a POST without making a second job.

A key is claimed before the job is made, in a transaction of its own, so that a repetition that
comes meanwhile is told to wait. It is settled in the job's own transaction: the job is there if
and only if its key says which one it is. A claim that is neither settled nor released (the process
died) may be taken over after IN_HAND; the first request can then not settle it any more, so that
its job is undone. Errors: those of connection.Database.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from peewee import IntegrityError

from dcron_common.db.connection import Database
from dcron_common.db.models import Idempotency
from dcron_common.errors import Conflict

KEPT = 86_400.0  # seconds
IN_HAND = 120.0  # seconds that a request may take once its body is there
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Claim:
    """A user's key, the SHA-256 of the body that came with it, the job that would be made."""

    user: str
    key: str
    digest: str
    incarnation: str


class Outcome(Enum):
    """What a claim finds."""

    CLAIMED = "it is ours"
    MADE = "the same request has made its job"
    IN_HAND = "the same request is being served"
    ANOTHER = "the key came with another body"


def claim(database: Database, wanted: Claim, now: float) -> tuple[Outcome, int | None]:
    """Claim the key; with MADE the job's id. Keys that have had their time go, a few at a time."""

    def work() -> tuple[Outcome, int | None]:
        _forget_some(now - KEPT)
        values = _values(wanted, now)
        try:
            # Not insert-or-ignore: MariaDB would also ignore a value that does not fit.
            Idempotency.insert(values).execute()
        except IntegrityError:
            return _again(wanted, now)
        return Outcome.CLAIMED, None

    return database.transaction(work, idempotent=True)


def _again(wanted: Claim, now: float) -> tuple[Outcome, int | None]:
    row = Idempotency.get_or_none(_is(wanted))
    if row is None:
        return Outcome.IN_HAND, None  # it has just been released: asking again will claim it
    if row.incarnation == wanted.incarnation:
        return Outcome.CLAIMED, None  # by a commit whose answer was lost
    if row.at >= now - KEPT:
        if row.digest != wanted.digest:
            return Outcome.ANOTHER, None
        if row.job_id is not None:
            return Outcome.MADE, row.job_id
        if row.at >= now - IN_HAND:
            return Outcome.IN_HAND, None
    same = Idempotency.incarnation == row.incarnation
    values = _values(wanted, now) | {"job_id": None}
    taken = Idempotency.update(values).where(_is(wanted), same).execute()
    return (Outcome.CLAIMED if taken else Outcome.IN_HAND), None


def settle(claimed: Claim, job_id: int) -> None:
    """Say which job was made; to be called in its transaction. Conflict: another request has the
    key by now."""
    mine = (_is(claimed), Idempotency.incarnation == claimed.incarnation)
    if not Idempotency.update(job_id=job_id).where(*mine).execute():
        raise Conflict("this took so long that another request with its key was let in")


def release(database: Database, claimed: Claim) -> None:
    """Give up a key whose job was not made; tried once."""
    mine = (_is(claimed), Idempotency.incarnation == claimed.incarnation)
    query = Idempotency.delete().where(*mine, Idempotency.job_id.is_null())
    database.transaction(query.execute, idempotent=True, deadline=0.0)


def _is(wanted: Claim) -> Any:
    return (Idempotency.user == wanted.user) & (Idempotency.key == wanted.key)


def _values(wanted: Claim, now: float) -> dict[str, Any]:
    names = ("user", "key", "digest", "incarnation")
    return {**{name: getattr(wanted, name) for name in names}, "at": now}


def _forget_some(before: float) -> None:
    old = Idempotency.select(Idempotency.id).where(Idempotency.at < before)
    ids = [row.id for row in old.order_by(Idempotency.at).limit(_BATCH)]
    if ids:
        Idempotency.delete().where(Idempotency.id.in_(ids)).execute()
