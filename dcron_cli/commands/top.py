"""`dcron top`: the cluster as it is now, again and again."""

from __future__ import annotations

import select
import signal
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import click

from dcron_cli.errors import Unreachable
from dcron_cli.output import console, show, show_json
from dcron_cli.session import Session, json_option, pass_session, profile_option

_EVERY = 2.0  # seconds


@click.command()
@click.option("--every", type=click.FloatRange(0.5, 3600), default=_EVERY, show_default=True)
@click.option("--once", is_flag=True, help="Once, as where stdout is no terminal.")
@json_option
@profile_option
@pass_session
def top(session: Session, /, every: float, once: bool) -> None:
    """Leader, queue, what is wrong, workers, what runs, what failed. `q` ends it."""
    from dcron_cli.overview import drawn, look

    if session.as_json:
        show_json(look(session.client).json())
    elif once or not (sys.stdout.isatty() and sys.stdin.isatty()):
        show(drawn(look(session.client), _now(session)))
    else:
        with suppress(KeyboardInterrupt):  # at any moment, an answer may be waited for
            _live(session, every)


def _now(session: Session) -> str:
    return datetime.fromtimestamp(session.clock.wall(), UTC).strftime("%H:%M:%SZ")


def _live(session: Session, every: float) -> None:
    """Until `q` or ctrl-C. A cluster that does not answer is asked again, and its last picture
    stays with the reason."""
    from rich.live import Live

    from dcron_cli.overview import drawn, look

    found, at = look(session.client), _now(session)
    with _keys() as interrupted, Live(console=console(), screen=True, auto_refresh=False) as live:
        trouble = None
        while not interrupted.is_set():
            live.update(drawn(found, at, trouble), refresh=True)
            if _asked_to_end(every):
                return
            try:
                found, at, trouble = look(session.client), _now(session), None
            except Unreachable as error:
                trouble = error.message


@contextmanager
def _keys() -> Iterator[threading.Event]:
    """Keys come one by one and do not show; as it was afterwards. The event is set by ctrl-C: where
    its exception is raised in a finalizer Python drops it."""
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    usual = signal.signal(signal.SIGINT, interrupt)
    tty.setcbreak(descriptor)
    try:
        yield interrupted
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.signal(signal.SIGINT, usual)


def _asked_to_end(within: float) -> bool:
    """Whether somebody presses `q` within so many seconds."""
    until = time.monotonic() + within
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0] and sys.stdin.read(1) in ("q", "Q", ""):
            return True
    return False
