"""How often somebody may fail to log in: counted in the database, for all API processes together.

Each subject has a bucket: a wrong password is a drop, `most` fill it, and it loses one every
WINDOW / most seconds. So there is no moment at which all is forgotten, and who has filled it gets
on one by one. A row holds one number, when the bucket will be empty; a subject without a row has an
empty one. An attempt puts its drop in before the password is looked at, by a conditional write, and
takes it out when the password was right: attempts at the same time cannot pass the bound together.
Empty buckets go with the leader's retention (`old_accounts`).

Names stand there as digests: people type passwords where a name belongs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from peewee import Case

from dcron_common.db.connection import Database
from dcron_common.db.models import LoginBucket

WINDOW = 300.0  # seconds in which a full bucket drains
_EXACT = 0.001  # sums of fractions of seconds differ by less


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is counted, and how many failures fill the bucket."""

    digest: str
    most: int

    @property
    def drop(self) -> float:
        """Seconds in which one failure drains."""
        return WINDOW / self.most


def subject(kind: str, text: str, most: int) -> Subject:
    """One of its kind; `text` may be anything."""
    joined = f"{kind}\0{text}".encode(errors="surrogatepass")
    return Subject(hashlib.sha256(joined).hexdigest(), most)


class _Full(Exception):
    """Undoes what the attempt had taken for the subjects before."""

    def __init__(self, wait: float) -> None:
        super().__init__(wait)
        self.wait = wait


def take(database: Database, subjects: Sequence[Subject], now: float) -> int | None:
    """A place for an attempt by all of them: None, or the seconds until there can be one."""

    def work() -> None:
        for one in subjects:
            if _filled(one, now):
                continue
            row = LoginBucket.get_or_none(LoginBucket.subject == one.digest)
            if row is not None:
                raise _Full(row.empty_at + one.drop - WINDOW - now)
            LoginBucket.insert(subject=one.digest, empty_at=now).on_conflict_ignore().execute()
            if not _filled(one, now):  # others were quicker
                raise _Full(one.drop)

    try:
        database.transaction(work, idempotent=True)
    except _Full as full:
        return max(1, math.ceil(full.wait - _EXACT))
    return None


def give_back(database: Database, subjects: Sequence[Subject]) -> None:
    """The attempt that had taken a place did not fail. One try: it may stay taken."""

    def work() -> None:
        for one in subjects:
            less = LoginBucket.update(empty_at=LoginBucket.empty_at - one.drop)
            less.where(LoginBucket.subject == one.digest).execute()

    database.transaction(work, idempotent=True, deadline=0)


def _filled(one: Subject, now: float) -> bool:
    filled_until: Any = Case(None, [(LoginBucket.empty_at > now, LoginBucket.empty_at)], now)
    more = LoginBucket.update(empty_at=filled_until + one.drop)
    room = LoginBucket.empty_at <= now + WINDOW - one.drop + _EXACT
    return bool(more.where(LoginBucket.subject == one.digest, room).execute())
