"""Who asks: bearer tokens. Nothing but the public routes is answered without one."""

from __future__ import annotations

import ipaddress
import logging
import re
from typing import Any

from dcron_app.api.errors import Problem, forbidden
from dcron_app.api.services import Services
from dcron_common.db import users
from dcron_common.db.users import Principal, Role
from dcron_common.errors import DatabaseError

log = logging.getLogger(__name__)

PUBLIC = frozenset({"/health/live", "/health/ready"})
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]{1,256}=*)")
_KEY = "dcron.principal"


def authenticate(services: Services, environ: dict[str, Any]) -> None:
    """Put the request's principal into `environ`; Problem 401 if there is none."""
    if raw_path(environ) in PUBLIC:
        return
    match = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", "").strip())
    if match is None:
        raise _unauthorized("a token is needed: send the header Authorization: Bearer <token>")
    now = services.clock.wall()
    login = users.authenticate(services.database, match[1], now)
    if login is None:
        raise _unauthorized("this token is unknown, expired or revoked")
    environ[_KEY] = login.principal
    try:
        users.touch_token(services.database, login, now)
    except DatabaseError as error:
        # The request is still good: a database that only reads can answer many of them.
        log.warning("a token's use was not noted user=%s: %s", login.principal.name, error)


def _unauthorized(message: str) -> Problem:
    errors = [("Authorization", message)]
    return Problem(
        401, message, errors=errors, headers={"WWW-Authenticate": 'Bearer realm="dcron"'}
    )


def principal(environ: dict[str, Any]) -> Principal:
    """Who makes the request that `authenticate` let in."""
    found: Principal = environ[_KEY]
    return found


def user_name(environ: dict[str, Any]) -> str | None:
    """The name of who makes a request; None if that is not known."""
    found: Principal | None = environ.get(_KEY)
    return None if found is None else found.name


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
    found = principal(environ)
    if not found.may_write:
        raise forbidden(f"the user {found.name} may only read; an operator or admin may do this")
    return found


def admin(environ: dict[str, Any]) -> Principal:
    """The principal, or Problem 403 for one who is no admin."""
    found = principal(environ)
    if found.role is not Role.ADMIN:
        raise forbidden(f"the user {found.name} is no admin; only admins may do this")
    return found
