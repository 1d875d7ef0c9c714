"""`dcron`: what a person types."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dcron_common.errors import ConfigError, DcronError
from dcron_common.version import VERSION

FAILED, USAGE = 1, 2
STATE = Path("~/.local/state/dcron").expanduser()
LISTEN = "127.0.0.1:30000"


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0, 1 failed, 2 usage."""
    parser = argparse.ArgumentParser(prog="dcron", description="cron for a fleet")
    parser.add_argument("--version", action="version", version=f"dcron {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    standalone = commands.add_parser(
        "standalone", help="API, manager and worker in one process on this machine"
    )
    standalone.add_argument(
        "--state", type=Path, default=STATE, metavar="DIR", help=f"where all is kept ({STATE})"
    )
    standalone.add_argument(
        "--listen", default=LISTEN, metavar="ADDRESS:PORT", help=f"loopback only ({LISTEN})"
    )
    standalone.add_argument(
        "--crontab",
        choices=("auto", "user", "none"),
        default="auto",
        help="user: the user's crontab fires; none: a ticker inside; auto: user where crond runs",
    )
    arguments = parser.parse_args(argv)
    try:
        from dcron_cli.standalone import serve

        return serve(arguments.state, arguments.listen, arguments.crontab)
    except ConfigError as error:
        print(f"dcron: {error}", file=sys.stderr)
        return USAGE
    except DcronError as error:
        print(f"dcron: {error}", file=sys.stderr)
        return FAILED
