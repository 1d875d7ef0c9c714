"""Keys by which a user repeats a POST without having it done twice.

A key is claimed before anything is done, in a transaction of its own, so that a repetition that
comes meanwhile is told to wait. What is made in the database settles it in its own transaction: it
is there if and only if its key says so. What is done elsewhere settles it afterwards. A claim that
is neither settled nor released (the process died) nor renewed may be taken over after IN_HAND, if
doing it again does no harm; the first request can then not settle it any more, so that what it
makes in the database is undone. Else it is in doubt until it is forgotten. Errors: those of
connection.Database.
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
IN_HAND = 120.0  # seconds that a request may take once its body is there, or from a renewal on
RENEWED = 30.0  # seconds between renewals of a request that takes longer
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Claim:
    """A user's key, the SHA-256 of the request that came with it, and the ULID of this try of it,
    which a job that it makes gets too. `repeatable`: what was left half done may be done again."""

    user: str
    key: str
    digest: str
    incarnation: str
    repeatable: bool = True


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of the first request: the job that it made, or what it is answered with."""

    job_id: int | None = None
    answer: str | None = None


class Outcome(Enum):
    """What a claim finds."""

    CLAIMED = "it is ours"
    MADE = "the same request was done"
    IN_HAND = "the same request is being served"
    IN_DOUBT = "the same request was left half done, and must not be done twice"
    ANOTHER = "the key came with another request"


def claim(database: Database, wanted: Claim, now: float) -> tuple[Outcome, Kept | None]:
    """Claim the key; with MADE what was kept. Keys that have had their time go, a few at a time."""

    def work() -> tuple[Outcome, Kept | None]:
        _forget_some(now - KEPT)
        values = _values(wanted, now)
        try:
            # Not insert-or-ignore: MariaDB would also ignore a value that does not fit.
            Idempotency.insert(values).execute()
        except IntegrityError:
            return _again(wanted, now)
        return Outcome.CLAIMED, None

    return database.transaction(work, idempotent=True)


def _again(wanted: Claim, now: float) -> tuple[Outcome, Kept | None]:
    row = Idempotency.get_or_none(_is(wanted))
    if row is None:
        return Outcome.IN_HAND, None  # it has just been released: asking again will claim it
    if row.incarnation == wanted.incarnation:
        return Outcome.CLAIMED, None  # by a commit whose answer was lost
    if row.at >= now - KEPT:
        if row.digest != wanted.digest:
            return Outcome.ANOTHER, None
        if row.job_id is not None or row.answer is not None:
            return Outcome.MADE, Kept(row.job_id, row.answer)
        if row.at >= now - IN_HAND:
            return Outcome.IN_HAND, None
        if not wanted.repeatable:
            return Outcome.IN_DOUBT, None
    same = Idempotency.incarnation == row.incarnation
    # It may just be settled or renewed: what was read must still hold.
    dead = (Idempotency.at < now - IN_HAND) & _open()
    over = (Idempotency.at < now - KEPT) | dead
    values = _values(wanted, now) | {"job_id": None, "answer": None}
    taken = Idempotency.update(values).where(_is(wanted), same, over).execute()
    return (Outcome.CLAIMED if taken else Outcome.IN_HAND), None


def keep(database: Database, claimed: Claim, answer: str) -> None:
    """Settle what was done elsewhere, in a transaction of its own; Conflict as below."""
    database.transaction(lambda: settle(claimed, Kept(answer=answer)), idempotent=True)


def settle(claimed: Claim, kept: Kept) -> None:
    """Say what became of it; to be called in the transaction that did it. Conflict: another request
    has the key by now."""
    mine = _mine(claimed)
    if Idempotency.get_or_none(
        *mine, Idempotency.answer == kept.answer, Idempotency.job_id == kept.job_id
    ):
        return  # by a commit whose answer was lost
    if not Idempotency.update(job_id=kept.job_id, answer=kept.answer).where(*mine).execute():
        raise Conflict("this took so long that another request with its key was let in")


def renew(database: Database, claimed: Claim, now: float) -> bool:
    """Have it in hand from `now` on; False: another request has the key by now. Tried once."""

    def work() -> bool:
        Idempotency.update(at=now).where(*_mine(claimed)).execute()
        # Not how many were updated: MariaDB counts no row that was so already.
        return bool(Idempotency.select().where(*_mine(claimed)).exists())

    return database.transaction(work, idempotent=True, deadline=0.0)


def release(database: Database, claimed: Claim) -> None:
    """Give up a key under which nothing was done; tried once."""
    query = Idempotency.delete().where(*_mine(claimed), _open())
    database.transaction(query.execute, idempotent=True, deadline=0.0)


def _is(wanted: Claim) -> Any:
    return (Idempotency.user == wanted.user) & (Idempotency.key == wanted.key)


def _mine(claimed: Claim) -> tuple[Any, ...]:
    return _is(claimed), Idempotency.incarnation == claimed.incarnation


def _open() -> Any:
    return Idempotency.job_id.is_null() & Idempotency.answer.is_null()


def _values(wanted: Claim, now: float) -> dict[str, Any]:
    names = ("user", "key", "digest", "incarnation")
    return {**{name: getattr(wanted, name) for name in names}, "at": now}


def _forget_some(before: float) -> None:
    old = Idempotency.select(Idempotency.id).where(Idempotency.at < before)
    ids = [row.id for row in old.order_by(Idempotency.at).limit(_BATCH)]
    if ids:
        Idempotency.delete().where(Idempotency.id.in_(ids)).execute()
