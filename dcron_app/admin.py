"""`dcron-app user` and `dcron-app token`: who may call the API. They talk to the database only."""

from __future__ import annotations

import argparse
import getpass
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from dcron_app import passwords
from dcron_app.api import text
from dcron_common.db import logins, tokens, users
from dcron_common.db.connection import Database
from dcron_common.db.users import ANY_OS_USER, DEFAULT_OS_USER, Role, Scope
from dcron_common.errors import Conflict, DcronError, ValidationError

ACTOR = "dcron-app"  # how the audit names what was done on a control node
_ROLES = [role.value for role in Role]
_DAY = 86_400


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe both commands to argparse."""
    _add_user_arguments(
        commands.add_parser("user", help="users of the API").add_subparsers(
            dest="action", required=True
        )
    )
    _add_token_arguments(
        commands.add_parser("token", help="tokens of users").add_subparsers(
            dest="action", required=True
        )
    )


def _add_user_arguments(user: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    add = user.add_parser("add", help="make a user")
    add.add_argument("name")
    add.add_argument("--role", required=True, choices=_ROLES)
    add.add_argument(
        "--team", action="append", metavar="NAME", help="repeat it; the first is that of new jobs"
    )
    add.add_argument(
        "--os-user",
        action="append",
        metavar="NAME",
        help=f"as whom this user's jobs may run; repeat it; '*' is everybody but root "
        f"(default: {DEFAULT_OS_USER})",
    )
    add.add_argument("--if-missing", action="store_true", help="one that exists is no error")
    change = user.add_parser("set", help="change a user; what is not given stays")
    change.add_argument("name")
    change.add_argument("--role", choices=_ROLES)
    teams = change.add_mutually_exclusive_group()
    teams.add_argument(
        "--team",
        action="append",
        metavar="NAME",
        help="the user's teams, in place of those that were; repeat it",
    )
    teams.add_argument("--no-team", dest="team", action="store_const", const=[])
    change.add_argument(
        "--os-user",
        action="append",
        metavar="NAME",
        help="as whom this user's jobs may run, in place of all that was allowed; repeat it",
    )
    able = change.add_mutually_exclusive_group()
    able.add_argument("--disable", dest="disabled", action="store_true", default=None)
    able.add_argument("--enable", dest="disabled", action="store_false", default=None)
    password = user.add_parser("password", help="set a user's password; the user's logins end")
    password.add_argument("name")
    password.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="its first line is the password (default: it is asked for, or stdin's first line)",
    )
    user.add_parser("list", help="show all users")


def _add_token_arguments(token: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    make = token.add_parser("add", help="make a token and print it: the only time it is shown")
    make.add_argument("user")
    make.add_argument("--name", required=True, help="what it is for")
    make.add_argument("--expires", type=int, metavar="DAYS")
    make.add_argument(
        "--scope",
        choices=[scope.value for scope in Scope],
        default=Scope.ADMIN.value,
        help="what it may do at most, whatever its user may do (default: all that)",
    )
    token.add_parser("list", help="show all tokens, but not their text")
    revoke = token.add_parser("revoke", help="end a token")
    revoke.add_argument("id", type=int)


def run(arguments: argparse.Namespace, database: Database) -> None:
    """Carry a command out; DcronError if it cannot be."""
    action = {
        ("user", "add"): _add_user,
        ("user", "set"): _change_user,
        ("user", "password"): _set_password,
        ("user", "list"): _list_users,
        ("token", "add"): _add_token,
        ("token", "list"): _list_tokens,
        ("token", "revoke"): _revoke_token,
    }[arguments.command, arguments.action]
    action(arguments, database)


def _add_user(arguments: argparse.Namespace, database: Database) -> None:
    _check("name", arguments.name, text.account)
    teams, os_users = arguments.team or [], arguments.os_user or [DEFAULT_OS_USER]
    _check_lists(teams, os_users)
    role, now = Role(arguments.role), time.time()
    try:
        users.add_user(database, arguments.name, role, teams, os_users, now, ACTOR)
    except Conflict:
        if not arguments.if_missing:
            raise


def _change_user(arguments: argparse.Namespace, database: Database) -> None:
    role = None if arguments.role is None else Role(arguments.role)
    given = (role, arguments.team, arguments.os_user, arguments.disabled)
    if all(one is None for one in given):
        raise ValidationError(
            "user set", "give --role, --team, --no-team, --os-user, --disable or --enable"
        )
    _check_lists(arguments.team or [], arguments.os_user or [])
    try:
        changed = users.change_user(
            database,
            arguments.name,
            time.time(),
            ACTOR,
            role=role,
            teams=arguments.team,
            os_users=arguments.os_user,
            disabled=arguments.disabled,
        )
    except KeyError as error:
        raise _no_user(arguments.name) from error
    if not changed:
        print("no change")


def _set_password(arguments: argparse.Namespace, database: Database) -> None:
    if users.get_user(database, arguments.name) is None:
        raise _no_user(arguments.name)
    password = _asked(arguments.file)
    _check("the password", password, passwords.acceptable, shown=False)
    hashed = passwords.Passwords().hash(password)
    logins.set_password(database, arguments.name, hashed, time.time(), ACTOR)


def _asked(file: Path | None) -> str:
    """The password: never an argument, which all processes of the machine can read."""
    if file is not None:
        from dcron_app.wiring import read_password

        return read_password(file)
    if sys.stdin.isatty():
        return getpass.getpass("New password: ")
    return sys.stdin.readline().rstrip("\r\n")


def _no_user(name: str) -> DcronError:
    return DcronError(f"there is no user {name!a}; make one by: dcron-app user add")


def _check_lists(teams: list[str], os_users: list[str]) -> None:
    for name in teams:
        _check("--team", name, text.account)
    for name in os_users:
        if name != ANY_OS_USER:
            _check("--os-user", name, text.os_user)


def _check(field: str, value: str, check: Callable[[str], str], *, shown: bool = True) -> None:
    try:
        check(value)
    except ValueError as error:
        raise ValidationError(field, f"{value!a} {error}" if shown else str(error)) from error


def _list_users(_arguments: argparse.Namespace, database: Database) -> None:
    for row in users.list_users(database):
        state = "disabled" if row.disabled else "active"
        teams = ",".join(row.teams) or "-"
        print(row.name, row.role, teams, ",".join(row.os_users), state, sep="\t")


def _add_token(arguments: argparse.Namespace, database: Database) -> None:
    _check("--name", arguments.name, text.account)
    now = time.time()
    expires = None
    if arguments.expires is not None:
        if not 1 <= arguments.expires <= 36_500:
            raise ValidationError("--expires", "write a number of days from 1 to 36500")
        expires = now + arguments.expires * _DAY
    scope = Scope(arguments.scope)
    try:
        made = tokens.add_token(
            database, arguments.user, arguments.name, expires, now, ACTOR, scope=scope
        )
    except KeyError as error:
        raise _no_user(arguments.user) from error
    print(made.text)


def _list_tokens(_arguments: argparse.Namespace, database: Database) -> None:
    for row in tokens.list_tokens(database):
        dates = (row.created_at, row.expires_at, row.revoked_at, row.last_used_at)
        print(row.id, row.user, row.name, row.scope, *map(_date, dates), sep="\t")


def _date(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _revoke_token(arguments: argparse.Namespace, database: Database) -> None:
    ended = tokens.revoke_token(database, arguments.id, time.time(), ACTOR)
    if not ended:
        raise DcronError(f"there is no token {arguments.id} that still holds; see: token list")
