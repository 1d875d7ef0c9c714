"""What a command ends with when it cannot be done; each kind has its exit code.

CliError                1  failed: in conflict, or a run that failed
├── Refused             1  the cluster has looked at what was given, and takes it not
├── Outdated            1  somebody else has changed it since it was read
├── Misused             2  an argument, a file of the user's or a profile is wrong
├── NotAllowed          3  no right to that
│   └── LoggedOut       3  no good token
├── NotFound            4  there is nothing of that name
└── Unreachable         5  no answer, or one that says: not now
    └── Lost            5  no answer; whether it is done cannot be known

The message is for a person and says what to do. It is shown on stderr, control characters made
visible, since part of it may be what a server or another user wrote.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

import click

from dcron_cli.terminal import visible
from dcron_common.errors import DcronError


class CliError(click.ClickException, DcronError):
    """It failed. `fields`: pairs of what is wrong and why; `of_request`: they are called as the
    API calls them."""

    exit_code = 1

    def __init__(
        self, message: str, fields: Sequence[tuple[str, str]] = (), *, of_request: bool = False
    ) -> None:
        super().__init__(message)
        self.fields = tuple(fields)
        self.of_request = of_request

    def saying(self, message: str, fields: Sequence[tuple[str, str]] = ()) -> CliError:
        """The same failure in other words."""
        return type(self)(message, fields)

    def within(self, what: str, then: str = "") -> CliError:
        """The same, said of a part: `what: message then`."""
        return self.saying(f"{what}: {self.message}{then}", self.fields)

    def lines(self) -> list[str]:
        """The message, and a line for each field."""
        return [
            f"dcron: {visible(self.message)}",
            *(f"  {visible(field)}: {visible(message)}" for field, message in self.fields),
        ]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the lines on stderr."""
        for line in self.lines():
            click.echo(line, file=file or sys.stderr)


class Refused(CliError):
    """The cluster does not take what was given; nothing was done."""


class Outdated(CliError):
    """Somebody else has changed it since it was read; nothing was done."""


class Misused(CliError):
    """An argument, a file of the user's own or a profile is wrong."""

    exit_code = 2


class NotAllowed(CliError):
    """The user has no right to that."""

    exit_code = 3


class LoggedOut(NotAllowed):
    """There is no token, or it is not good: nothing else will be allowed either."""


class NotFound(CliError):
    """There is nothing of that name."""

    exit_code = 4


class Unreachable(CliError):
    """No answer came, or the cluster says that it cannot do it now."""

    exit_code = 5


class Lost(Unreachable):
    """No answer came, though the request may have been served."""


def kind_of(kinds: Iterable[type[CliError]]) -> type[CliError]:
    """What a command ends with that could not do several things: with their exit code where it is
    one and the same, else with 1."""
    codes = {kind.exit_code for kind in kinds}
    return next(
        (
            kind
            for kind in (NotAllowed, NotFound, Unreachable, Misused)
            if codes == {kind.exit_code}
        ),
        CliError,
    )
