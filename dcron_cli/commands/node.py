"""`dcron doctor` and `dcron standalone`: what is done on this very machine."""

from __future__ import annotations

from pathlib import Path

import click

STATE = Path("~/.local/state/dcron").expanduser()
LISTEN = "127.0.0.1:30000"
CONFIG = Path("/etc/dcron")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="for programs")
@click.option(
    "--config-folder",
    type=click.Path(path_type=Path),
    default=CONFIG,
    show_default=True,
    metavar="DIR",
)
@click.pass_context
def doctor(context: click.Context, as_json: bool, config_folder: Path) -> None:
    """On a node, as root: what is wrong, and what to do; changes nothing.

    Exit codes: 0 nothing is ill, 1 something is, 2 this is no node, 3 not root.
    """
    from dcron_cli.doctor.command import run

    context.exit(run(config_folder, as_json=as_json))


@click.command()
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=STATE,
    show_default=True,
    metavar="DIR",
    help="where all is kept",
)
@click.option(
    "--listen",
    default=LISTEN,
    show_default=True,
    metavar="ADDRESS:PORT",
    help="loopback only",
)
@click.option(
    "--crontab",
    type=click.Choice(["auto", "user", "none"]),
    default="auto",
    show_default=True,
    help="user: the user's crontab fires; none: a ticker inside; auto: user where crond runs",
)
@click.pass_context
def standalone(context: click.Context, state: Path, listen: str, crontab: str) -> None:
    """API, manager and worker in one process on this machine."""
    from dcron_cli.standalone import serve

    context.exit(serve(state, listen, crontab))
