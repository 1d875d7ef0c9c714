"""`dcron-app user` and `dcron-app token`: who may call the API. They talk to the database only."""

from __future__ import annotations

import argparse
import re
import time
from datetime import UTC, datetime

from dcron_common.db import users
from dcron_common.db.connection import Database
from dcron_common.db.users import DEFAULT_OS_USER, Role
from dcron_common.errors import Conflict, DcronError, ValidationError

ACTOR = "dcron-app"  # how the audit names what was done on a control node
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_OS_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}|\*")


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe both commands to argparse."""
    user = commands.add_parser("user", help="users of the API").add_subparsers(
        dest="action", required=True
    )
    add = user.add_parser("add", help="make a user")
    add.add_argument("name")
    add.add_argument("--role", required=True, choices=[role.value for role in Role])
    add.add_argument("--team")
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
    change.add_argument("--role", choices=[role.value for role in Role])
    change.add_argument(
        "--os-user",
        action="append",
        metavar="NAME",
        help="as whom this user's jobs may run, in place of all that was allowed; repeat it",
    )
    able = change.add_mutually_exclusive_group()
    able.add_argument("--disable", dest="disabled", action="store_true", default=None)
    able.add_argument("--enable", dest="disabled", action="store_false", default=None)
    user.add_parser("list", help="show all users")

    token = commands.add_parser("token", help="tokens of users").add_subparsers(
        dest="action", required=True
    )
    make = token.add_parser("add", help="make a token and print it: the only time it is shown")
    make.add_argument("user")
    make.add_argument("--name", required=True, help="what it is for")
    make.add_argument("--expires", type=int, metavar="DAYS")
    token.add_parser("list", help="show all tokens, but not their text")
    revoke = token.add_parser("revoke", help="end a token")
    revoke.add_argument("id", type=int)


def run(arguments: argparse.Namespace, database: Database) -> None:
    """Carry a command out; DcronError if it cannot be."""
    action = {
        ("user", "add"): _add_user,
        ("user", "set"): _change_user,
        ("user", "list"): _list_users,
        ("token", "add"): _add_token,
        ("token", "list"): _list_tokens,
        ("token", "revoke"): _revoke_token,
    }[arguments.command, arguments.action]
    action(arguments, database)


def _add_user(arguments: argparse.Namespace, database: Database) -> None:
    _check("name", arguments.name, _NAME, "write letters, digits and . _ @ -, at most 64")
    os_users = arguments.os_user or [DEFAULT_OS_USER]
    _check_os_users(os_users)
    if arguments.team is not None:
        _check("--team", arguments.team, _NAME, "write letters, digits and . _ @ -, at most 64")
    try:
        users.add_user(
            database,
            arguments.name,
            Role(arguments.role),
            arguments.team,
            os_users,
            time.time(),
            ACTOR,
        )
    except Conflict:
        if not arguments.if_missing:
            raise


def _change_user(arguments: argparse.Namespace, database: Database) -> None:
    role = None if arguments.role is None else Role(arguments.role)
    if role is None and arguments.os_user is None and arguments.disabled is None:
        raise ValidationError("user set", "give --role, --os-user, --disable or --enable")
    _check_os_users(arguments.os_user or [])
    try:
        changed = users.change_user(
            database,
            arguments.name,
            time.time(),
            ACTOR,
            role=role,
            os_users=arguments.os_user,
            disabled=arguments.disabled,
        )
    except KeyError as error:
        raise _no_user(arguments.name) from error
    if not changed:
        print("no change")


def _no_user(name: str) -> DcronError:
    return DcronError(f"there is no user {name!a}; make one by: dcron-app user add")


def _check_os_users(names: list[str]) -> None:
    for name in names:
        _check("--os-user", name, _OS_USER, "write an OS user's name, or '*'")


def _check(field: str, value: str, pattern: re.Pattern[str], remedy: str) -> None:
    if pattern.fullmatch(value) is None:
        raise ValidationError(field, f"{value!a} is refused; {remedy}")


def _list_users(_arguments: argparse.Namespace, database: Database) -> None:
    for row in users.list_users(database):
        state = "disabled" if row.disabled else "active"
        print(row.name, row.role, row.team or "-", ",".join(row.os_users), state, sep="\t")


def _add_token(arguments: argparse.Namespace, database: Database) -> None:
    _check("--name", arguments.name, _NAME, "write letters, digits and . _ @ -, at most 64")
    now = time.time()
    expires = None
    if arguments.expires is not None:
        if not 1 <= arguments.expires <= 36_500:
            raise ValidationError("--expires", "write a number of days from 1 to 36500")
        expires = now + arguments.expires * 86_400
    try:
        print(users.add_token(database, arguments.user, arguments.name, expires, now, ACTOR))
    except KeyError as error:
        raise _no_user(arguments.user) from error


def _list_tokens(_arguments: argparse.Namespace, database: Database) -> None:
    for row in users.list_tokens(database):
        dates = (row.created_at, row.expires_at, row.revoked_at, row.last_used_at)
        print(row.id, row.user, row.name, *map(_date, dates), sep="\t")


def _date(at: float | None) -> str:
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _revoke_token(arguments: argparse.Namespace, database: Database) -> None:
    if not users.revoke_token(database, arguments.id, time.time(), ACTOR):
        raise DcronError(f"there is no token {arguments.id} that still holds; see: token list")
