"""Tokens. A token's SHA-256 alone is stored; the token is shown once.

A token opens what it opens until it expires, is revoked, by itself or with the one that it was made
with (`lineage`), or its user is disabled. Instants are epoch seconds. Errors: those of
connection.Database; Conflict where a user would have too many, or the token asked with is over.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from dcron_common.db import audit, lineage
from dcron_common.db.connection import Database
from dcron_common.db.models import Token, User
from dcron_common.db.users import Principal, Role, Scope, teams_of
from dcron_common.errors import Conflict

PREFIX = "dcron_"  # so that scanners for leaked secrets can know a token
LOGIN, PLAIN = "login", "token"  # kinds
MOST = 100  # tokens of a user that hold at once, logins not counted


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token, but not its text. `replaced_by`: the id of the one that it was rotated to.
    `parent`: of the one whose revocation ends it, too."""

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
    parent: int | None = None

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
    present: int | None = None,
) -> Made:
    """Make a token. `present`: the id of the one that it is asked for with. KeyError: no such
    user."""
    text = new_text()

    def work() -> TokenRow:
        found = row_of(text)
        if found is not None:
            return found  # a commit in doubt had been carried out
        _find_room(user, now)
        if present is not None:
            lineage.hold(present, now)
        row = insert(text, user, name, PLAIN, scope, expires_at, now, parent=present)
        audit.add(now, actor, "create", "token", str(row.id), after=audited(row))
        return row

    return Made(text, database.transaction(work, idempotent=True))


def _find_room(user: str, now: float) -> None:
    """Let one at a time make tokens of this user, while there are not too many. KeyError."""
    if not User.update(tokens_made=User.tokens_made + 1).where(User.name == user).execute():
        raise KeyError(user)
    mine = (Token.user == user, Token.kind == PLAIN, Token.revoked_at.is_null())
    if len(Token.select(Token.id).where(*mine, _unexpired(now)).limit(MOST)) >= MOST:
        raise Conflict(
            f"the user {user} has {MOST} tokens that hold, which is as many as may be: see them "
            "with GET /tokens and revoke those that nobody needs with DELETE /tokens/{id}"
        )


def _unexpired(now: float) -> Any:
    return Token.expires_at.is_null() | (Token.expires_at > now)


def insert(
    text: str,
    user: str,
    name: str,
    kind: str,
    scope: Scope,
    expires_at: float | None,
    now: float,
    *,
    parent: int | None = None,
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
        parent=parent,
    ).execute()
    values = (number, user, name, kind, scope.value, now, expires_at, None, None, None, parent)
    return TokenRow(*values)


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
    database: Database,
    old: TokenRow,
    grace: float,
    now: float,
    actor: str,
    *,
    present: int | None = None,
) -> Made | None:
    """A token in place of `old`, for as long as that was made for; `old` opens nothing any more, or
    for `grace` seconds yet. What was made with `old` stands: it hangs on the new one from now on
    (`lineage` says why). None if it was rotated, revoked or has expired before. `present`: the id
    of the token that it is asked for with."""
    text = new_text()
    expires = None if old.expires_at is None else now + old.expires_at - old.created_at
    ends: dict[str, Any] = {"revoked_at": now}
    if grace > 0:
        ends = {"expires_at": now + grace}
        if old.expires_at is not None:
            ends = {"expires_at": min(old.expires_at, now + grace)}
    mine = (Token.id == old.id, Token.revoked_at.is_null(), Token.replaced_by.is_null())

    def work() -> TokenRow | None:
        found = row_of(text)
        if found is not None:
            return found  # a commit in doubt had been carried out
        if grace > 0:  # for a while there will be one more
            _find_room(old.user, now)
        if present not in (None, old.id):
            lineage.hold(present, now)
        if not Token.update(replaced_by=0, **ends).where(*mine, _unexpired(now)).execute():
            return None
        parent = lineage.parent_after(old.id, present)
        scope = Scope(old.scope)
        row = insert(text, old.user, old.name, old.kind, scope, expires, now, parent=parent)
        lineage.replace(old.id, row.id)
        after = {**audited(row), "replaced_by": row.id}
        audit.add(now, actor, "rotate", "token", str(old.id), after=after)
        return row

    row = database.transaction(work, idempotent=True)
    return None if row is None else Made(text, row)


def revoke_token(database: Database, token_id: int, now: float, actor: str) -> list[int]:
    """End a token and all that hangs on it; the ids of what held until now. To be repeated for one
    that is over: what was made in a login outlives it, until this."""

    def work() -> list[int]:
        here = (Token.id == token_id, Token.revoked_at.is_null())
        ended = [token_id] if Token.update(revoked_at=now).where(*here).execute() else []
        for row in ended:
            audit.add(now, actor, "revoke", "token", str(row))
        return ended + end_below(token_id, now, actor)

    return database.transaction(work)


def end_below(token_id: int, now: float, actor: str) -> list[int]:
    """End what hangs on a token, and say so in the audit; to be called inside a transaction."""
    ended = lineage.end_below(token_id, now)
    for row in ended:
        audit.add(now, actor, "revoke", "token", str(row), after={"with": token_id})
    return ended


def log_out(database: Database, token_id: int, now: float, actor: str) -> None:
    """End a login. What was made in it stands: it was made to last."""

    def work() -> None:
        here = (Token.id == token_id, Token.revoked_at.is_null())
        if Token.update(revoked_at=now).where(*here).execute():
            audit.add(now, actor, "revoke", "token", str(token_id))

    database.transaction(work)


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
