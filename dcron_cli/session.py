"""What one invocation of `dcron` has in hand: its options, the client, time.

Commands get it as click's object; tests make one with a client and a clock of their own. What is
heavy (requests) is imported when the first request is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

from dcron_cli import profiles
from dcron_cli.config import Environment, Target, read_environment
from dcron_cli.errors import CliError, Misused
from dcron_common.clock import SYSTEM, Clock

if TYPE_CHECKING:
    import requests

    from dcron_cli.client import Client

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Session:
    """`profile`: what `--profile` names. `sleep`: between two looks at what goes on."""

    as_json: bool = False
    profile: str | None = None
    http: requests.Session | None = None
    clock: Clock = SYSTEM
    sleep: Callable[[float], None] = field(default=time.sleep)

    @cached_property
    def environment(self) -> Environment:
        """Read once."""
        return read_environment()

    @cached_property
    def target(self) -> Target:
        """Which cluster is meant, and as whom. Misused where nothing says it."""
        if self.profile is None:
            named = self.environment.target()
            if named is not None:
                return named
        known = profiles.load(self.environment.folder)
        name = self.profile or known.current
        if name is None:
            raise Misused(
                "no cluster is known yet: dcron login --url https://..., or set DCRON_URL and "
                "DCRON_TOKEN"
            )
        return known.get(name).target()

    @cached_property
    def client(self) -> Client:
        """The client of the target."""
        return self.client_of(self.target)

    def client_of(self, target: Target) -> Client:
        """A client of some other target."""
        from dcron_cli.client import Client

        return Client(target, self.http)


def _take_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).as_json = True


def _take_profile(context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Session).profile = profiles.checked_name(value)


json_option = click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    callback=_take_json,
    help="One JSON document in the API's own shape, for programs.",
)
profile_option = click.option(
    "--profile",
    metavar="NAME",
    expose_value=False,
    callback=_take_profile,
    is_eager=True,  # what completes names asks the right cluster
    help="The cluster to talk to, by the name it was given at login.",
)
_given_session = click.make_pass_decorator(Session, ensure=True)


def pass_session(command: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Give a command its session; what the cluster refuses is said of the command's options."""
    given = _given_session(command)

    @wraps(command)
    def spoken(*arguments: P.args, **more: P.kwargs) -> R:
        try:
            return given(*arguments, **more)
        except CliError as error:
            from dcron_cli import wording

            raise wording.spoken(error, click.get_current_context()) from error

    return spoken
