"""The steps of `dcron apply`, asked of the cluster and done there.

The cluster says itself what each job would become, and whether one may be removed (dry runs), so
that defaults and refusals are its own. What is forbidden to this user does not hold up the rest.
Without an answer, or without a good token, nothing more is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcron_cli.client import Client, path
from dcron_cli.described import taken
from dcron_cli.errors import (
    CliError,
    LoggedOut,
    NotAllowed,
    NotFound,
    Outdated,
    Unreachable,
    kind_of,
)
from dcron_cli.jobfile import Wanted
from dcron_cli.lookup import etag
from dcron_cli.plan import Kind, Step, compared, prunable
from dcron_cli.progress import counted

_DRY = {"dry_run": "true"}
_TRIES = 3  # to plan the removal of a job that others change


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step. `error`: why it is not done."""

    step: Step
    error: CliError | None = None

    def json(self) -> dict[str, Any]:
        """For programs: the step, and what became of it."""
        if self.error is None:
            return {**self.step.json(), "result": "done"}
        return {**self.step.json(), "result": "failed", "reason": self.error.message}


def planned(
    client: Client,
    wanted: Sequence[Wanted],
    present: Sequence[dict[str, Any]],
    prune: Mapping[str, str] | None,
) -> list[Step]:
    """A step for each wanted job, and for each that shall go: those with the labels of `prune` that
    are not wanted; None: none. CliError names every job of the file that is refused; then nothing
    may be done."""
    unwanted = [] if prune is None else prunable(present, prune, wanted)
    if unwanted:
        _check_tries_removals(client)
    by_name = {job["name"]: job for job in present if job["name"] is not None}
    steps: list[Step] = []
    refused: list[tuple[str, str]] = []
    meant: list[Wanted | dict[str, Any]] = [*wanted, *unwanted]
    with counted("planning", meant) as each:
        for one in each:
            there = by_name.get(one.name) if isinstance(one, Wanted) else one
            name = one.name if isinstance(one, Wanted) else str(one["name"])
            try:
                if isinstance(one, Wanted):
                    steps.append(_tried(client, one, there))
                else:
                    steps += _removal(client, one, lambda job: prunable([job], prune or {}, wanted))
            except (LoggedOut, Unreachable):
                raise
            except NotAllowed as error:
                steps.append(Step(Kind.FORBIDDEN, name, present=there, reason=error.message))
            except CliError as error:
                where = one.where if isinstance(one, Wanted) else None
                refused += _lines(name, error, where)
    if refused:
        raise CliError("the cluster refuses this file, and nothing was done", refused)
    return steps


def _tried(client: Client, one: Wanted, there: dict[str, Any] | None) -> Step:
    """What the cluster says that it would do."""
    body = one.body(there)
    after = client.ask("PUT", "/jobs", body, params={"name": one.name, **_DRY}).json
    return compared(one, body, there, after)


def _check_tries_removals(client: Client) -> None:
    """CliError where the cluster knows no dry run of a removal: an earlier release would take no
    notice of it, and remove the job."""
    if ("query", "dry_run") not in taken(client, "DELETE", "/jobs/{job_id}"):
        raise CliError(
            "the cluster's dcron is older and cannot say beforehand what it would remove, so "
            "nothing was done: upgrade the cluster first, or apply without --prune"
        )


def _removal(
    client: Client, job: dict[str, Any], unwanted: Callable[[dict[str, Any]], object]
) -> list[Step]:
    """The step that removes a job, as it is by now where somebody has changed it meanwhile; none
    where it is gone, or not `unwanted` any more. One that changes all the time is planned as it was
    read last: it is not removed if it has changed again then."""
    where = path("jobs", job["id"])
    try:
        for _ in range(_TRIES):
            try:
                client.ask("DELETE", where, params=_DRY, headers=etag(job))
                break
            except Outdated:
                job = dict(client.get(where))
                if not unwanted(job):
                    return []
    except NotFound:
        return []
    return [Step(Kind.REMOVE, str(job["name"]), None, job)]


def _lines(
    name: str, error: CliError, where: Callable[[str], str] | None = None
) -> list[tuple[str, str]]:
    """The fields of an error as the file has them; `where`: the place of a key in it."""
    at = where or (lambda key: f"{name}: {key}" if key else name)
    return [(at(field), why) for field, why in error.fields] or [(at(""), error.message)]


def carry_out(client: Client, steps: Sequence[Step]) -> list[Outcome]:
    """Do every step, whatever becomes of the others; the last is the one that made it stop."""
    done: list[Outcome] = []
    with counted("applying", steps) as each:
        for step in each:
            try:
                _do(client, step)
                done.append(Outcome(step))
            except (LoggedOut, Unreachable) as error:
                return [*done, Outcome(step, error)]
            except CliError as error:
                done.append(Outcome(step, error))
    return done


def _do(client: Client, step: Step) -> None:
    if step.kind is Kind.CREATE:
        # Not an upsert: a job that somebody made by this name in between is a conflict.
        client.post_once("/jobs", step.body)
        return
    assert step.present is not None  # noqa: S101 - for the types: only new jobs have none
    match = etag(step.present)
    if step.kind is Kind.REMOVE:
        client.ask("DELETE", path("jobs", step.present["id"]), headers=match)
    else:
        client.ask("PUT", "/jobs", step.body, params={"name": step.name}, headers=match)


def verdict(
    steps: Iterable[Step], todo: Sequence[Step], done: Sequence[Outcome]
) -> CliError | None:
    """What a command ends with that had to do `todo`; None: with nothing that failed. `done` is
    empty for a plan only."""
    forbidden = [step for step in steps if step.kind is Kind.FORBIDDEN]
    failed = [(one.step.name, one.error) for one in done if one.error is not None]
    if not forbidden and not failed:
        return None
    told = [(step.name, str(step.reason)) for step in forbidden]
    for name, error in failed:
        told += _lines(name, error)
    count = sum(one.error is None for one in done)
    said = f"{count} of {len(todo)} were done; not these, look at what has changed and apply again"
    last = done[-1].error if done else None
    if isinstance(last, LoggedOut | Unreachable):
        return type(last)(f"{count} of {len(todo)} were done, the rest was not tried", told)
    if not failed:
        return NotAllowed("you may not do these; the plan says why", told)
    kinds: Mapping[type[CliError], None] = dict.fromkeys(type(error) for _, error in failed)
    return kind_of([*kinds, *(NotAllowed for _ in forbidden)])(said, told)
