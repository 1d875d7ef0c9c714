"""/login and /logout: a token for a name and a password, for some hours.

/login is open to everybody, so each step is bounded: the body, the attempts, the hashing. A refusal
tells nobody whether there is such a user, by its words or its time. With the database away it is
503 at once, like everything else.

Wrong passwords are counted for an address, for a name, and for a name from an address. A count for
a name alone would let anybody shut its user out by guessing wrongly, and no count for it would let
a thousand addresses guess at once. So an address from which a user has lately logged in is no
stranger to that name: there only that name from that address counts, and what others guess from
elsewhere closes nothing. (It is what OWASP has a "device cookie" do, for callers that keep none.)
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
from dcron_common.db import login_places, logins, tokens
from dcron_common.db.login_limits import Subject, subject
from dcron_common.db.tokens import LOGIN, Made

log = logging.getLogger(__name__)

# Failures until one has to wait; five minutes later all are forgotten. An address may be a whole
# office behind one router; it takes several of them to fill the count of a name.
PER_USER_AND_PEER, PER_USER, PER_PEER = 10, 50, 50
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
            made = self._session(fields, peer)
        log.info("logged in user=%s peer=%s token=%d", made.row.user, peer, made.row.id)
        return reply({"token": made.text, "expires_at": instant(made.row.expires_at)})

    def _session(self, fields: LoginFields, peer: str) -> Made:
        services, network = self._services, network_of(peer)
        made = None
        with self._attempts.one(self._subjects(fields.name, network)) as attempt:
            stored = logins.password_of(services.database, fields.name)
            if attempt.matches(stored, fields.password) and stored is not None:
                made = self._begin(fields, stored, network)
            if made is None:
                # A name that nobody has may be a password in the wrong place.
                shown = "-" if stored is None else fields.name
                log.warning("login refused user=%s peer=%s", shown, peer)
                raise auth.unauthorized(_WRONG, "password")
        return made

    def _subjects(self, name: str, network: str) -> list[Subject]:
        """Whose failure it would be."""
        services = self._services
        both = subject("user and peer", f"{network}\0{name}", PER_USER_AND_PEER)
        if login_places.is_known(services.database, name, network, services.clock.wall()):
            return [both]
        peer, user = subject("peer", network, PER_PEER), subject("user", name, PER_USER)
        return [peer, both, user]

    def _begin(self, fields: LoginFields, stored: str, network: str) -> Made | None:
        services = self._services
        renewed = None
        if services.passwords.outdated(stored):
            renewed = services.passwords.hash(fields.password)
        now = services.clock.wall()
        expires = now + services.settings.session_seconds
        return logins.begin_session(
            services.database, fields.name, stored, renewed, expires, now, network=network
        )

    def logout(self) -> HTTPResponse:
        """The token opens nothing from the answer on; what was made in the login stands. Problem
        409 for one that no login gave."""
        self._bodies.nothing(request.environ)
        login = auth.login(request.environ)
        if login.kind != LOGIN:
            raise Problem(
                409,
                f"this token was not given by a login; to end it: DELETE /tokens/{login.token_id}",
            )
        now = self._services.clock.wall()
        tokens.log_out(self._services.database, login.token_id, now, login.principal.name)
        return HTTPResponse(status=204)


def network_of(peer: str) -> str:
    """An address as one customer has it: of IPv6 the /64, which is no more than one of IPv4."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:  # nobody knows who it is: all such are one
        return peer
    if address.version == 4:
        return peer
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
