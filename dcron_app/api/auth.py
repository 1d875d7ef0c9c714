"""Who asks: bearer tokens. Nothing but the public routes is answered without one."""

from __future__ import annotations

import ipaddress
import logging
import re
from typing import Any

from dcron_app.api.errors import Problem, forbidden
from dcron_app.api.outage import Outage
from dcron_app.api.services import Services
from dcron_common.db import tokens
from dcron_common.db.tokens import Login
from dcron_common.db.users import Principal, Role
from dcron_common.errors import DatabaseError

log = logging.getLogger(__name__)

_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]{1,256}=*)")
_KEY = "dcron.login"
NO_MORE = "this token is unknown, expired or revoked"


def authenticate(
    services: Services, outage: Outage, public: re.Pattern[str], environ: dict[str, Any]
) -> None:
    """Put the request's principal into `environ`; Problem 401 if there is none, unless its method
    and path are `public`.

    DatabaseUnavailable: nobody can tell whose token this is. No answer is kept from before: a
    token that was revoked meanwhile must not open anything.
    """
    if public.fullmatch(f"{environ['REQUEST_METHOD']} {raw_path(environ)}"):
        return
    match = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", "").strip())
    if match is None:
        raise unauthorized("a token is needed: send the header Authorization: Bearer <token>")
    now = services.clock.wall()
    with outage.asking():
        known = tokens.authenticate(services.database, match[1], now)
    if known is None:
        raise unauthorized(NO_MORE)
    environ[_KEY] = known
    try:
        tokens.touch_token(services.database, known, now)
    except DatabaseError as error:
        # The request is still good: a database that only reads can answer many of them.
        log.warning("a token's use was not noted user=%s: %s", known.principal.name, error)


def principal_by_now(services: Services, environ: dict[str, Any]) -> Principal | None:
    """Who a request comes from, as what the record says by now; None: its token holds no more.
    For what goes on long after the request was let in. DatabaseError."""
    match = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", "").strip())
    if match is None:
        return None
    found = tokens.authenticate(services.database, match[1], services.clock.wall())
    return None if found is None else found.principal


def unauthorized(message: str, field: str = "Authorization") -> Problem:
    """401: `field` is what the request says about who asks."""
    errors = [(field, message)]
    return Problem(
        401, message, errors=errors, headers={"WWW-Authenticate": 'Bearer realm="dcron"'}
    )


def login(environ: dict[str, Any]) -> Login:
    """The token of the request that `authenticate` let in."""
    found: Login = environ[_KEY]
    return found


def principal(environ: dict[str, Any]) -> Principal:
    """Who makes the request that `authenticate` let in."""
    return login(environ).principal


def user_name(environ: dict[str, Any]) -> str | None:
    """The name of who makes a request; None if that is not known."""
    found: Login | None = environ.get(_KEY)
    return None if found is None else found.principal.name


def peer(environ: dict[str, Any]) -> str:
    """The address that a request comes from, for the log: the load balancer's word, which it puts
    in the place of the client's, else the connection's other end; "unknown" if it is none."""
    for key in ("HTTP_X_FORWARDED_FOR", "REMOTE_ADDR"):
        try:
            return str(ipaddress.ip_address(environ.get(key, "").strip()))
        except ValueError:
            continue
    return "unknown"


def raw_path(environ: dict[str, Any]) -> str:
    """The path as it came, its bytes in Latin-1: bottle drops from its own what is not UTF-8."""
    path: str = environ.get("bottle.raw_path", environ.get("PATH_INFO", ""))
    return path


def writer(environ: dict[str, Any]) -> Principal:
    """The principal, or Problem 403 for one who may only read."""
    found = login(environ)
    if not found.principal.may_write:
        raise _not_allowed(found, "may only read; an operator or admin may do this")
    return found.principal


def admin(environ: dict[str, Any]) -> Principal:
    """The principal, or Problem 403 for one who is no admin."""
    found = login(environ)
    if found.principal.role is not Role.ADMIN:
        raise _not_allowed(found, "is no admin; only admins may do this")
    return found.principal


def _not_allowed(found: Login, message: str) -> Problem:
    """It says whether the user or the token lacks it."""
    user = found.principal
    if found.role is not user.role:
        message = f"has the scope {user.scope}: it {message}"
        return forbidden(f"the token that the user {user.name} came with {message}")
    return forbidden(f"the user {user.name} {message}")
