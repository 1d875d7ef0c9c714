"""Tokens. A token's SHA-256 alone is stored; the token is shown once.

A token opens what it opens until it expires, is revoked, or its user is disabled. Instants are
epoch seconds. Errors: those of connection.Database.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from dcron_common.db import audit
from dcron_common.db.connection import Database
from dcron_common.db.models import Token, User
from dcron_common.db.users import Principal, Role, Scope, teams_of

PREFIX = "dcron_"  # so that scanners for leaked secrets can know a token
LOGIN, PLAIN = "login", "token"  # kinds


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token, but not its text. `replaced_by`: the id of the one that it was rotated to."""

    id: int
    user: str
    name: str
    kind: str
    scope: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    replaced_by: int | None

    def holds(self, now: float) -> bool:
        """Whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Made:
    """A new token: the only time that its text can be seen."""

    text: str
    row: TokenRow


@dataclass(frozen=True, slots=True)
class Login:
    """The token that a request was made with, and whose it is. `role`: the user's own."""

    token_id: int
    kind: str
    role: Role
    expires_at: float | None
    last_used_at: float | None
    principal: Principal


def digest_of(token: str) -> str:
    """What is stored of a token: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_text() -> str:
    """A token that nobody has."""
    return PREFIX + secrets.token_urlsafe(32)


def add_token(
    database: Database,
    user: str,
    name: str,
    expires_at: float | None,
    now: float,
    actor: str,
    *,
    scope: Scope = Scope.ADMIN,
) -> Made:
    """Make a token. KeyError: no such user."""
    text = new_text()

    def work() -> TokenRow:
        if not User.select().where(User.name == user).exists():
            raise KeyError(user)
        found = row_of(text)
        if found is not None:
            return found  # a commit in doubt had been carried out
        row = insert(text, user, name, PLAIN, scope, expires_at, now)
        audit.add(now, actor, "create", "token", str(row.id), after=audited(row))
        return row

    return Made(text, database.transaction(work, idempotent=True))


def insert(
    text: str,
    user: str,
    name: str,
    kind: str,
    scope: Scope,
    expires_at: float | None,
    now: float,
) -> TokenRow:
    """Write a token's row; to be called inside a transaction."""
    number = Token.insert(
        digest=digest_of(text),
        user=user,
        name=name,
        kind=kind,
        scope=scope.value,
        created_at=now,
        expires_at=expires_at,
    ).execute()
    return TokenRow(number, user, name, kind, scope.value, now, expires_at, None, None, None)


def audited(row: TokenRow) -> dict[str, Any]:
    """A token as the audit shows it."""
    return {
        "user": row.user,
        "name": row.name,
        "scope": row.scope,
        "expires_at": row.expires_at,
    }


def list_tokens(database: Database, user: str | None = None) -> list[TokenRow]:
    """Tokens in the order of their making: a user's, or everybody's."""
    query: Any = Token.select(*_COLUMNS).order_by(Token.id)
    if user is not None:
        query = query.where(Token.user == user)
    return [TokenRow(*values) for values in database.read(lambda: list(query.clone().tuples()))]


def get_token(database: Database, token_id: int) -> TokenRow | None:
    """One token; None if there is none of this id."""
    return database.read(lambda: _row_where(Token.id == token_id))


def row_of(text: str) -> TokenRow | None:
    """The row of a token's text; to be called inside a transaction."""
    return _row_where(Token.digest == digest_of(text))


def _row_where(condition: Any) -> TokenRow | None:
    values: Any = Token.select(*_COLUMNS).where(condition).tuples().first()
    return None if values is None else TokenRow(*values)


_COLUMNS = [getattr(Token, name) for name in TokenRow.__slots__]


def rotate_token(
    database: Database, old: TokenRow, grace: float, now: float, actor: str
) -> Made | None:
    """A token in place of `old`, for as long as that was made for; `old` opens nothing any more, or
    for `grace` seconds yet. None if it was rotated, revoked or has expired before."""
    text = new_text()
    expires = None if old.expires_at is None else now + old.expires_at - old.created_at
    ends: dict[str, Any] = {"revoked_at": now}
    if grace > 0:
        ends = {"expires_at": now + grace}
        if old.expires_at is not None:
            ends = {"expires_at": min(old.expires_at, now + grace)}
    holds = Token.expires_at.is_null() | (Token.expires_at > now)

    def work() -> TokenRow | None:
        found = row_of(text)
        if found is not None:
            return found  # a commit in doubt had been carried out
        changed = (
            Token.update(replaced_by=0, **ends)
            .where(
                Token.id == old.id, Token.revoked_at.is_null(), Token.replaced_by.is_null(), holds
            )
            .execute()
        )
        if not changed:
            return None
        row = insert(text, old.user, old.name, old.kind, Scope(old.scope), expires, now)
        Token.update(replaced_by=row.id).where(Token.id == old.id).execute()
        after = {**audited(row), "replaced_by": row.id}
        audit.add(now, actor, "rotate", "token", str(old.id), before=audited(old), after=after)
        return row

    row = database.transaction(work, idempotent=True)
    return None if row is None else Made(text, row)


def revoke_token(database: Database, token_id: int, now: float, actor: str) -> bool:
    """End a token; False if there is none of this id that still holds."""

    def work() -> bool:
        changed = (
            Token.update(revoked_at=now)
            .where(Token.id == token_id, Token.revoked_at.is_null())
            .execute()
        )
        if changed:
            audit.add(now, actor, "revoke", "token", str(token_id))
        return bool(changed)

    return database.transaction(work)


def authenticate(database: Database, token: str, now: float) -> Login | None:
    """Whose token this is, if it holds at `now`. Found by its digest, compared in constant time."""
    digest = digest_of(token)
    query: Any = (
        Token.select(
            *(Token.id, Token.digest, Token.kind, Token.scope),
            *(Token.expires_at, Token.last_used_at),
            *(User.name, User.role, User.teams, User.team, User.os_users),
        )
        .join(User, on=(Token.user == User.name))
        .where(Token.digest == digest, Token.revoked_at.is_null(), ~User.disabled)
    )
    rows = database.read(lambda: list(query.clone().tuples()))
    if not rows:
        return None
    token_id, stored, kind, scope, expires_at, last_used_at, name, role, teams, team, os_users = (
        rows[0]
    )
    if not hmac.compare_digest(stored, digest) or (expires_at is not None and expires_at <= now):
        return None
    principal = Principal(
        name, Role(role), teams_of(teams, team), tuple(json.loads(os_users)), Scope(scope)
    )
    return Login(token_id, kind, Role(role), expires_at, last_used_at, principal)


def touch_token(database: Database, login: Login, now: float) -> None:
    """Note the use of a token, at most once a minute."""
    if login.last_used_at is not None and now - login.last_used_at < 60:
        return
    unseen = Token.last_used_at.is_null() | (Token.last_used_at <= now - 60)
    query = Token.update(last_used_at=now).where(Token.id == login.token_id, unseen)
    # One try: the request that it belongs to need not wait for this.
    database.transaction(lambda: query.clone().execute(), idempotent=True, deadline=0)
