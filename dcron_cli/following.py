"""What a run writes while it goes on, and how it ends."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any

import click

from dcron_cli.client import KEY, Client, once, path
from dcron_cli.described import taken
from dcron_cli.errors import CliError, Lost, NotAllowed, NotFound, Unreachable
from dcron_cli.output import note
from dcron_cli.session import Session
from dcron_cli.terminal import visible_output

LOOK = 0.5  # seconds between two looks at a run
PLACED = 5.0  # seconds that a new job may take to have a worker

# The cluster's last word where it follows a run no more that goes on (dcron_app/api/following.py).
_STOPS = re.compile(rb"(?:\n|\A)\[dcron: following stops at byte ([0-9]+), since [^\n]*\]\n\Z")
# It, or the beginning of it, where a piece ends within it. A line's end alone is not kept back.
_MAY_STOP = re.compile(rb"(?:\n|\A)\[(?:dcron: [^\n]*\n?|d?c?r?o?n?:?)\Z")
_LONGEST = 1024  # bytes of it


def write_output(pieces: Iterable[bytes], *, raw: bool) -> None:
    """To stdout as it comes: printable, or byte by byte."""
    if raw:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    for text in visible_output(pieces):
        click.echo(text, nl=False)


def show_output(session: Session, run: dict[str, Any], *, follow: bool, raw: bool) -> None:
    """What the run wrote; `follow`: until it ends."""
    where = path("jobs", run["job_id"], "runs", run["id"], "output")
    if follow:
        write_output(_followed(session, run, where), raw=raw)
        return
    if run["state"] == "running":
        raise CliError(
            f"run {run['id']} goes on; to read what it writes: "
            f"dcron run logs {run['job_id']} {run['id']} --follow"
        )
    write_output(_pieces(session, where, None), raw=raw)


def _pieces(session: Session, where: str, params: dict[str, str] | None) -> Iterator[bytes]:
    headers, pieces = session.client.stream(where, params, patient=params is not None)
    if headers.get("Dcron-Output") == "tail":
        note("(only the end of this output was kept)")
    return pieces


def _followed(session: Session, run: dict[str, Any], where: str) -> Iterator[bytes]:
    """Until the run ends. The cluster ends a following that has been quiet, or lasted, for long,
    since it needs the thread: it is asked to go on at the byte that it names, and answers why where
    it cannot (CliError). Of a run that is over it is asked once, whatever stands at the end."""
    asks, over = {"follow": "true"}, False
    while True:
        last = yield from _until_it_stops(_pieces(session, where, asks))
        found = _STOPS.search(last)
        if found is None or over:
            yield last if found is None else found[0]
            return
        asks["from"] = found[1].decode()
        session.sleep(LOOK)
        over = (
            session.client.get(path("jobs", run["job_id"], "runs", run["id"]))["state"] != "running"
        )


def _until_it_stops(pieces: Iterable[bytes]) -> Generator[bytes, None, bytes]:
    """The bytes but for what may be the last word; returns that."""
    held = b""
    for piece in pieces:
        data = held + piece
        found = _MAY_STOP.search(data[-_LONGEST:])
        held = found[0] if found else b""
        if shown := data[: len(data) - len(held)]:
            yield shown
    return held


def ask_for_run(session: Session, job: dict[str, Any], body: Any) -> dict[str, Any]:
    """Ask for a run of the job now. One that was just made has no worker for a moment, and the
    cluster says so: it is asked again until PLACED seconds are over."""
    until = session.clock.boot() + PLACED
    where, key = path("jobs", job["id"]), once()
    while True:
        try:
            return _asked(session.client, f"{where}/runs", body, key)
        except Lost as error:
            raise error.saying(
                "no answer came, and a run may come all the same: look at it "
                f"(dcron run list {job['id']}) before you ask again ({error.message})"
            ) from error
        except (NotAllowed, NotFound, Unreachable):
            raise
        except CliError:
            if session.clock.boot() >= until or session.client.get(where)["worker"] is not None:
                raise
        session.sleep(LOOK)


def _asked(client: Client, where: str, body: Any, key: dict[str, str]) -> dict[str, Any]:
    """Asked again where the answer is lost, unless the cluster knows no key: an earlier release
    would run the job twice."""
    try:
        return dict(client.ask("POST", where, body, headers=key).json)
    except Lost:
        with suppress(Unreachable):
            if ("header", KEY) in taken(client, "POST", "/jobs/{job_id}/runs"):
                return dict(client.ask("POST", where, body, headers=key).json)
        raise


def begun(session: Session, job_id: str, run_id: str, until: float | None) -> dict[str, Any]:
    """The run, once it shows. CliError if it does not by `until` (boot seconds; None: ever)."""
    while True:
        try:
            return dict(session.client.get(path("jobs", job_id, "runs", run_id)))
        except NotFound:
            _wait(session, until, f"the run {run_id} has not begun")


def ended(session: Session, run: dict[str, Any], until: float | None) -> dict[str, Any]:
    """The run, once it is over. CliError as in `begun`."""
    where = path("jobs", run["job_id"], "runs", run["id"])
    while (found := session.client.get(where))["state"] == "running":
        _wait(session, until, f"the run {run['id']} goes on")
    return dict(found)


def _wait(session: Session, until: float | None, what: str) -> None:
    if until is not None and session.clock.boot() >= until:
        raise CliError(f"{what}, and the time to wait for it is over")
    session.sleep(LOOK)


def verdict(run: dict[str, Any]) -> str:
    """How a run ended, in one line."""
    how = f"run {run['id']} {run['state'].replace('_', ' ')}"
    if run["exit_code"] not in (None, 0):
        how += f", exit code {run['exit_code']}"
    if run["signal"] is not None:
        how += f", signal {run['signal']}"
    if run["worker"] is not None:
        how += f", on {run['worker']}"
    return how if run["reason"] is None else f"{how}: {run['reason']}"
