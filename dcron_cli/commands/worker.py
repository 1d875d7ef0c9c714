"""`dcron worker`: the nodes that run jobs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from dcron_cli.errors import Misused, Outdated
from dcron_cli.output import Column, key, say, short, show_json, show_list, show_record
from dcron_cli.params import PAIR, confirm, worker_argument, yes_option
from dcron_cli.session import Session, json_option, pass_session, profile_option

if TYPE_CHECKING:
    from dcron_cli.client import Client

Labels = dict[str, str]
_TRIES = 5  # to write labels that others write, too
COLUMNS = [
    key("name"),
    Column("state", lambda one: "drained" if one["drained"] else one["state"]),
    key("jobs"),
    key("capacity"),
    key("address", cut=True),
    key("version"),
    Column("clock", lambda one: _offset(one["clock_offset"])),
    Column("last seen", lambda one: short(one["last_seen"])),
    Column("labels", lambda one: " ".join(f"{k}={v}" for k, v in one["labels"].items()), cut=True),
]


def _offset(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:+.3f}s"


@click.group()
def worker() -> None:
    """Workers: the nodes that run jobs."""


@worker.command(name="list")
@json_option
@profile_option
@pass_session
def listed(session: Session, /) -> None:
    """Every worker that ever registered and was not forgotten."""
    found = session.client.get("/workers")
    show_list(found, COLUMNS, as_json=session.as_json, none="no worker has registered yet")


@worker.command()
@worker_argument
@json_option
@profile_option
@pass_session
def show(session: Session, /, worker: str) -> None:
    """All that is known of WORKER."""
    from dcron_cli.client import path

    show_record(session.client.get(path("workers", worker)), as_json=session.as_json)


@worker.command()
@worker_argument
@click.argument("labels", type=PAIR, nargs=-1)
@click.option("--no-label", multiple=True, metavar="KEY", help="Take a label away; repeat it.")
@json_option
@profile_option
@pass_session
def label(
    session: Session,
    /,
    worker: str,
    labels: tuple[tuple[str, str], ...],
    no_label: tuple[str, ...],
) -> None:
    """Add LABELS (KEY=VALUE) to those that WORKER has; jobs' placement goes by them.

    They lie over the labels of the node's own configuration, which --no-label does not take away.
    """
    if not labels and not no_label:
        raise Misused("give labels such as rack=a1, or --no-label KEY")

    def change(present: Labels) -> Labels:
        wanted = {**present, **dict(labels)}
        return {key: value for key, value in wanted.items() if key not in no_label}

    changed = _labelled(session.client, worker, change)
    if session.as_json:
        show_json(changed)
    else:
        shown = " ".join(f"{key}={value}" for key, value in changed["labels"].items())
        say(f"{worker}: {shown or 'no labels'}")


def _labelled(client: Client, worker: str, change: Callable[[Labels], Labels]) -> dict[str, Any]:
    """The worker, with its labels changed as they are when they are written, whoever else labels
    it meanwhile. CliError."""
    for _ in range(_TRIES - 1):
        with suppress(Outdated):
            return _labelled_once(client, worker, change)
    return _labelled_once(client, worker, change)


def _labelled_once(
    client: Client, worker: str, change: Callable[[Labels], Labels]
) -> dict[str, Any]:
    from dcron_cli.client import path

    found = client.ask("GET", path("workers", worker))
    body = {"labels": change(found.json["set_labels"])}
    tag = found.headers.get("ETag")
    match = {} if tag is None else {"If-Match": tag}
    return dict(client.ask("PUT", path("workers", worker, "labels"), body, headers=match).json)


@worker.command()
@worker_argument
@json_option
@profile_option
@pass_session
def drain(session: Session, /, worker: str) -> None:
    """Take WORKER's jobs away, and give it none from now on."""
    _post(session, worker, "drain", "is drained; its jobs move, its runs end where they are")


@worker.command()
@worker_argument
@json_option
@profile_option
@pass_session
def resume(session: Session, /, worker: str) -> None:
    """Let WORKER have jobs again."""
    _post(session, worker, "resume", "may have jobs again")


def _post(session: Session, worker: str, verb: str, done: str) -> None:
    from dcron_cli.client import path

    changed = session.client.post_once(path("workers", worker, verb))
    if session.as_json:
        show_json(changed)
    else:
        say(f"{worker} {done}")


@worker.command()
@worker_argument
@yes_option
@profile_option
@pass_session
def forget(session: Session, /, worker: str, yes: bool) -> None:
    """Forget WORKER, which is gone for good."""
    from dcron_cli.client import path

    confirm(f"forget the worker {worker}?", yes)
    session.client.ask("DELETE", path("workers", worker))
    say(f"{worker} is forgotten")
