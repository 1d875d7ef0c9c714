"""From a request's JSON to a job that can be stored, or to a Problem that names every field.

Order: types and bounds of all fields (422), what they mean together (422, 413), then what this
user may ask for (403). A change is laid over what is stored and checked as a whole, so that a job
is never what could not have been posted, but for names of secrets that it had before; and who
changes what runs answers for as whom it runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError as PydanticError

from dcron_app.api import text
from dcron_app.api.content import Content, executable_of
from dcron_app.api.errors import forbidden, invalid
from dcron_app.api.fields import JobFields, RunFields, problem_with
from dcron_app.api.ownership import Whose, check_whose
from dcron_app.api.secret_use import Known, check_secrets
from dcron_app.api.services import Settings
from dcron_app.api.steering import steers
from dcron_common.db.editing import differs
from dcron_common.db.jobs import JobRow, NewJob
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
from dcron_common.schedule import ScheduleError, parse

Model = TypeVar("Model", JobFields, RunFields)

MAX_SPEC_BYTES = 256 * 1024  # an assignment must fit a znode with room to spare
MAX_RUN_ARGUMENTS = 16 * 1024  # bytes in all; they stand in ZooKeeper until the run is over


@dataclass(frozen=True, slots=True)
class Accepted:
    """What to store: the job, and its file's bytes (None for a command)."""

    job: NewJob
    file: bytes | None


def check_job(
    body: dict[str, Any],
    user: Principal,
    settings: Settings,
    now: float,
    incarnation: str,
    known: Known,
) -> Accepted:
    """Validate the body of POST /jobs. Problem 422, 413 or 403."""
    fields = _fields(body)
    _check_schedule(fields, settings, now)
    _check_combination(fields)
    _check_new_secrets(fields.secrets, ())
    file = executable_of(fields, settings)
    spec = _spec(fields, Content.of(fields, file), settings, incarnation)
    _check_size(spec)
    _check_rights(fields, user, settings, None)
    check_secrets(fields.secrets, user, known)
    owner = fields.owner or user.name
    return Accepted(NewJob(spec, owner, dict(fields.labels), fields.team or user.team), file)


def check_change(
    row: JobRow,
    body: dict[str, Any],
    user: Principal,
    settings: Settings,
    now: float,
    address: str,
    known: Known,
    *,
    whole: bool = False,
) -> Accepted:
    """Validate the body of PATCH: what it names takes the place of what the job has.

    `whole`: of PUT, where what is not named has its default; but whose the job is stays, since
    that says nothing of what it does. `address`: how a job's file is shown; it stands for the file
    that is there. Problem 422, 413 or 403.
    """
    stored = as_posted(row)
    kept = {name: stored[name] for name in ("owner", "team")} if whole else stored
    fields = _fields({**kept, **body})
    if fields.owner is None:
        raise invalid(("owner", "must be a user's name; leave it out to keep it"))
    new_schedule = fields.schedule != row.schedule
    _check_schedule(fields, settings, now if new_schedule else None)
    _check_combination(fields)
    _check_new_secrets(fields.secrets, stored.get("secrets", ()))
    file, content = None, Content(row.executable, row.sha256)
    if not _keeps_executable(row, body, fields, address):
        file = executable_of(fields, settings)
        content = Content.of(fields, file)
    spec = _spec(fields, content, settings, row.incarnation)
    _check_size(spec)
    new = NewJob(spec, fields.owner, dict(fields.labels), fields.team)
    as_paused = replace(new, spec=replace(spec, paused=bool(row.paused)))
    if differs(row, as_paused):  # whoever may change a job may pause it
        _check_rights(fields, user, settings, JobFields.model_construct(**stored))
        check_secrets(fields.secrets, user, known)  # kept ones too: what runs can tell their values
    return Accepted(new, file)


def as_posted(row: JobRow) -> dict[str, Any]:
    """A stored job as the body of a POST; of a file its key."""
    rest = json.loads(row.spec)
    columns = {name: getattr(row, name) for name in JobFields.model_fields if hasattr(row, name)}
    kept = {name: rest[name] for name in JobFields.model_fields if name in rest}
    return {**columns, **kept, "labels": json.loads(row.labels), "paused": bool(row.paused)}


