"""The embedded mode's launcher: a process of its own, so that runs outlive the server."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from dcron_common.errors import LaunchError
from dcron_worker.runner.client import Runner

log = logging.getLogger(__name__)

LOOK = 0.5  # seconds given to a launcher that may be there already
START = 15.0


def connect(state: Path) -> Runner:
    """A runner connected to this state folder's launcher, which is started where none is."""
    socket_path, runs = state / "launcher.sock", state / "runs"
    runner = Runner(socket_path, runs)
    try:
        runner.connect(LOOK)
    except LaunchError:
        log.info("starting the launcher")
        with (state / "launcher.log").open("ab") as output:
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "dcron_worker.runner",
                    "--socket",
                    str(socket_path),
                    "--state",
                    str(runs),
                    "--exit-when-idle",
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
            )
        runner.connect(START)
    else:
        log.info("the launcher of an earlier start is still there: its runs go on")
    return runner
