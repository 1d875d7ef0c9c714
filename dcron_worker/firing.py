"""Who fires: the host's crond, the user's crond, or a ticker inside that reads the same table."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from dcron_common.clock import Clock
from dcron_worker.book import Book
from dcron_worker.crond import crond_runs, host_zone
from dcron_worker.crontab import Table, plan, seen_path
from dcron_worker.crontab_file import (
    Change,
    MemoryCrontab,
    SystemCrontab,
    UserCrontab,
)
from dcron_worker.fire import Fire, Ticker, open_fire
from dcron_worker.service import Firing

log = logging.getLogger(__name__)

RESTART = "restart-crond"  # beside the FIFO


class _Crontab:
    """Renders the book's table when it differs from the last one or may have been edited."""

    def __init__(self, reconcile: Callable[[Table], Change], zone: str) -> None:
        self._reconcile = reconcile
        self._zone = zone

    def render(self, book: Book) -> None:
        jobs = [(slot.job_id, held.schedule) for slot, held in book.held.items()]
        change = self._reconcile(plan(jobs, self._zone))
        if change.drift:
            log.warning("edits by hand were put back in: %s", ", ".join(change.drift))
        elif change:
            log.info("crontab written: %s, %d jobs", ", ".join(change.written), len(jobs))


def system_firing(fifo: Path, clock: Clock) -> Firing:
    """crond reads /etc/cron.d; its hints come by the FIFO that systemd holds open."""
    fire = open_fire(fifo, os.environ, clock)  # noqa: TID251  # systemd passes LISTEN_FDS so
    crontab = _Crontab(SystemCrontab(fifo).reconcile, host_zone())
    return Firing(crontab.render, fire.wait, fire.silence, lambda: ask_for_restart(fifo))


def ask_for_restart(fifo: Path) -> None:
    """Have systemd restart crond: dcron-crond.path watches this file. The daemon itself needs no
    right over other services. OSError."""
    log.warning("crond is to be restarted")
    fifo.with_name(RESTART).write_text("")


def embedded_firing(state: Path, mode: str, clock: Clock) -> Firing:
    """`mode` "user": the user's own crontab; "none": a ticker inside; "auto": what works here."""
    fifo = state / "fire"
    fire = Fire(fifo, clock, seen=Path(seen_path(str(fifo))))
    if mode == "user" or (mode == "auto" and crond_runs()):
        crontab = _Crontab(UserCrontab(fifo).reconcile, host_zone())
        log.info("the user's crontab fires")
        return Firing(crontab.render, fire.wait, fire.silence)
    log.info("a ticker inside fires; no crontab is touched")
    return _ticking(fire, fifo, host_zone() or "UTC", clock)


def _ticking(fire: Fire, fifo: Path, zone: str, clock: Clock) -> Firing:
    crontab = MemoryCrontab()

    def hint() -> None:
        descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        try:
            os.write(descriptor, b"tick\n")
        except BlockingIOError:
            log.debug("the FIFO is full: a hint waits there already")
        finally:
            os.close(descriptor)

    ticker = Ticker(crontab.texts, hint, zone=zone, clock=clock)
    threading.Thread(
        target=ticker.run, args=(threading.Event(),), name="ticker", daemon=True
    ).start()
    return Firing(_Crontab(crontab.reconcile, zone).render, fire.wait, fire.silence)
