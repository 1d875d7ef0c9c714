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
from dcron_app.api.etag import MATCH, check_match, etag, wanted_tags
from dcron_app.api.me import hashed
from dcron_app.api.repeating import ONCE, Once
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_common.db import logins, users
from dcron_common.db.idempotency import Kept
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
            Route(
                "POST",
                "/users",
                self.create,
                admin,
                "Make one",
                made,
                body=UserFields,
                headers=ONCE,
            ),
            Route("GET", one, self.show, admin, "One user", shown),
            Route("PATCH", one, self.change, admin, change, shown, body=UserChange, headers=MATCH),
            Route(
                "PUT",
                f"{one}/password",
                self.set_password,
                admin,
                word,
                {204: None},
                body=PasswordFields,
                headers=MATCH,
            ),
        ]

    def index(self) -> HTTPResponse:
        """All users by name."""
        return reply([user_json(one) for one in users.list_users(self._services.database)])

    def show(self, user: str) -> HTTPResponse:
        """One user."""
        return self._shown(user)

    def _shown(
        self, name: str, status: int = 200, headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        row = self._row(name)
        return reply(user_json(row), status, {**etag(row.tag), **(headers or {})})

    def _row(self, name: str) -> UserRow:
        row = users.get_user(self._services.database, name)
        if row is None:
            raise _no_user(name)
        return row

    def create(self) -> HTTPResponse:
        """Problem 409 for a name that is taken."""
        services, actor = self._services, auth.principal(request.environ).name
        body = self._bodies.small(request.environ, BODY)
        fields = checked(UserFields, body)
        # Not the password: what tells requests apart is stored as a digest that is quickly tried.
        told_by = {**body, "password": fields.password is not None}
        once = Once(services, request.environ, told_by)
        headers = {"Location": f"/users/{fields.name}"}

        def shown() -> HTTPResponse:
            return self._shown(fields.name, 201, headers)

        def made() -> HTTPResponse:
            self._make(fields, actor, once)
            return shown()

        return once.answer(made, lambda _: shown())

    def _make(self, fields: UserFields, actor: str, once: Once) -> None:
        services = self._services
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
            along=lambda: once.settle(Kept(answer="")),
        )
        log.info("user made user=%s by=%s", fields.name, actor)

    def change(self, user: str) -> HTTPResponse:
        """Problem 409 where nobody else would be an admin who may come in."""
        services, actor = self._services, auth.principal(request.environ).name
        known = wanted_tags(request.environ)
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
                known=known,
            )
        except KeyError as error:
            raise _no_user(user) from error
        if changed:
            log.info("user changed user=%s by=%s", user, actor)
        return self.show(user)

    def set_password(self, user: str) -> HTTPResponse:
        """The user logs in by it from the answer on, and by no other."""
        services, actor = self._services, auth.principal(request.environ).name
        known = wanted_tags(request.environ)
        fields = checked(PasswordFields, self._bodies.small(request.environ))
        check_match(self._row(user).tag, known)  # before the work of a hash
        new = hashed(services, fields.password)
        now, ends = services.clock.wall(), fields.end_tokens
        logins.set_password(services.database, user, new, now, actor, known=known, end_tokens=ends)
        log.info("password set user=%s by=%s", user, actor)
        return HTTPResponse(status=204)


def _no_user(name: str) -> Problem:
    return Problem(404, f"there is no user {name}")
