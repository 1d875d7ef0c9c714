"""Routes, each with who may use it. There is no other way to add one, so none lacks a decision.

A path is written as OpenAPI does, `/jobs/{job_id}`; what a parameter may be stands in PARAMETERS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from bottle import Bottle, HTTPResponse, request
from pydantic import BaseModel

from dcron_app.api import auth
from dcron_app.api.etag import TAGS
from dcron_app.api.queries import Query, read_query
from dcron_app.api.repeating import BARE, KEY, QUOTED, refuse_key

# Of what matches nothing is made: another path is 404, whatever it holds.
PARAMETERS: Mapping[str, str] = {
    "job_id": "0|[1-9][0-9]{0,17}",
    "run_id": "[0-9A-HJKMNP-TV-Z]{26}",
    "worker": "[A-Za-z0-9._-]{1,64}",
    "user": "[A-Za-z0-9][A-Za-z0-9._@-]{0,63}",
    "token_id": "[1-9][0-9]{0,17}",
    "secret": "[A-Za-z][A-Za-z0-9_]{0,63}",
    "file": "[a-z][a-z0-9-]{0,31}[.](?:html|js|css)",
}
# What request headers may hold, as JSON Schema says it; of those that are not here, any text.
HEADERS: Mapping[str, Mapping[str, Any]] = {
    "If-Match": {"anyOf": [{"const": "*"}, {"pattern": f"^{TAGS}$"}]},
    KEY: {"anyOf": [{"pattern": f"^{BARE}$"}, {"pattern": f"^{QUOTED}$"}]},
}


class Access(Enum):
    """Who may use a route; what a user may do to one object, the handler decides."""

    PUBLIC = "without a token"
    READ = "every user"
    WRITE = "operators and admins"
    ADMIN = "admins"


@dataclass(frozen=True, slots=True)
class Route:
    """`answers`: what comes with each status of success: a type that pydantic knows (JSON), or the
    media type of anything else; None: no body. `query`: read by the handler; None: there is none,
    and any key is refused before the handler is called. `body_optional`: no body stands for `{}`.
    `headers`: request headers beside those of all routes, with what they mean."""

    method: str
    path: str
    handler: Callable[..., HTTPResponse]
    access: Access
    summary: str
    answers: Mapping[int, Any]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    body_optional: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        """The names in the path, in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def rule(self) -> str:
        """The path as bottle has it."""
        rule = self.path
        for name in self.parameters:
            rule = rule.replace(f"{{{name}}}", f"<{name}:re:{PARAMETERS[name]}>")
        return rule


class Resource(Protocol):
    """Some routes that belong together."""

    def routes(self) -> Iterable[Route]:
        """What it answers."""
        ...


def public(routes: Iterable[Route]) -> re.Pattern[str]:
    """What the requests look like that need no token: `METHOD path`. A path alone opens nothing: it
    may have another method that is not for everybody."""
    patterns = {f"{{{name}}}": f"(?:{pattern})" for name, pattern in PARAMETERS.items()}
    rules = []
    for route in routes:
        if route.access is Access.PUBLIC:
            method = "(?:GET|HEAD)" if route.method == "GET" else re.escape(route.method)
            parts = (patterns.get(part, re.escape(part)) for part in route.path.split("/"))
            rules.append(f"{method} {'/'.join(parts)}")
    return re.compile("|".join(rules))


def install(app: Bottle, routes: Iterable[Route]) -> None:
    """Have bottle serve them."""
    for route in routes:
        app.route(route.rule, route.method, _checked(route))


def _checked(route: Route) -> Callable[..., HTTPResponse]:
    def checked(**arguments: str) -> HTTPResponse:
        if route.access is Access.WRITE:
            auth.writer(request.environ)
        elif route.access is Access.ADMIN:
            auth.admin(request.environ)
        if route.method == "POST" and KEY not in route.headers:
            refuse_key(request.environ)
        if route.query is None:
            read_query(Query)  # which has no key: `?dry_run=true` must not be passed over
        return route.handler(**arguments)

    return checked
