"""The host's crond: in which zone it lives, whether it runs, and whether it still ticks."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from dcron_common import timing
from dcron_common.clock import Clock

log = logging.getLogger(__name__)


class CrondWatch:
    """Says once that crond is silent, and has it restarted now and then until it ticks again.
    `silence` gives the seconds since its last tick; `restart` asks for a restart, OSError."""

    def __init__(
        self,
        worker: str,
        silence: Callable[[], float],
        restart: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._worker = worker
        self._silence = silence
        self._restart = restart
        self._clock = clock
        self._restart_at = 0.0
        self.ill = False

    def look(self) -> None:
        """`ill` is right afterwards: no tick for 90 s."""
        ill = self._silence() > timing.TICK_SILENCE
        if ill and not self.ill:
            log.error("worker=%s crond gave no tick for 90 s: ticking in its place", self._worker)
        if self.ill and not ill:
            log.info("worker=%s crond ticks again", self._worker)
        self.ill = ill
        if ill and self._clock.boot() >= self._restart_at:
            self._restart_at = self._clock.boot() + timing.RESTART_AGAIN
            try:
                self._restart()
            except OSError as error:
                log.error("worker=%s cannot have crond restarted: %s", self._worker, error)


def host_zone(timezone: Path = Path("/etc/timezone"), link: Path = Path("/etc/localtime")) -> str:
    """The zone that crond lives in, as an IANA name; "" if it cannot be told (the tick then
    serves every job). /etc/localtime decides, as it does for crond; Debian's file comes second."""
    try:
        _, found, name = os.fspath(link.readlink()).partition("/zoneinfo/")
        if found:
            return name
    except OSError:
        if not link.exists():
            return "UTC"  # the C library's own rule
    try:
        return timezone.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def crond_runs(pid_file: Path = Path("/run/crond.pid"), proc: Path = Path("/proc")) -> bool:
    """Is there a crond on this machine that would run a user's crontab?"""
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
        return (proc / str(pid) / "comm").read_text(encoding="ascii").strip() in ("cron", "crond")
    except (OSError, ValueError):
        return False
