"""/tokens: everybody's own; those of others are for admins.

No token makes, replaces or ends one that may do more than itself: who holds a token for reading can
do nothing but read by it, for as long as it lives. What was made with a token ends with it
(`dcron_common.db.lineage`), so that who stole one is shut out by its revocation.
"""

from __future__ import annotations

import logging

from bottle import HTTPResponse, request

from dcron_app.api import auth
from dcron_app.api.accounts import (
    Account,
    MadeTokenShape,
    RotateFields,
    TokenFields,
    TokenShape,
    checked,
    token_json,
)
from dcron_app.api.body import Bodies
from dcron_app.api.errors import Problem, forbidden, invalid
from dcron_app.api.queries import Query, read_query
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.services import Services
from dcron_common.db import tokens, users
from dcron_common.db.tokens import LOGIN, Login, Made, TokenRow
from dcron_common.db.users import Principal, Role, Scope

log = logging.getLogger(__name__)

_DAY = 86_400


class TokensQuery(Query):
    """Those of one user; an admin gets everybody's if it is left out."""

    user: Account | None = None


class Tokens:
    """The resource."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)

    def routes(self) -> list[Route]:
        """What it answers."""
        one, read = "/tokens/{token_id}", Access.READ
        listed, made = {200: list[TokenShape]}, {201: MadeTokenShape}
        return [
            Route("GET", "/tokens", self.index, read, "Own tokens", listed, TokensQuery),
            Route("POST", "/tokens", self.create, read, "Make one", made, body=TokenFields),
            Route(
                "POST",
                f"{one}/rotate",
                self.rotate,
                read,
                "A new token in place of this one",
                made,
                body=RotateFields,
                body_optional=True,
            ),
            Route(
                "DELETE",
                one,
                self.revoke,
                read,
                "End it for good, and all that was made with it",
                {200: TokenShape},
            ),
        ]

    def index(self) -> HTTPResponse:
        """In the order of their making; Problem 403 for those of others."""
        user, wanted = auth.principal(request.environ), read_query(TokensQuery).user
        if user.role is not Role.ADMIN:
            if wanted not in (None, user.name):
                raise forbidden("the tokens of others are for admins", "user")
            wanted = user.name
        rows = tokens.list_tokens(self._services.database, wanted)
        return reply([token_json(row) for row in rows])

    def create(self) -> HTTPResponse:
        """Problem 403 for others' and for more than the present token may do, 409 where the user
        has as many as may be."""
        services, user = self._services, auth.principal(request.environ)
        fields = checked(TokenFields, self._bodies.small(request.environ))
        owner = fields.user or user.name
        if owner != user.name and user.role is not Role.ADMIN:
            raise forbidden("only an admin makes tokens of others", "user")
        scope = self._scope(fields, owner, user)
        now = services.clock.wall()
        days = fields.expires_in_days
        expires = None if days is None else now + days * _DAY
        present = auth.login(request.environ)
        last = _last(present)
        if last is not None and days is None:
            expires = last
        _check_lasting(last, expires, "expires_in_days")
        made = tokens.add_token(
            services.database,
            owner,
            fields.name,
            expires,
            now,
            user.name,
            scope=scope,
            present=present.token_id,
        )
        log.info("token made token=%d user=%s by=%s", made.row.id, owner, user.name)
        return _shown(made)

    def _scope(self, fields: TokenFields, owner: str, user: Principal) -> Scope:
        row = users.get_user(self._services.database, owner)
        if row is None:
            raise invalid(("user", "names nobody"))
        if fields.scope is not None:
            scope = Scope(fields.scope)
            if not scope.within(user.scope):
                raise forbidden(_too_much(user, scope), "scope")
            return scope
        needed = Scope.of_role(row.role)
        return needed if needed.within(user.scope) else user.scope

    def rotate(self, token_id: str) -> HTTPResponse:
        """Problem 404 for those of others, 409 for one that is over, 403 for one that may do more
        than the present token."""
        services, user = self._services, auth.principal(request.environ)
        body = self._bodies.small(request.environ, optional=True)
        grace = checked(RotateFields, body).grace_seconds
        old, now = self._row(token_id, user), services.clock.wall()
        if old.kind == LOGIN:
            raise Problem(409, f"token {token_id} was given by a login: log in again instead")
        present = auth.login(request.environ)
        if old.id != present.token_id:
            _check_lasting(_last(present), old.expires_at)
        made = tokens.rotate_token(
            services.database, old, grace, now, user.name, present=present.token_id
        )
        if made is None:
            raise Problem(409, f"token {token_id} is over or was replaced: make another one")
        log.info("token rotated token=%d to=%d by=%s", old.id, made.row.id, user.name)
        return _shown(made)

    def revoke(self, token_id: str) -> HTTPResponse:
        """It and what was made with it open nothing from the answer on; again: the same answer."""
        services, user = self._services, auth.principal(request.environ)
        row, now = self._row(token_id, user), services.clock.wall()
        for ended in tokens.revoke_token(services.database, row.id, now, user.name):
            log.info("token revoked token=%d with=%d by=%s", ended, row.id, user.name)
        return reply(token_json(self._row(token_id, user)))

    def _row(self, token_id: str, user: Principal) -> TokenRow:
        """A token that this user may end. For others than admins those of others are as good as
        not there."""
        row = tokens.get_token(self._services.database, int(token_id))
        if row is None or (row.user != user.name and user.role is not Role.ADMIN):
            raise Problem(404, f"there is no token {token_id} of yours")
        if not Scope(row.scope).within(user.scope):
            raise forbidden(_too_much(user, Scope(row.scope)))
        return row


def _too_much(user: Principal, scope: Scope) -> str:
    return f"a token of the scope {user.scope} does not reach one of the scope {scope}"


def _last(present: Login) -> float | None:
    """Until when what the present token makes may last at most; None: without an end. Logins are
    where tokens come from; a token that ends shall not live on in others."""
    return None if present.kind == LOGIN else present.expires_at


def _check_lasting(last: float | None, expires: float | None, field: str = "") -> None:
    if last is not None and (expires is None or expires > last):
        raise forbidden("a token gives none that lasts longer than itself; log in for it", field)


def _shown(made: Made) -> HTTPResponse:
    return reply({**token_json(made.row), "token": made.text}, 201)
