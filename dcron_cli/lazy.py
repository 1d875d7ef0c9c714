"""Groups whose commands are imported when they are asked for, so that `dcron --help` is fast."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

import click

from dcron_cli.errors import CliError, Misused
from dcron_common.errors import ConfigError, DcronError

Place = tuple[str, str]  # `module:name`, and the line that help shows


class LazyGroup(click.Group):
    """`places`: a command's name to where it is, in the order that help shows them."""

    def __init__(self, *args: Any, places: Mapping[str, Place], **more: Any) -> None:
        super().__init__(*args, **more)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return None
        module, _, name = self._places[cmd_name][0].partition(":")
        return cast(click.Command, getattr(import_module(module), name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, place[1]) for name, place in self._places.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Every error of ours leaves as one that has an exit code."""
        try:
            return super().invoke(ctx)
        except CliError:
            raise
        except ConfigError as error:
            raise Misused(str(error)) from error
        except DcronError as error:
            raise CliError(str(error)) from error
