"""`dcron job pause` and `resume`: some jobs, all with a label, or all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from dcron_cli.errors import (
    CliError,
    LoggedOut,
    Misused,
    NotAllowed,
    NotFound,
    Unreachable,
    kind_of,
)
from dcron_cli.output import note, say, show_json
from dcron_cli.params import PAIR, check_attended, confirm, jobs_argument, yes_option
from dcron_cli.progress import counted, working
from dcron_cli.session import Session, json_option, pass_session, profile_option

if TYPE_CHECKING:
    from dcron_cli.client import Client

_KINDS = {401: LoggedOut, 403: NotAllowed, 404: NotFound, 503: Unreachable}


def _bulk_options(function: Any) -> Any:
    for option in (
        jobs_argument,
        click.option("--label", "labels", type=PAIR, multiple=True, help="All with this label."),
        click.option("--all", "everything", is_flag=True, help="Every job that you may change."),
        yes_option,
        json_option,
        profile_option,
    )[::-1]:
        function = option(function)
    return function


@click.command()
@_bulk_options
@pass_session
def pause(session: Session, /, **given: Any) -> None:
    """Pause each JOB, all with a label, or all: nothing of them starts until they are resumed."""
    _bulk(session, "pause", "paused", **given)


@click.command()
@_bulk_options
@pass_session
def resume(session: Session, /, **given: Any) -> None:
    """Resume what was paused; it is due again from the next minute on."""
    _bulk(session, "resume", "resumed", **given)


@dataclass(frozen=True, slots=True)
class _Meant:
    """Jobs that are meant by their labels; without any: all."""

    labels: Mapping[str, str]

    def __str__(self) -> str:
        named = " and ".join(f"{name}={value}" for name, value in self.labels.items())
        return f" with the label {named}" if named else ""

    @property
    def body(self) -> dict[str, Any]:
        return {"labels": dict(self.labels)} if self.labels else {"all": True}

    def found(self, client: Client, most: int | None) -> list[dict[str, Any]]:
        """Them, and those that somebody else may change only. So many at most; None: all."""
        labels = [f"{name}={value}" for name, value in self.labels.items()]
        return client.listed("/jobs", {"removed": "false", "label": labels}, most).items


def _bulk(
    session: Session,
    verb: str,
    done: str,
    jobs: Sequence[str],
    labels: Sequence[tuple[str, str]],
    everything: bool,
    yes: bool,
) -> None:
    from dcron_cli.lookup import find_job

    if sum(map(bool, (jobs, labels, everything))) != 1:
        raise Misused("name jobs, or give --label KEY=VALUE, or --all")
    client, meant, count = session.client, _Meant(dict(labels)), None
    if jobs:
        with counted("looking", jobs) as each:
            body: dict[str, Any] = {"ids": [find_job(client, one)["id"] for one in each]}
        count = len(jobs)
    else:
        body = meant.body
        if not yes:
            count = _ask(client, verb, meant)
    with working(verb, count) as advance:
        told = client.ask_about_many(f"/jobs/{verb}", body, advance)
    if not any(told.values()):
        raise _nothing_done(client, verb, meant)
    _show(session, told, done)


def _ask(client: Client, verb: str, meant: _Meant) -> int:
    """Have it confirmed, by the number of jobs. NotFound where there is none."""
    check_attended(f"{verb} jobs{meant}")  # before so many are read
    count = len(meant.found(client, None))
    if count == 0:
        raise NotFound(f"there is no job{meant}; see: dcron job list")
    whose = "it, if you may change it" if count == 1 else "those of them that you may change"
    confirm(f"there are {count} jobs{meant}: {verb} {whose}?", False)
    return count


def _nothing_done(client: Client, verb: str, meant: _Meant) -> CliError:
    if not meant.found(client, 1):
        return NotFound(f"there is no job{meant}; see: dcron job list")
    return NotAllowed(
        f"none of the jobs{meant} is yours to {verb}: their owners, their teams and admins may"
    )


def _show(session: Session, told: dict[str, Any], done: str) -> None:
    """What became of each. CliError, of the kind that all failures have, if there is one."""
    from dcron_cli.wording import plain

    if session.as_json:
        show_json(told)
    else:
        already = f", {len(told['unchanged'])} were already" if told["unchanged"] else ""
        say(f"{done}: {', '.join(told['changed']) or 'none'}{already}")
    for one in told["failed"]:
        note(f"job {one['id']}: {plain(one['reason'])}")
    if told["failed"]:
        kind = kind_of(_KINDS.get(one.get("status"), CliError) for one in told["failed"])
        raise kind(f"{len(told['failed'])} could not be {done}")
