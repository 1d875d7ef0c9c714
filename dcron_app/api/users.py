"""/users: for admins. Nobody is ever deleted, for the audit names them: disable instead."""

from __future__ import annotations

import logging

from bottle import HTTPResponse, request

from dcron_app.api import auth
from dcron_app.api.accounts import (
    BODY,
    PasswordFields,
    UserChange,
    UserFields,
    UserShape,
    checked,
    user_json,
)
from dcron_app.api.body import Bodies
from dcron_app.api.errors import Problem
from dcron_app.api.me import hashed
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_common.db import logins, users
from dcron_common.db.users import Role, UserRow

log = logging.getLogger(__name__)


class Users:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)

    def routes(self) -> list[Route]:
        """What it answers."""
        one, admin = "/users/{user}", Access.ADMIN
        shown, made, listed = {200: UserShape}, {201: UserShape}, {200: list[UserShape]}
        change, word = "Change what is given", "Set a user's password; the user's logins end"
        return [
            Route("GET", "/users", self.index, admin, "All users by name", listed),
            Route("POST", "/users", self.create, admin, "Make one", made, body=UserFields),
            Route("GET", one, self.show, admin, "One user", shown),
            Route("PATCH", one, self.change, admin, change, shown, body=UserChange),
            Route(
                "PUT",
                f"{one}/password",
                self.set_password,
                admin,
                word,
                {204: None},
                body=PasswordFields,
            ),
        ]

    def index(self) -> HTTPResponse:
        """All users by name."""
        return reply([user_json(one) for one in users.list_users(self._services.database)])

    def show(self, user: str) -> HTTPResponse:
        """One user."""
        return reply(user_json(self._row(user)))

    def _row(self, name: str) -> UserRow:
        row = users.get_user(self._services.database, name)
        if row is None:
            raise _no_user(name)
        return row

    def create(self) -> HTTPResponse:
        """Problem 409 for a name that is taken."""
        services, actor = self._services, auth.principal(request.environ).name
        fields = checked(UserFields, self._bodies.small(request.environ, BODY))
        password = None if fields.password is None else hashed(services, fields.password)
        users.add_user(
            services.database,
            fields.name,
            Role(fields.role),
            fields.teams,
            fields.os_users,
            services.clock.wall(),
            actor,
            password=password,
        )
        log.info("user made user=%s by=%s", fields.name, actor)
        headers = {"Location": f"/users/{fields.name}"}
        return reply(user_json(self._row(fields.name)), 201, headers)

    def change(self, user: str) -> HTTPResponse:
        """Problem 409 where nobody else would be an admin who may come in."""
        services, actor = self._services, auth.principal(request.environ).name
        fields = checked(UserChange, self._bodies.small(request.environ, BODY))
        now = services.clock.wall()
        try:
            changed = users.change_user(
                services.database,
                user,
                now,
                actor,
                role=None if fields.role is None else Role(fields.role),
                teams=fields.teams,
                os_users=fields.os_users,
                disabled=fields.disabled,
            )
        except KeyError as error:
            raise _no_user(user) from error
        if changed:
            log.info("user changed user=%s by=%s", user, actor)
        return self.show(user)

    def set_password(self, user: str) -> HTTPResponse:
        """The user logs in by it from the answer on, and by no other."""
        services, actor = self._services, auth.principal(request.environ).name
        fields = checked(PasswordFields, self._bodies.small(request.environ))
        self._row(user)
        new = hashed(services, fields.password)
        now, ends = services.clock.wall(), fields.end_tokens
        logins.set_password(services.database, user, new, now, actor, end_tokens=ends)
        log.info("password set user=%s by=%s", user, actor)
        return HTTPResponse(status=204)


def _no_user(name: str) -> Problem:
    return Problem(404, f"there is no user {name}")
