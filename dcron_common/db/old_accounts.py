"""What nobody logs in by any more: tokens that are over, counts that have drained, old networks.

Found by index, removed by primary key, a few at a time, so that nothing waits for it. Repeating any
of it changes nothing. Errors: those of connection.Database.
"""

from __future__ import annotations

from typing import Any

from peewee import Model, fn

from dcron_common.db.connection import Database
from dcron_common.db.login_places import KEPT as PLACE_KEPT
from dcron_common.db.models import LoginBucket, LoginPlace, LoginWindow, Token

TOKEN_KEPT = 30 * 86_400.0  # seconds after its end that a token is still shown
COUNT_KEPT = 3_600.0  # seconds after its end that a count stays: clocks differ


def drop_tokens(database: Database, now: float, most: int) -> int:
    """Remove tokens that ended TOKEN_KEPT ago; how many, 0: there are none. One on which another
    hangs stays as long as that is there: it is found by it (`lineage`)."""
    before = now - TOKEN_KEPT

    def work() -> int:
        hanging = Token.alias()
        used = fn.EXISTS(hanging.select(hanging.id).where(hanging.parent == Token.id))
        gone: set[int] = set()
        for ended in (Token.expires_at, Token.revoked_at):
            old: Any = Token.select(Token.id).where(ended < before, ~used)
            oldest = old.order_by(ended).limit(most - len(gone)).tuples()
            gone |= {token_id for (token_id,) in oldest}
            if len(gone) == most:
                break
        return _dropped(Token, Token.id, gone)

    return database.transaction(work, idempotent=True)


def drop_counts(database: Database, now: float, most: int) -> int:
    """Remove some of the counts of wrong passwords that are over; how many there were."""
    before = now - COUNT_KEPT

    def work() -> int:
        count = _oldest(LoginBucket, LoginBucket.subject, LoginBucket.empty_at, before, most)
        opened = LoginWindow.opened_at  # of the release before
        return count or _oldest(LoginWindow, LoginWindow.subject, opened, before, most)

    return database.transaction(work, idempotent=True)


def drop_places(database: Database, now: float, most: int) -> int:
    """Remove some of the networks from which nobody has logged in for long; how many there were."""

    def work() -> int:
        before = now - PLACE_KEPT
        return _oldest(LoginPlace, LoginPlace.user, LoginPlace.at, before, most)

    return database.transaction(work, idempotent=True)


def _oldest(table: type[Model], key: Any, ended: Any, before: float, most: int) -> int:
    old: Any = table.select(key).where(ended < before).order_by(ended).limit(most).tuples()
    return _dropped(table, key, {value for (value,) in old}, ended < before)


def _dropped(table: type[Model], key: Any, values: set[Any], *still: Any) -> int:
    if not values:
        return 0
    return int(table.delete().where(key.in_(list(values)), *still).execute())
