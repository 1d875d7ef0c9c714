"""Passwords as they are stored, and the sessions that they open. Nobody here sees a password: who
calls has hashed or checked it, and says by which hash; what was written meanwhile wins.

Instants are epoch seconds. Errors: those of connection.Database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import fn

from dcron_common.db import audit, login_places, tokens
from dcron_common.db.connection import Database
from dcron_common.db.models import Token, User
from dcron_common.db.tags import while_known
from dcron_common.db.tokens import LOGIN, Made, TokenRow
from dcron_common.db.users import TAGGED, Scope, end_logins
from dcron_common.errors import Outdated

SESSION_NAME = "login"
MOST_LOGINS = 100  # of a user at once
_BATCH = 500  # rows that a login removes at most


def password_of(database: Database, name: str) -> str | None:
    """The hash of a user who may log in; None for everybody else."""
    query: Any = User.select(User.password).where(User.name == name, ~User.disabled).tuples()
    rows = database.read(lambda: list(query.clone()))
    return rows[0][0] if rows else None


def begin_session(
    database: Database,
    name: str,
    checked: str,
    renewed: str | None,
    expires_at: float,
    now: float,
    *,
    network: str | None = None,
) -> Made | None:
    """A token for whoever gave the password of hash `checked`; None if it is the user's no more.

    `renewed`: the same password's hash by newer parameters, to be kept in its place. Logins of
    the user that have expired and in which nothing was made go; of more than MOST_LOGINS the oldest
    are over. So their number is bounded, and nobody is kept out by it. `network`: from where it is
    asked for, to be remembered (`login_places`).
    """
    text = tokens.new_text()
    values: dict[str, Any] = {"logins": User.logins + 1, "last_login_at": now}
    if renewed is not None:
        values["password"] = renewed

    def work() -> TokenRow | None:
        found = tokens.row_of(text)
        if found is not None:
            return found  # a commit in doubt had been carried out
        good = (User.name == name, User.password == checked, ~User.disabled)
        if not User.update(values).where(*good).execute():
            return None
        _make_room(name, now)
        if network is not None:
            login_places.note(name, network, now)
        row = tokens.insert(text, name, SESSION_NAME, LOGIN, Scope.ADMIN, expires_at, now)
        audit.add(now, name, "login", "user", name, after={"token": row.id})
        return row

    row = database.transaction(work, idempotent=True)
    return None if row is None else Made(text, row)


def _make_room(name: str, now: float) -> None:
    mine = (Token.user == name, Token.kind == LOGIN)
    expired = Token.select(Token.id).where(*mine, Token.expires_at <= now, ~_used())
    gone = _ids(expired.limit(_BATCH))
    if gone:
        Token.delete().where(Token.id.in_(gone)).execute()
    newest_first = Token.select(Token.id).where(*mine, Token.revoked_at.is_null())
    newest_first = newest_first.where(Token.expires_at > now).order_by(Token.id.desc())
    oldest = _ids(newest_first.offset(MOST_LOGINS - 1).limit(_BATCH))
    if oldest:
        Token.update(revoked_at=now).where(Token.id.in_(oldest)).execute()


def _used() -> Any:
    made = Token.alias()
    return fn.EXISTS(made.select(made.id).where(made.parent == Token.id))


def _ids(query: Any) -> list[int]:
    return [token_id for (token_id,) in query.tuples()]


def set_password(
    database: Database,
    name: str,
    new: str,
    now: float,
    actor: str,
    *,
    checked: str | None = None,
    known: Sequence[str] | None = None,
    end_tokens: bool = False,
) -> bool:
    """Keep the hash `new` and end the user's logins; what was made in them stands, unless
    `end_tokens`: then all tokens of the user and what was made with them. False if there is no such
    user, or if its hash is not `checked` any more (None: whatever it is). `known`: only if the
    user's tag is one of these, else Outdated."""
    which = [User.name == name]
    if checked is not None:
        which.append(User.password == checked)

    def work() -> bool:
        if User.select().where(User.name == name, User.password == new).exists():
            return True  # a commit in doubt had been carried out: no two hashes are the same
        row = User.get_or_none(User.name == name)
        as_known = [] if row is None else while_known(row, TAGGED, known)
        values = {"password": new, "passwords_set": User.passwords_set + 1}
        if not User.update(values).where(*which, *as_known).execute():
            if as_known:
                raise Outdated
            return False
        if end_tokens:
            # With one that is over some may have been made, too.
            ends = Token.revoked_at.is_null() | _used()
            for token_id in _ids(Token.select(Token.id).where(Token.user == name, ends)):
                tokens.revoke_token(database, token_id, now, actor)
        end_logins(name, now)
        audit.add(now, actor, "password", "user", name)
        return True

    return database.transaction(work, idempotent=True)
