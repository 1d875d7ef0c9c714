"""From which networks each user has logged in lately: there the user is no stranger.

A few for each user, the newest; noted in the login's own transaction. Errors: those of
connection.Database.
"""

from __future__ import annotations

from typing import Any

from dcron_common.db.connection import Database
from dcron_common.db.models import LoginPlace

MOST = 8  # networks of a user
KEPT = 90 * 86_400.0  # seconds since the last login from one


def is_known(database: Database, user: str, network: str, now: float) -> bool:
    """Whether this user has logged in from there in the time that this is kept for."""
    mine = (LoginPlace.user == user, LoginPlace.network == network, LoginPlace.at > now - KEPT)
    return database.read(lambda: LoginPlace.select().where(*mine).exists())


def note(user: str, network: str, now: float) -> None:
    """A login from there; of more than MOST the oldest are forgotten. To be called inside the
    transaction that begins a session: it holds the user's row."""
    mine = LoginPlace.user == user
    if not LoginPlace.update(at=now).where(mine, LoginPlace.network == network).execute():
        # MariaDB counts no row that had this value already.
        LoginPlace.insert(user=user, network=network, at=now).on_conflict_ignore().execute()
    newest_first: Any = LoginPlace.select(LoginPlace.network).where(mine)
    newest_first = newest_first.order_by(LoginPlace.at.desc(), LoginPlace.network)
    beyond = [row.network for row in newest_first.offset(MOST).limit(MOST)]
    if beyond:
        LoginPlace.delete().where(mine, LoginPlace.network.in_(beyond)).execute()
