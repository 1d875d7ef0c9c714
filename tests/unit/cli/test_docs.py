"""docs/cli.md and the command line say the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from dcron_cli.main import cli
from tests.unit.cli.cluster import Script, Terminal

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def examples() -> list[str]:
    """Every command line that the page and the README show."""
    texts = [PAGE.read_text(), (PAGE.parents[1] / "README.md").read_text()]
    return [one for text in texts for one in re.findall(r"^    \$? ?(dcron .+)$", text, re.M)]


def words(example: str) -> list[str]:
    """Its arguments, as a shell has them before a comment or a redirection."""
    return shlex.split(re.split(r"\s(?:#|<|>)\s?", example)[0], comments=True)[1:]


@pytest.mark.parametrize("example", examples())
def test_every_example_is_one_that_the_command_line_takes(example: str) -> None:
    given, command, context = words(example), cli, click.Context(cli, info_name="dcron")
    while isinstance(command, click.Group) and given:
        found = command.get_command(context, given[0])
        assert found is not None, given[0]
        command, given = found, given[1:]  # type: ignore[assignment]
        context = click.Context(command, parent=context, info_name=command.name)
    command.parse_args(context, list(given))  # UsageError for what it does not know


def test_the_example_of_an_explained_schedule_is_what_is_told(tmp_path: Path) -> None:
    block = re.search(r"^    \$ dcron (.+)\n((?:    .+\n)+)", PAGE.read_text(), re.M)
    assert block is not None
    told = Terminal(Script({}), tmp_path, token=None, url=None)(*shlex.split(block[1]))
    assert told.stdout == re.sub(r"^    ", "", block[2], flags=re.M)
