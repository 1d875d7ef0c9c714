"""/me: who asks; the own password."""

from __future__ import annotations

import logging
from typing import Any

from bottle import HTTPResponse, request

from dcron_app.api import auth
from dcron_app.api.accounts import BODY, MeShape, OwnPasswordFields, checked
from dcron_app.api.attempts import Attempts
from dcron_app.api.body import Bodies
from dcron_app.api.errors import Problem, forbidden, unavailable
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.serialize import instant
from dcron_app.api.services import Services
from dcron_app.passwords import Busy
from dcron_common.db import logins
from dcron_common.db.login_limits import subject
from dcron_common.db.tokens import LOGIN

log = logging.getLogger(__name__)

# Wrong old passwords until one has to wait. They are counted apart from logins, and each login
# apart from other tokens: a stolen token keeps nobody from logging in and setting another password.
_OWN_PASSWORD = 5


class Me:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)
        self._attempts = Attempts(services)

    def routes(self) -> list[Route]:
        """What it answers."""
        read, shown = Access.READ, {200: MeShape}
        return [
            Route("GET", "/me", self.show, read, "Who asks", shown),
            Route(
                "PUT",
                "/me/password",
                self.set_password,
                read,
                "Change the own password; all own logins end",
                {204: None},
                body=OwnPasswordFields,
            ),
        ]

    def show(self) -> HTTPResponse:
        """The user and the token."""
        login = auth.login(request.environ)
        user = login.principal
        shown: dict[str, Any] = {
            "name": user.name,
            "role": login.role.value,
            "teams": user.teams,
            "os_users": user.os_users,
            "scope": user.scope.value,
            "token_id": str(login.token_id),
            "token_kind": login.kind,
            "expires_at": instant(login.expires_at),
        }
        return reply(shown)

    def set_password(self) -> HTTPResponse:
        """Problem 403 for a wrong old one, 409 where there is none to change."""
        services, login = self._services, auth.login(request.environ)
        name = login.principal.name
        fields = checked(OwnPasswordFields, self._bodies.small(request.environ, BODY))
        stored = logins.password_of(services.database, name)
        if stored is None:
            raise Problem(409, f"the user {name} has no password yet; ask an admin to set one")
        who = f"{name}\0{login.token_id}" if login.kind == LOGIN else name
        with self._attempts.one([subject("own", who, _OWN_PASSWORD)]) as attempt:
            if not attempt.matches(stored, fields.old):
                raise forbidden("this is not the password until now", "old")
        new, now = hashed(services, fields.new), services.clock.wall()
        ends = fields.end_tokens
        if not logins.set_password(
            services.database, name, new, now, name, checked=stored, end_tokens=ends
        ):
            raise Problem(409, "the password was changed meanwhile")
        log.info("password changed user=%s", name)
        return HTTPResponse(status=204)


def hashed(services: Services, password: str) -> str:
    """What is stored of a password. Problem 503 where others take too long."""
    try:
        return services.passwords.hash(password)
    except Busy as error:
        raise unavailable(str(error)) from error
