"""Passwords as they are stored, and the sessions that they open. Nobody here sees a password: who
calls has hashed or checked it, and says by which hash; what was written meanwhile wins.

Instants are epoch seconds. Errors: those of connection.Database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dcron_common.db import audit, tokens
from dcron_common.db.connection import Database
from dcron_common.db.models import Token, User
from dcron_common.db.tags import while_known
from dcron_common.db.tokens import LOGIN, Made, TokenRow
from dcron_common.db.users import TAGGED, Scope, end_logins
from dcron_common.errors import Outdated

SESSION_NAME = "login"


def password_of(database: Database, name: str) -> str | None:
    """The hash of a user who may log in; None for everybody else."""
    query: Any = User.select(User.password).where(User.name == name, ~User.disabled).tuples()
    rows = database.read(lambda: list(query.clone()))
    return rows[0][0] if rows else None


def begin_session(
    database: Database, name: str, checked: str, renewed: str | None, expires_at: float, now: float
) -> Made | None:
    """A token for whoever gave the password of hash `checked`; None if it is the user's no more.

    `renewed`: the same password's hash by newer parameters, to be kept in its place. Sessions of
    the user that have expired go, so that their number is bounded.
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
        over = (Token.user == name, Token.kind == LOGIN, Token.expires_at <= now)
        Token.delete().where(*over).execute()
        row = tokens.insert(text, name, SESSION_NAME, LOGIN, Scope.ADMIN, expires_at, now)
        audit.add(now, name, "login", "user", name, after={"token": row.id})
        return row

    row = database.transaction(work, idempotent=True)
    return None if row is None else Made(text, row)


def set_password(
    database: Database,
    name: str,
    new: str,
    now: float,
    actor: str,
    *,
    checked: str | None = None,
    known: Sequence[str] | None = None,
) -> bool:
    """Keep the hash `new` and end the user's logins. False if there is no such user, or if its hash
    is not `checked` any more (None: whatever it is). `known`: only if the user's tag is one of
    these, else Outdated."""
    which = [User.name == name]
    if checked is not None:
        which.append(User.password == checked)

    def work() -> bool:
        if User.select().where(User.name == name, User.password == new).exists():
            return True  # a commit in doubt had been carried out: no two hashes are the same
        row = User.get_or_none(User.name == name)
        as_known = [] if row is None else while_known(row, TAGGED, known)
        if not User.update(password=new).where(*which, *as_known).execute():
            if as_known:
                raise Outdated
            return False
        end_logins(name, now)
        audit.add(now, actor, "password", "user", name)
        return True

    return database.transaction(work, idempotent=True)
