"""From a request's JSON to a job that can be stored, or to a Problem that names every field.

Order: types and bounds of all fields (422), what they mean together (422, 413), then what this
user may ask for (403).
"""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError as PydanticError

from dcron_app.api import text
from dcron_app.api.errors import Problem, forbidden, invalid
from dcron_app.api.fields import JobFields, field_of, message_of
from dcron_app.api.services import Settings
from dcron_common.db.jobs import NewJob
from dcron_common.db.users import Principal, Role
from dcron_common.job import (
    CatchUp,
    Concurrency,
    JobType,
    Limits,
    OnIsolation,
    OnWorkerLoss,
    Placement,
    Spec,
)
from dcron_common.object_store.contract import executable_key
from dcron_common.schedule import ScheduleError, parse

MAX_SPEC_BYTES = 256 * 1024  # an assignment must fit a znode with room to spare
_MAX_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Accepted:
    """What to store: the job, and its file's bytes (None for a command)."""

    job: NewJob
    file: bytes | None


def check_job(
    body: dict[str, Any], user: Principal, settings: Settings, now: float, incarnation: str
) -> Accepted:
    """Validate the body of POST /jobs. Problem 422, 413 or 403."""
    fields = _fields(body)
    _check_schedule(fields, settings, now)
    _check_combination(fields)
    file = _executable(fields, settings)
    spec = _spec(fields, file, settings, incarnation)
    _check_size(spec)
    _check_rights(fields, user, settings)
    owner = fields.owner or user.name
    return Accepted(NewJob(spec, owner, dict(fields.labels), fields.team or user.team), file)


def _fields(body: dict[str, Any]) -> JobFields:
    try:
        return JobFields.model_validate(body)
    except PydanticError as error:
        found = error.errors(include_url=False, include_input=False)
        pairs = [(field_of(item["loc"]), message_of(dict(item))) for item in found[:_MAX_ERRORS]]
        raise invalid(*pairs) from error


def _check_schedule(fields: JobFields, settings: Settings, now: float) -> None:
    try:
        parse(fields.schedule, fields.timezone or settings.timezone, now=int(now))
    except ScheduleError as error:
        raise invalid((error.field, str(error).removeprefix(f"{error.field}: "))) from error


def _check_combination(fields: JobFields) -> None:
    if fields.secrets:
        raise invalid(("secrets", "names a secret that does not exist; leave it out"))
    if fields.type == "command":
        for name in ("filename", "arguments"):
            if getattr(fields, name):
                raise invalid((name, "is for scripts and binaries; write it into the command"))


def _executable(fields: JobFields, settings: Settings) -> bytes | None:
    """Check the command's text (None), or decode the file."""
    if fields.type == "command":
        _check_command(fields.executable)
        return None
    try:
        data = binascii.a2b_base64(fields.executable, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        message = f"is not BASE64 ({error}); write the output of: base64 -w0 FILE"
        raise invalid(("executable", message)) from error
    if not data:
        raise invalid(("executable", "is empty; a script or binary needs its file as BASE64"))
    if len(data) > settings.max_executable_bytes:
        message = f"has {len(data)} bytes; {settings.max_executable_bytes} are the most"
        raise Problem(413, f"executable {message}", errors=[("executable", message)])
    return data


def _check_command(command: str) -> None:
    try:
        text.line(command)
    except ValueError as error:
        message = f"{error}; for several lines post a script"
        raise invalid(("executable", message)) from error
    if not command.strip():
        raise invalid(("executable", "is empty; write a command such as ls -la"))
    if len(command.encode()) > text.MAX_TEXT_BYTES:
        message = f"is too long; {text.MAX_TEXT_BYTES} bytes are the most, else post a script"
        raise invalid(("executable", message))


def _spec(fields: JobFields, file: bytes | None, settings: Settings, incarnation: str) -> Spec:
    digest = None if file is None else hashlib.sha256(file).hexdigest()
    return Spec(
        job_id=0,
        incarnation=incarnation,
        revision=1,
        type=JobType(fields.type),
        executable=fields.executable if digest is None else executable_key(digest),
        schedule=fields.schedule,
        timezone=fields.timezone or settings.timezone,
        effective_from=0,
        name=fields.name,
        sha256=digest,
        filename=fields.filename,
        arguments=tuple(fields.arguments),
        environment=dict(fields.environment),
        working_directory=fields.working_directory,
        run_as=_run_as(fields, settings),
        concurrency=Concurrency(fields.concurrency),
        timeout_seconds=fields.timeout_seconds,
        retries=fields.retries,
        retry_delay_seconds=fields.retry_delay_seconds,
        starting_deadline_seconds=fields.starting_deadline_seconds,
        catch_up=CatchUp(fields.catch_up),
        on_worker_loss=OnWorkerLoss(fields.on_worker_loss),
        on_isolation=OnIsolation(fields.on_isolation),
        placement=Placement(dict(fields.placement.labels), fields.placement.on),
        limits=Limits(**fields.limits.model_dump()),
        paused=fields.paused,
    )


def _run_as(fields: JobFields, settings: Settings) -> str:
    """As whom the job runs; where only one user is possible, that one is the default."""
    if settings.only_run_as is not None and "run_as" not in fields.model_fields_set:
        return settings.only_run_as
    return fields.run_as


def _check_size(spec: Spec) -> None:
    size = len(spec.encode())
    if size < MAX_SPEC_BYTES:
        return
    texts = {
        "executable": len(spec.executable),
        "arguments": sum(map(len, spec.arguments)),
        "environment": sum(len(name) + len(value) for name, value in spec.environment.items()),
    }
    largest = max(texts, key=lambda name: texts[name])
    raise invalid(
        (largest, f"makes the job too large: {size} bytes, {MAX_SPEC_BYTES} are the most")
    )


def _check_rights(fields: JobFields, user: Principal, settings: Settings) -> None:
    run_as = _run_as(fields, settings)
    if settings.only_run_as is not None:
        if run_as != settings.only_run_as:
            message = f"must be {settings.only_run_as} here, the user that dcron itself runs as"
            raise invalid(("run_as", message))
    elif not user.may_run_as(run_as):
        raise forbidden(f"the user {user.name} may not run jobs as {run_as}", "run_as")
    if user.role is Role.ADMIN:
        return
    if fields.owner not in (None, user.name):
        raise forbidden("only an admin may make another the owner", "owner")
    if fields.team not in (None, user.team):
        raise forbidden("only an admin may name a team that is not the user's own", "team")
    for name in fields.environment:
        if text.steers(name):
            message = f"{name} steers loaders and shells; only an admin may set it"
            raise forbidden(message, f"environment.{name}")
