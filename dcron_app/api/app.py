"""The WSGI application: routes, and what holds for all of them.

The order of refusals: 401 before anything else is told, then 404 and 405, 403 for those who may
only read, 411, 413, 415, 503 where no place for a large body is free, 408, 400, 422, and 403 for
what a user may not ask for. Every 401, 403 and 429 is logged: who tries doors is to be seen.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from bottle import BaseRequest, Bottle, HTTPError, HTTPResponse, request, response

from dcron_app.api.audit import AuditResource
from dcron_app.api.auth import authenticate, peer, raw_path, user_name
from dcron_app.api.body import body_limit
from dcron_app.api.cluster import Cluster
from dcron_app.api.description import Description
from dcron_app.api.errors import Problem, problem_of
from dcron_app.api.health import Health
from dcron_app.api.job_changes import JobChanges
from dcron_app.api.job_lists import JobLists
from dcron_app.api.jobs import Jobs
from dcron_app.api.logins import Logins
from dcron_app.api.many_jobs import ManyJobs
from dcron_app.api.me import Me
from dcron_app.api.outage import Outage
from dcron_app.api.outputs import Outputs
from dcron_app.api.reply import whole
from dcron_app.api.routes import Resource, Route, install, public
from dcron_app.api.run_lists import RunLists
from dcron_app.api.runs import Runs
from dcron_app.api.schedule import ScheduleResource
from dcron_app.api.secrets import Secrets
from dcron_app.api.services import Services
from dcron_app.api.static import Static
from dcron_app.api.tokens import Tokens
from dcron_app.api.users import Users
from dcron_app.api.workers import Workers
from dcron_common.db.tokens import PREFIX
from dcron_common.errors import DcronError

log = logging.getLogger(__name__)

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_NOTHING = "there is nothing here; see docs/api.md for the paths"
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{8,}}")
_SHOWN = 200  # characters of a path in a log line

_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Strict-Transport-Security", "max-age=31536000"),  # browsers heed it over TLS only
]


def build(services: Services) -> Wsgi:
    """The application, ready for a WSGI server. It changes nothing outside `services`."""
    app = Bottle()
    # Whoever reads a body by bottle's own means gets the same bound as by ours (`Bodies`).
    BaseRequest.MEMFILE_MAX = body_limit(services.settings.max_executable_bytes)
    app.default_error_handler = _from_bottle
    outage = Outage(services.clock)
    routes = all_routes(services)
    open_to_all = public(routes)
    app.add_hook("before_request", lambda: _admit(services, outage, open_to_all))
    app.install(_guarded)
    install(app, routes)
    return _with_headers(app)


def all_routes(services: Services) -> list[Route]:
    """Everything that is answered, the description of it included: of all but the static files."""
    resources: list[Resource] = [
        JobLists(services),
        Jobs(services),
        JobChanges(services),
        ManyJobs(services),
        Outputs(services),
        Runs(services),
        RunLists(services),
        Workers(services),
        Secrets(services),
        Cluster(services),
        ScheduleResource(services),
        Logins(services),
        Me(services),
        Users(services),
        Tokens(services),
        AuditResource(services),
        Health(services),
    ]
    routes = [route for resource in resources for route in resource.routes()]
    return [*routes, *Description(routes).routes(), *Static().routes()]


def _admit(services: Services, outage: Outage, open_to_all: re.Pattern[str]) -> None:
    try:
        authenticate(services, outage, open_to_all, request.environ)
        if not _is_readable(raw_path(request.environ)):
            raise Problem(404, _NOTHING)
    except DcronError as error:
        raise _answer(error) from error


def _is_readable(raw: str) -> bool:
    """Whether a path, its bytes in Latin-1 as WSGI has it, is UTF-8 without control characters.

    bottle drops what is not, and its patterns take a newline at their end: one job, many names.
    """
    try:
        return raw.encode("latin-1").decode().isprintable()
    except UnicodeError:
        return False


def _answer(error: DcronError) -> HTTPResponse:
    """The answer to an error; 401, 403 and 429 are logged, without the query and without tokens."""
    problem = problem_of(error, admitted=user_name(request.environ) is not None)
    if problem.status in (401, 403, 429):
        environ = request.environ
        path = _TOKEN.sub("***", raw_path(environ))[:_SHOWN]
        log.warning(
            "refused status=%d peer=%s user=%s method=%a path=%a",
            problem.status,
            peer(environ),
            user_name(environ) or "-",
            request.method[:16],
            path,
        )
    return problem.response()


def _guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Bottle's plugin: what a handler raises becomes an answer."""

    def guarded(**arguments: str) -> Any:
        try:
            return handler(**arguments)
        except HTTPResponse:
            raise
        except DcronError as error:
            raise _answer(error) from error
        except Exception:  # the top of a request: the client gets no detail, the log all
            log.exception("request failed method=%s path=%s", request.method, request.path)
            raise Problem(500, "the server failed; its log says why").response() from None

    return guarded


def _from_bottle(error: HTTPError) -> str:
    """Bottle's own errors, that is unknown paths and methods, in our form."""
    details = {
        404: _NOTHING,
        405: f"this method is not for this path; use {error.headers.get('Allow')}",
    }
    if error.status_code >= 500:
        log.error("request failed: %s\n%s", error.body, error.traceback)
    detail = details.get(error.status_code, "the server could not read this request")
    made = Problem(error.status_code, detail).response()
    response.content_type = made.headers["Content-Type"]
    return str(made.body)


def _with_headers(app: Wsgi) -> Wsgi:
    """Every answer carries the security headers, whoever made it; one that it has itself counts."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            own = {name.lower() for name, _ in headers}
            added = [each for each in _HEADERS if each[0].lower() not in own]
            return start_response(status, [*headers, *added], *rest)

        return whole(environ, app(environ, start))

    return wrapped
