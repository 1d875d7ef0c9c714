"""The lab host that is measured: the first of the lab that LAB names."""

from __future__ import annotations

import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
HOST = "ctl1"


def on_host(command: str, stdin: str = "") -> str:
    """What a command on it prints; RuntimeError where it fails."""
    done = subprocess.run(
        [str(CHECKOUT / "bin/lab"), "exec", HOST, command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"{HOST}: {command[:60]}: {done.stderr.strip()}")
    return done.stdout
