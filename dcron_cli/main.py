"""`dcron`: what a person types. Exit codes: 0, 1 failed, 2 usage, 3 not allowed, 4 not found,
5 unreachable (dcron_cli.errors)."""

from __future__ import annotations

from collections.abc import Sequence

import click

from dcron_cli.errors import CliError
from dcron_cli.lazy import LazyGroup
from dcron_cli.session import profile_option
from dcron_common.version import VERSION

_AT = "dcron_cli.commands."
PLACES = {
    "login": (f"{_AT}login:login", "log in to a cluster, and remember it as a profile"),
    "logout": (f"{_AT}login:logout", "end the login"),
    "me": (f"{_AT}login:me", "who you are there, and what you may do"),
    "profile": (f"{_AT}profile:profile", "the clusters you have logged in to"),
    "job": (f"{_AT}job:job", "make, show, change, pause, run and remove jobs"),
    "run": (f"{_AT}run:run", "what ran: list, show, read and follow output, end a run"),
    "apply": (f"{_AT}apply:apply", "make jobs as a YAML file says: plan, confirm, apply"),
    "export": (f"{_AT}export:export", "write jobs as such a file"),
    "schedule": (f"{_AT}schedule:schedule", "what an expression means, and when it fires"),
    "top": (f"{_AT}top:top", "the cluster as it is now"),
    "worker": (f"{_AT}worker:worker", "workers: list, label, drain, resume, forget"),
    "secret": (f"{_AT}secret:secret", "values that jobs get and nobody reads"),
    "user": (f"{_AT}user:user", "who may use the cluster"),
    "token": (f"{_AT}token:token", "tokens for programs"),
    "audit": (f"{_AT}audit:audit", "who did what"),
    "completion": (f"{_AT}completion:completion", "print what makes a shell complete"),
    "doctor": (f"{_AT}node:doctor", "on a node, as root: what is wrong, and what to do"),
    "standalone": (f"{_AT}node:standalone", "API, manager and worker in one process here"),
}


@click.group(
    cls=LazyGroup,
    places=PLACES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, prog_name="dcron", message="%(prog)s %(version)s")
@profile_option
def cli() -> None:
    """cron for a fleet.

    Most commands talk to a cluster: that of --profile; else of DCRON_URL, DCRON_TOKEN and DCRON_CA;
    else of the last login. `dcron COMMAND --help` says more.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    try:
        code = cli.main(
            args=None if argv is None else list(argv), prog_name="dcron", standalone_mode=False
        )
    except click.Abort:
        click.echo("dcron: ended", err=True)
        return CliError.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return code if isinstance(code, int) else 0
