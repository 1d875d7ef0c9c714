"""/login and /logout: a token for a name and a password, for some hours.

/login is open to everybody, so each step is bounded: the body, the attempts of a name and of an
address, the hashing. A refusal tells nobody whether there is such a user, by its words or its time.
With the database away it is 503 at once, like everything else.
"""

from __future__ import annotations

import ipaddress
import logging

from bottle import HTTPResponse, request

from dcron_app.api import auth
from dcron_app.api.accounts import LoginFields, SessionShape, checked
from dcron_app.api.attempts import Attempts
from dcron_app.api.body import Bodies
from dcron_app.api.errors import Problem
from dcron_app.api.outage import Outage
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.serialize import instant
from dcron_app.api.services import Services
from dcron_common.db import logins, tokens
from dcron_common.db.login_limits import Subject, subject
from dcron_common.db.tokens import LOGIN, Made

log = logging.getLogger(__name__)

# Failures in five minutes. An address may be a whole office behind one router.
PER_USER, PER_PEER = 10, 50
_WRONG = "the name or the password is wrong"


class Logins:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)
        self._attempts = Attempts(services)
        self._outage = Outage(services.clock)
        services.passwords.prepare()

    def routes(self) -> list[Route]:
        """What it answers."""
        shown, gone = {200: SessionShape}, {204: None}
        public, read = Access.PUBLIC, Access.READ
        return [
            Route("POST", "/login", self.login, public, "Log in", shown, body=LoginFields),
            Route("POST", "/logout", self.logout, read, "End the login that this came with", gone),
        ]

    def login(self) -> HTTPResponse:
        """A session's token. Problem 401, 429."""
        fields = checked(LoginFields, self._bodies.small(request.environ))
        peer = auth.peer(request.environ)
        with self._outage.asking():
            subjects = [subject("peer", network_of(peer), PER_PEER), user_subject(fields.name)]
            made = self._session(fields, subjects, peer)
        log.info("logged in user=%s peer=%s token=%d", made.row.user, peer, made.row.id)
        return reply({"token": made.text, "expires_at": instant(made.row.expires_at)})

    def _session(self, fields: LoginFields, subjects: list[Subject], peer: str) -> Made:
        services = self._services
        made = None
        with self._attempts.one(subjects) as attempt:
            stored = logins.password_of(services.database, fields.name)
            if services.passwords.matches(stored, fields.password) and stored is not None:
                made = self._begin(fields, stored)
            if made is None:
                # A name that nobody has may be a password in the wrong place.
                shown = "-" if stored is None else fields.name
                log.warning("login refused user=%s peer=%s", shown, peer)
                raise auth.unauthorized(_WRONG, "password")
            attempt.succeeded()
        return made

    def _begin(self, fields: LoginFields, stored: str) -> Made | None:
        services = self._services
        renewed = None
        if services.passwords.outdated(stored):
            renewed = services.passwords.hash(fields.password)
        now = services.clock.wall()
        expires = now + services.settings.session_seconds
        return logins.begin_session(services.database, fields.name, stored, renewed, expires, now)

    def logout(self) -> HTTPResponse:
        """The token opens nothing from the answer on. Problem 409 for one that no login gave."""
        self._bodies.nothing(request.environ)
        login = auth.login(request.environ)
        if login.kind != LOGIN:
            raise Problem(
                409,
                f"this token was not given by a login; to end it: DELETE /tokens/{login.token_id}",
            )
        now = self._services.clock.wall()
        tokens.revoke_token(self._services.database, login.token_id, now, login.principal.name)
        return HTTPResponse(status=204)


def user_subject(name: str) -> Subject:
    """Who is counted for a name."""
    return subject("user", name, PER_USER)


def network_of(peer: str) -> str:
    """An address as one customer has it: of IPv6 the /64, which is no more than one of IPv4."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:  # nobody knows who it is: all such are one
        return peer
    if address.version == 4:
        return peer
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
