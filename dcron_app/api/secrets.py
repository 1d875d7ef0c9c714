"""/secrets: values that jobs get in their environment. They are written, and never shown."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bottle import HTTPResponse, request
from pydantic import ValidationError as PydanticError

from dcron_app.api import auth, text
from dcron_app.api.body import Bodies
from dcron_app.api.errors import Problem, forbidden, invalid, unavailable
from dcron_app.api.etag import MATCH, check_absent, check_match, etag, wanted_tags
from dcron_app.api.fields import SecretFields, problem_with
from dcron_app.api.ownership import Whose, check_owner, check_whose
from dcron_app.api.reply import reply
from dcron_app.api.routes import Access, Route
from dcron_app.api.serialize import secret_json
from dcron_app.api.services import Services
from dcron_app.api.shapes import SecretShape
from dcron_common.db import secrets
from dcron_common.db.secrets import NewSecret, SecretRow
from dcron_common.db.users import Principal
from dcron_common.ids import ulid

log = logging.getLogger(__name__)

_TRIES = 5  # of a change that others get in before


class Secrets:
    """The resource. Values are encrypted before anything else sees them."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._bodies = Bodies(services)

    def routes(self) -> list[Route]:
        """What it answers."""
        one, write = "/secrets/{secret}", Access.WRITE
        listed = {200: list[SecretShape]}
        shown, gone = {200: SecretShape}, {204: None}
        put = {**shown, 201: SecretShape}
        return [
            Route("GET", "/secrets", self.index, Access.READ, "All secrets, but no value", listed),
            Route("GET", one, self.show, Access.READ, "One secret, but no value", shown),
            Route(
                "PUT", one, self.put, write, "Write a value", put, body=SecretFields, headers=MATCH
            ),
            Route("DELETE", one, self.remove, write, "Remove it for good", gone, headers=MATCH),
        ]

    def index(self) -> HTTPResponse:
        """Names, whose they are, and how often they are used."""
        found = secrets.list_secrets(self._services.database)
        return reply([secret_json(row, jobs) for row, jobs in found])

    def show(self, secret: str) -> HTTPResponse:
        """One, as the list has it."""
        return self._shown(self._there(secret))

    def _shown(self, row: SecretRow, status: int = 200) -> HTTPResponse:
        jobs = secrets.count_jobs(self._services.database, row.name)
        return reply(secret_json(row, jobs), status, etag(row.version))

    def put(self, secret: str) -> HTTPResponse:
        """Make it, or give it a value; workers have that within seconds."""
        user, known = auth.principal(request.environ), wanted_tags(request.environ)
        _check_name(secret, text.secret_name)
        with self._bodies.json(request.environ) as body:
            try:
                fields = SecretFields.model_validate(body)
            except PydanticError as error:
                raise problem_with(error) from None  # its cause holds the value
        for _ in range(_TRIES):
            before = self._row(secret)
            if before is None:
                _check_name(secret, text.new_secret_name)
                check_absent(request.environ, "secret of this name")
            made = self._written(secret, before, fields, user, known)
            if made is not None:
                log.info("secret written secret=%s revision=%d user=%s", *_said(made, user))
                return self._shown(made, 201 if made.revision == 1 else 200)
        raise unavailable("others change this secret all the time; ask again")

    def _written(
        self,
        name: str,
        before: SecretRow | None,
        fields: SecretFields,
        user: Principal,
        known: list[str] | None,
    ) -> SecretRow | None:
        """None where somebody else has changed it meanwhile."""
        if before is not None:
            _check_may_change(before, user)
            check_match(before.version, known)
        owner = fields.owner or (before.owner if before else user.name)
        team = before.team if before else user.team
        if "team" in fields.model_fields_set:
            team = fields.team
        stood = None if before is None else Whose(before.owner, before.team)
        check_whose(Whose(owner, team), stood, user)
        check_owner(self._services.database, owner, stood and stood.owner, user)
        now = self._services.clock.wall()
        value = self._services.ring.encrypt(name, fields.value)
        new = NewSecret(name, owner, team, ulid(now), value)
        return secrets.put_secret(self._services.database, before, new, now, user.name)

    def remove(self, secret: str) -> HTTPResponse:
        """Remove one that no live job names."""
        user, known = auth.principal(request.environ), wanted_tags(request.environ)
        for _ in range(_TRIES):
            row = self._there(secret)
            _check_may_change(row, user)
            check_match(row.version, known)
            now = self._services.clock.wall()
            if secrets.remove_secret(self._services.database, row, now, user.name):
                log.info("secret removed secret=%s revision=%d user=%s", *_said(row, user))
                return HTTPResponse(status=204)
        raise unavailable("others change this secret all the time; ask again")

    def _there(self, name: str) -> SecretRow:
        row = self._row(name)
        if row is None:
            raise Problem(404, f"there is no secret {name}")
        return row

    def _row(self, name: str) -> SecretRow | None:
        return secrets.get_secrets(self._services.database, [name]).get(name)


def _said(row: SecretRow, user: Principal) -> tuple[str, int, str]:
    return row.name, row.revision, user.name


def _check_name(name: str, check: Callable[[str], str]) -> None:
    try:
        check(name)
    except ValueError as error:
        raise invalid(("secret", str(error))) from error


def _check_may_change(row: SecretRow, user: Principal) -> None:
    if not user.may_change(row.owner, row.team):
        raise forbidden(
            f"secret {row.name} belongs to {row.owner}: only its owner, its team and admins may "
            "do this"
        )
