"""Whose a job or a secret may be made, and by whom. What an admin has set may stay."""

from __future__ import annotations

from typing import NamedTuple

from dcron_app.api.errors import forbidden, invalid
from dcron_common.db import users
from dcron_common.db.connection import Database
from dcron_common.db.users import Principal, Role


class Whose(NamedTuple):
    """The owner, and the team that may do what its owner may."""

    owner: str
    team: str | None


def check_whose(wanted: Whose, before: Whose | None, user: Principal) -> None:
    """Problem 403. `before`: whose it is; None: it is made now. A member of the team may change a
    thing, and neither take it from its owner nor from the team."""
    if user.role is Role.ADMIN:
        return
    if wanted.owner != (before.owner if before else user.name):
        raise forbidden("only an admin may make another the owner", "owner")
    if before is not None and wanted.team == before.team:
        return
    if before is not None and before.owner != user.name:
        raise forbidden("only its owner or an admin may change its team", "team")
    if wanted.team not in (None, *user.teams):
        raise forbidden("only an admin may name a team that is none of the user's own", "team")


def check_owner(database: Database, wanted: str, before: str | None, user: Principal) -> None:
    """Problem 422 for a new owner whom nobody knows: nobody but admins could ever change the thing,
    until somebody is given that name. Who owns it already may stay. Users are never deleted, so
    the answer stays right."""
    if wanted in (before, user.name) or users.get_user(database, wanted) is not None:
        return
    message = f"names nobody: there is no user {wanted}; name another, or have it made first"
    raise invalid(("owner", message))
