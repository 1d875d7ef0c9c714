"""The launcher's command line: `python -m dcron_worker.runner --socket S --state DIR`."""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import socket
import zlib
from collections.abc import Sequence
from pathlib import Path

from dcron_common.errors import LaunchError
from dcron_common.log import configure
from dcron_worker.runner import host
from dcron_worker.runner.launcher import Launcher
from dcron_worker.runner.limits import Cgroups, discover

log = logging.getLogger(__name__)

_PR_SET_CHILD_SUBREAPER = 36
_MAX_SOCKET_PATH = 107


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the launcher until SIGTERM; 0, or 1 if it cannot begin."""
    parser = argparse.ArgumentParser(
        prog="dcron-worker launcher", description="Start, reap and guard runs."
    )
    parser.add_argument("--socket", type=Path, required=True, help="where the daemon connects")
    parser.add_argument("--state", type=Path, required=True, help="folder for journal and output")
    parser.add_argument(
        "--exit-when-idle", action="store_true", help="end when nobody is connected and none runs"
    )
    parser.add_argument("--no-cgroups", action="store_true", help="find processes by /proc only")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(arguments)
    configure(options.log_level)
    # What whoever started us left open must not reach a run.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if len(os.fsencode(options.socket)) > _MAX_SOCKET_PATH:
        log.error("--socket: the path is longer than %d bytes: use a shorter one", _MAX_SOCKET_PATH)
        return 1
    _become_subreaper()
    host.take_precedence()
    try:
        state = options.state.resolve()
        name = name_of(state)
        cgroups = Cgroups() if options.no_cgroups else find_cgroups(name)
        log.info("cgroups v2=%s v1=%s", cgroups.v2, sorted(cgroups.v1))
        launcher = Launcher(
            name, options.socket, state, cgroups, exit_when_idle=options.exit_when_idle
        )
    except (LaunchError, OSError) as error:
        log.error("the launcher cannot begin: %s", error)
        return 1
    launcher.run()
    return 0


def name_of(state: Path) -> str:
    """Of the launcher of this state folder; the same one after a restart. Not a secret."""
    return f"{zlib.crc32(f'{socket.gethostname()}:{state}'.encode()):08x}"


def find_cgroups(name: str) -> Cgroups:
    """The cgroups for the launcher of this name."""
    mountinfo = Path("/proc/self/mountinfo").read_text()
    return discover(f"dcron-{name}", mountinfo, Path("/proc/self/cgroup").read_text())


def _become_subreaper() -> None:
    """Whatever loses its parent below us becomes our child."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
