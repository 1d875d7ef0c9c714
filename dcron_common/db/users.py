"""Users and their tokens. A token's SHA-256 alone is stored; the token is shown once.

Instants are epoch seconds. Errors: those of connection.Database; Conflict for a taken name.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dcron_common.db import audit
from dcron_common.db.connection import Database
from dcron_common.db.models import Token, User
from dcron_common.errors import Conflict

PREFIX = "dcron_"  # so that scanners for leaked secrets can know a token
DEFAULT_OS_USER = "dcron-job"
ANY_OS_USER = "*"  # every OS user but root


class Role(StrEnum):
    """A viewer reads; an operator also changes jobs; an admin also changes workers."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request. `os_users`: as whom this user's jobs may run."""

    name: str
    role: Role
    team: str | None
    os_users: tuple[str, ...]

    @property
    def may_write(self) -> bool:
        return self.role is not Role.VIEWER

    def may_run_as(self, os_user: str) -> bool:
        """Whether a job of this user may run as `os_user`; root has to be named."""
        if os_user in self.os_users:
            return True
        return os_user != "root" and ANY_OS_USER in self.os_users


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user as `user list` shows it."""

    name: str
    role: str
    team: str | None
    os_users: tuple[str, ...]
    disabled: bool
    created_at: float


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as `token list` shows it."""

    id: int
    user: str
    name: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None


@dataclass(frozen=True, slots=True)
class Login:
    """The token that a request was made with, and whose it is."""

    token_id: int
    last_used_at: float | None
    principal: Principal


def digest_of(token: str) -> str:
    """What is stored of a token: 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


def add_user(
    database: Database,
    name: str,
    role: Role,
    team: str | None,
    os_users: Sequence[str],
    now: float,
    actor: str,
) -> None:
    """Make a user; Conflict if there is one of this name."""

    def work() -> None:
        if User.select().where(User.name == name).exists():
            raise Conflict(f"there is a user {name!r} already")
        User.insert(
            name=name,
            role=role.value,
            team=team,
            os_users=json.dumps(list(os_users)),
            created_at=now,
        ).execute()
        after = {"role": role.value, "team": team, "os_users": list(os_users)}
        audit.add(now, actor, "create", "user", name, after=after)

    database.transaction(work)


def change_user(
    database: Database,
    name: str,
    now: float,
    actor: str,
    *,
    role: Role | None = None,
    os_users: Sequence[str] | None = None,
    disabled: bool | None = None,
) -> bool:
    """Change what is not None; False if all of it is so already. KeyError: no such user.

    The user's tokens stand: those of a disabled user are good for nothing, until it is enabled.
    """
    wanted: dict[str, Any] = {}
    if role is not None:
        wanted["role"] = role.value
    if os_users is not None:
        wanted["os_users"] = json.dumps(list(os_users))
    if disabled is not None:
        wanted["disabled"] = disabled

    def work() -> bool:
        row = User.get_or_none(User.name == name)
        if row is None:
            raise KeyError(name)
        changed = {key: value for key, value in wanted.items() if getattr(row, key) != value}
        if not changed:
            return False
        before = {key: getattr(row, key) for key in changed}
        User.update(changed).where(User.name == name).execute()
        audit.add(now, actor, "change", "user", name, before=_shown(before), after=_shown(changed))
        return True

    return database.transaction(work, idempotent=True)


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    """Columns of a user as the audit shows them: as `add_user` does."""
    return {key: json.loads(value) if key == "os_users" else value for key, value in values.items()}


def list_users(database: Database) -> list[UserRow]:
    """All users by name."""
    rows = database.read(lambda: list(User.select().order_by(User.name)))
    return [
        UserRow(
            row.name,
            row.role,
            row.team,
            tuple(json.loads(row.os_users)),
            bool(row.disabled),
            row.created_at,
        )
        for row in rows
    ]


def add_token(
    database: Database, user: str, name: str, expires_at: float | None, now: float, actor: str
) -> str:
    """Make a token and return it: the only time that it can be seen. KeyError: no such user."""
    token = PREFIX + secrets.token_urlsafe(32)
    digest = digest_of(token)

    def work() -> None:
        if not User.select().where(User.name == user).exists():
            raise KeyError(user)
        if Token.select().where(Token.digest == digest).exists():
            return  # a commit in doubt had been carried out
        Token.insert(
            digest=digest, user=user, name=name, created_at=now, expires_at=expires_at
        ).execute()
        audit.add(now, actor, "create", "token", f"{user}/{name}"[:64])

    database.transaction(work, idempotent=True)
    return token


def list_tokens(database: Database) -> list[TokenRow]:
    """All tokens in the order of their making."""
    columns = [getattr(Token, name) for name in TokenRow.__slots__]
    query: Any = Token.select(*columns).order_by(Token.id).tuples()
    return [TokenRow(*values) for values in database.read(lambda: list(query.clone()))]


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
            Token.id,
            Token.digest,
            Token.expires_at,
            Token.last_used_at,
            User.name,
            User.role,
            User.team,
            User.os_users,
        )
        .join(User, on=(Token.user == User.name))
        .where(Token.digest == digest, Token.revoked_at.is_null(), ~User.disabled)
    )
    rows = database.read(lambda: list(query.clone().tuples()))
    if not rows:
        return None
    token_id, stored, expires_at, last_used_at, name, role, team, os_users = rows[0]
    if not hmac.compare_digest(stored, digest) or (expires_at is not None and expires_at <= now):
        return None
    principal = Principal(name, Role(role), team, tuple(json.loads(os_users)))
    return Login(token_id, last_used_at, principal)


def touch_token(database: Database, login: Login, now: float) -> None:
    """Note the use of a token, at most once a minute."""
    if login.last_used_at is not None and now - login.last_used_at < 60:
        return
    unseen = Token.last_used_at.is_null() | (Token.last_used_at <= now - 60)
    query = Token.update(last_used_at=now).where(Token.id == login.token_id, unseen)
    database.transaction(lambda: query.clone().execute(), idempotent=True)
