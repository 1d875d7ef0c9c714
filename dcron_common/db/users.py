"""Users, and what a user may do. Nobody is ever deleted: names in the audit go on meaning somebody.

Instants are epoch seconds. Errors: those of connection.Database; Conflict for a taken name, and for
what would leave no admin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dcron_common.db import audit
from dcron_common.db.connection import Database
from dcron_common.db.models import Counter, Token, User
from dcron_common.db.tags import require, tag_of, while_known
from dcron_common.errors import Conflict

DEFAULT_OS_USER = "dcron-job"
ANY_OS_USER = "*"  # every OS user but root
# What people write of one: not the hash of the password, which logins renew.
TAGGED = ("role", "team", "teams", "os_users", "disabled", "passwords_set")
_CHANGES = "user-changes"  # the counter whose row lets one change of who is an admin in at a time


class Role(StrEnum):
    """A viewer reads; an operator also changes jobs; an admin also changes all else."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Scope(StrEnum):
    """What a token lets its user do at most."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    @property
    def role(self) -> Role:
        """The role that it comes to."""
        return _ROLES[_SCOPES.index(self)]

    def within(self, other: Scope) -> bool:
        """Whether it allows nothing that `other` does not."""
        return _SCOPES.index(self) <= _SCOPES.index(other)

    @classmethod
    def of_role(cls, role: Role) -> Scope:
        """The least that takes nothing from a role."""
        return _SCOPES[_ROLES.index(role)]


_ROLES, _SCOPES = tuple(Role), tuple(Scope)  # from the least to the most, side by side


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request, and by which scope. `role`: what the user's own role and the scope both
    allow, whatever it is made with. `os_users`: as whom this user's jobs may run."""

    name: str
    role: Role
    teams: tuple[str, ...]
    os_users: tuple[str, ...]
    scope: Scope = Scope.ADMIN

    def __post_init__(self) -> None:
        capped = min(self.role, self.scope.role, key=_ROLES.index)
        object.__setattr__(self, "role", capped)

    @property
    def team(self) -> str | None:
        """The team of new jobs that name none."""
        return self.teams[0] if self.teams else None

    @property
    def may_write(self) -> bool:
        return self.role is not Role.VIEWER

    def may_change(self, owner: str, team: str | None) -> bool:
        """Whether this user may change, run and remove what belongs to `owner` and `team`."""
        if self.role is Role.ADMIN:
            return True
        mine = owner == self.name or (team is not None and team in self.teams)
        return self.may_write and mine

    def may_run_as(self, os_user: str) -> bool:
        """Whether a job of this user may run as `os_user`; root has to be named."""
        if os_user in self.os_users:
            return True
        return os_user != "root" and ANY_OS_USER in self.os_users


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user. `has_password`: whether there is one to log in by. `tag`: another with each change by
    people."""

    name: str
    role: Role
    teams: tuple[str, ...]
    os_users: tuple[str, ...]
    disabled: bool
    has_password: bool
    created_at: float
    last_login_at: float | None
    tag: str


def add_user(
    database: Database,
    name: str,
    role: Role,
    teams: Sequence[str],
    os_users: Sequence[str],
    now: float,
    actor: str,
    *,
    password: str | None = None,
    along: Callable[[], None] = lambda: None,
) -> None:
    """Make a user; Conflict if there is one of this name. `password`: its hash. `along` is called
    in the same transaction; what it raises undoes all."""
    columns = _columns(role, teams, os_users, None)

    def work() -> None:
        if User.select().where(User.name == name).exists():
            raise Conflict(f"there is a user {name!r} already")
        User.insert(name=name, created_at=now, password=password, **columns).execute()
        audit.add(now, actor, "create", "user", name, after=_shown(columns))
        along()

    database.transaction(work)


def change_user(
    database: Database,
    name: str,
    now: float,
    actor: str,
    *,
    role: Role | None = None,
    teams: Sequence[str] | None = None,
    os_users: Sequence[str] | None = None,
    disabled: bool | None = None,
    known: Sequence[str] | None = None,
) -> bool:
    """Change what is not None; False if all of it is so already. KeyError: no such user. Conflict:
    nobody else would be an admin who can come in. `known`: only if its tag is one of these, else
    Outdated.

    Disabling ends the user's logins for good; other tokens open nothing until it is enabled again.
    """
    wanted = _columns(role, teams, os_users, disabled)

    def work() -> bool:
        _one_at_a_time()
        row = User.get_or_none(User.name == name)
        if row is None:
            raise KeyError(name)
        changed = {key: value for key, value in wanted.items() if getattr(row, key) != value}
        if not changed:
            return False
        as_known = while_known(row, TAGGED, known)
        before = {key: getattr(row, key) for key in changed}
        if wanted.get("role", row.role) != Role.ADMIN or wanted.get("disabled", row.disabled):
            _need_another_admin(row)
        require(User.update(changed).where(User.name == name, *as_known).execute())
        if disabled:
            end_logins(name, now)
        audit.add(now, actor, "change", "user", name, before=_shown(before), after=_shown(changed))
        return True

    return database.transaction(work, idempotent=True)


def _one_at_a_time() -> None:
    """Hold a row until the end of the transaction: two admins must not demote each other."""
    raised = Counter.update(count=Counter.count + 1).where(Counter.name == _CHANGES)
    if not raised.execute():
        Counter.insert(name=_CHANGES, count=0).on_conflict_ignore().execute()
        raised.execute()


def _need_another_admin(row: User) -> None:
    if row.role != Role.ADMIN or row.disabled:
        return
    others = User.select().where(User.role == Role.ADMIN, ~User.disabled, User.name != row.name)
    if not others.exists():
        raise Conflict(f"{row.name} is the last admin who may come in: make another one first")


def end_logins(name: str, now: float) -> None:
    """Revoke the tokens that the user's logins gave; to be called inside a transaction."""
    Token.update(revoked_at=now).where(
        Token.user == name, Token.kind == "login", Token.revoked_at.is_null()
    ).execute()


