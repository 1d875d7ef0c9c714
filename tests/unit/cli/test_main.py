"""`dcron` as a whole: what it answers without a cluster, and how fast."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from dcron_cli.main import PLACES, cli, main
from dcron_common.version import VERSION


def test_help_and_version_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dcron {VERSION}\n"
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in PLACES)


@pytest.mark.parametrize(
    "argv", [[], ["nonsense"], ["job", "nonsense"], ["job", "list", "--nonsense"], ["job", "show"]]
)
def test_what_is_not_known_is_a_usage_error(argv: list[str]) -> None:
    assert main(argv) == 2


def _walk(command: click.Command, names: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [names]
    context = click.Context(command)
    return [
        found
        for name in command.list_commands(context)
        if (one := command.get_command(context, name)) is not None
        for found in _walk(one, (*names, name))
    ]


@pytest.mark.parametrize("names", _walk(cli), ids=" ".join)
def test_every_command_explains_itself(
    names: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*names, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"Usage: dcron {' '.join(names)}" in told
    assert len(told.splitlines()) > 4


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from dcron_cli.main import main; main(['--help']); main(['job', '--help']);"
        "heavy = {'requests', 'rich', 'yaml', 'dcron_app', 'dcron_worker', 'peewee', 'kazoo'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["standalone", "--listen", "10.0.0.1:1", "--state", "/nonexistent/x"], "loopback only"),
        (["standalone", "--listen", "nonsense"], "is not an address"),
        (["standalone", "--crontab", "nonsense"], "'auto', 'user', 'none'"),
    ],
)
def test_standalone_refuses_what_it_did_before(argv: list[str], told: str) -> None:
    # In a process of its own: it sets up logs and a umask.
    program = "import sys; from dcron_cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", program, *argv], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert told in done.stderr