def _keeps_executable(row: JobRow, body: dict[str, Any], fields: JobFields, address: str) -> bool:
    """Whether the job keeps its text or file. Problem 422 for another type without one."""
    if "executable" not in body:
        if fields.type != row.type:
            raise invalid(("type", "may change only together with executable; give both"))
        return True
    return row.sha256 is not None and fields.type != "command" and fields.executable == address


def check_arguments(row: JobRow, body: dict[str, Any]) -> list[str] | None:
    """Validate the body of POST /jobs/{id}/runs; None: the job's own. Problem 422."""
    arguments = _validated(RunFields, body).arguments
    if arguments is None:
        return None
    if row.type == "command":
        raise invalid(("arguments", "is for scripts and binaries; a command runs as it is"))
    size = sum(len(one.encode()) for one in arguments)
    if size > MAX_RUN_ARGUMENTS:
        message = f"is too long: {size} bytes, {MAX_RUN_ARGUMENTS} are the most for one run"
        raise invalid(("arguments", message))
    return arguments


def check_run_as(run_as: str, user: Principal, settings: Settings) -> None:
    """Whether this user may have something run as that OS user here. Problem 422 or 403."""
    if settings.only_run_as is not None:
        if run_as != settings.only_run_as:
            message = f"must be {settings.only_run_as} here, the user that dcron itself runs as"
            raise invalid(("run_as", message))
    elif not user.may_run_as(run_as):
        raise forbidden(f"the user {user.name} may not run jobs as {run_as}", "run_as")


def _fields(body: dict[str, Any]) -> JobFields:
    return _validated(JobFields, body)


def _validated(model: type[Model], body: dict[str, Any]) -> Model:
    try:
        return model.model_validate(body)
    except PydanticError as error:
        raise problem_with(error) from error


def _check_schedule(fields: JobFields, settings: Settings, now: float | None) -> None:
    """`now` None: a time that is over is taken, since the schedule was accepted before."""
    moment = None if now is None else int(now)
    try:
        parse(fields.schedule, fields.timezone or settings.timezone, now=moment)
    except ScheduleError as error:
        raise invalid((error.field, str(error).removeprefix(f"{error.field}: "))) from error


def _check_combination(fields: JobFields) -> None:
    for number, name in enumerate(fields.secrets):
        if name in fields.secrets[:number]:
            raise invalid((f"secrets[{number}]", f"names {name} again; once is enough"))
        if name in fields.environment:
            message = f"is a secret of this job, too; take {name} out of one of them"
            raise invalid((f"environment.{name}", message))
    if fields.type == "command":
        for name in ("filename", "arguments"):
            if getattr(fields, name):
                raise invalid((name, "is for scripts and binaries; write it into the command"))


def _check_new_secrets(names: Sequence[str], kept: Sequence[str]) -> None:
    """A name that the job had may stay, whatever the list of those that steer says by now."""
    for number, name in enumerate(names):
        try:
            if name not in kept:
                text.new_secret_name(name)
        except ValueError as error:
            raise invalid((f"secrets[{number}]", str(error))) from error


def _spec(fields: JobFields, content: Content, settings: Settings, incarnation: str) -> Spec:
    return Spec(
        job_id=0,
        incarnation=incarnation,
        revision=1,
        type=JobType(fields.type),
        executable=content.executable,
        schedule=_schedule(fields),
        timezone=fields.timezone or settings.timezone,
        effective_from=0,
        name=fields.name,
        sha256=content.sha256,
        filename=fields.filename,
        arguments=tuple(fields.arguments),
        environment=dict(fields.environment),
        working_directory=fields.working_directory,
        secrets=tuple(fields.secrets),
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


def _schedule(fields: JobFields) -> str:
    """As it was written; of a one-shot without blanks around it, by whose beginning it is known."""
    bare = fields.schedule.strip(" \t")
    return bare if bare.startswith("@at") else fields.schedule


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


def _check_rights(
    fields: JobFields, user: Principal, settings: Settings, before: JobFields | None
) -> None:
    """What an admin has set before may stay as it is."""
    check_run_as(_run_as(fields, settings), user, settings)
    stood = None if before is None else Whose(str(before.owner), before.team)
    check_whose(Whose(fields.owner or user.name, fields.team), stood, user)
    if user.role is Role.ADMIN:
        return
    kept = before.environment if before else {}
    for name, value in fields.environment.items():
        if steers(name) and kept.get(name) != value:
            message = f"{name} steers which programs are loaded and run; only an admin may set it"
            raise forbidden(message, f"environment.{name}")