def _columns(
    role: Role | None,
    teams: Sequence[str] | None,
    os_users: Sequence[str] | None,
    disabled: bool | None,
) -> dict[str, Any]:
    """What is not None, as it is stored."""
    columns: dict[str, Any] = {}
    if role is not None:
        columns["role"] = role.value
    if teams is not None:
        columns |= {"teams": json.dumps(list(teams)), "team": teams[0] if teams else None}
    if os_users is not None:
        columns["os_users"] = json.dumps(list(os_users))
    if disabled is not None:
        columns["disabled"] = disabled
    return columns


def _shown(columns: dict[str, Any]) -> dict[str, Any]:
    """Columns of a user as the audit shows them."""
    shown = {key: value for key, value in columns.items() if key != "team"}
    for key in ("teams", "os_users"):
        if key in shown:
            shown[key] = json.loads(shown[key] or "[]")
    return shown


def teams_of(teams: str | None, team: str | None) -> tuple[str, ...]:
    """From the two columns."""
    if teams is not None:
        return tuple(json.loads(teams))
    return () if team is None else (team,)


def list_users(database: Database) -> list[UserRow]:
    """All users by name."""
    return [_row(row) for row in database.read(lambda: list(User.select().order_by(User.name)))]


def get_user(database: Database, name: str) -> UserRow | None:
    """One user; None if there is none of this name."""
    row = database.read(lambda: User.get_or_none(User.name == name))
    return None if row is None else _row(row)


def _row(row: User) -> UserRow:
    return UserRow(
        row.name,
        Role(row.role),
        teams_of(row.teams, row.team),
        tuple(json.loads(row.os_users)),
        bool(row.disabled),
        row.password is not None,
        row.created_at,
        row.last_login_at,
        tag_of(row, TAGGED),
    )
