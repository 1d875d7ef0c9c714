"""The walk of a newcomer: the lines of README's section, typed as they stand there.

What differs is the home, which is the test's own, the port, which is free, and `--crontab none`, as
`make demo` has it: nobody's crontab is touched.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dcron_worker.crontab import marker
from tests.integration.test_standalone import Server

ROOT = Path(__file__).parents[2]
SECTION = "## The first failure"
ADDRESS = "127.0.0.1:30000"
STATE = "~/dcron"


@dataclass(frozen=True)
class Line:
    """A command of the README, and the exit code that its comment promises."""

    command: str
    code: int


def lines() -> list[Line]:
    """The commands of the section, in order."""
    section = (ROOT / "README.md").read_text().partition(SECTION)[2].partition("\n## ")[0]
    found = re.findall(r"^    (.+)$", section, re.MULTILINE)
    promised = ((one, re.search(r"# exit code ([0-9]+)", one)) for one in found)
    return [Line(one, 0 if code is None else int(code[1])) for one, code in promised]


@dataclass
class Typed:
    """One shell, line after line, as a person has it."""

    home: Path
    port: int

    def __call__(self, *typed: Line) -> list[subprocess.CompletedProcess[str]]:
        """Each line in the surroundings that the lines before have left."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("DCRON_")
        }
        environment |= {"HOME": str(self.home), "XDG_CONFIG_HOME": "", "COLUMNS": "120"}
        done, before = [], ""
        for line in typed:
            command = line.command.replace(ADDRESS, f"127.0.0.1:{self.port}")
            done.append(
                subprocess.run(
                    ["bash", "-c", f"{before}{command}"],
                    env=environment,
                    cwd=ROOT,
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
            )
            if command.startswith("export "):
                before += f"{command}\n"
        return done


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Typed]:
    server = Server(tmp_path / STATE.removeprefix("~/"))
    server.start()
    yield Typed(tmp_path, server.port)
    if server.process is not None and server.process.poll() is None:
        server.signal(signal.SIGTERM)


def test_the_section_is_about_the_mode_that_is_started_before_it() -> None:
    readme = (ROOT / "README.md").read_text().partition(SECTION)[0]
    assert f".venv/bin/dcron standalone --state {STATE} --listen {ADDRESS}" in readme
    assert any(f"--url http://{ADDRESS}" in line.command for line in lines())
    assert all(line.command.split()[0] in ("dcron", "export") for line in lines())


def test_the_lines_in_a_users_crontab_are_named_before_they_are_there() -> None:
    readme = (ROOT / "README.md").read_text().partition(SECTION)[0]
    mark = "# dcron-"
    assert marker("/home/you/dcron/fire").startswith(mark)
    assert f"`{mark}`" in readme and "`--crontab none`" in readme


def test_the_first_failed_job_is_found_read_and_fixed(shell: Typed) -> None:
    typed = lines()
    done = shell(*typed)
    for line, one in zip(typed, done, strict=True):
        assert one.returncode == line.code, (line, one.stdout, one.stderr)
    shown = [(line.command, one.stdout + one.stderr) for line, one in zip(typed, done, strict=True)]
    failed, fixed = (told for command, told in shown if "job run" in command)
    assert " failed, exit code 127" in failed and " succeeded" in fixed
    found, gone = (told for command, told in shown if "--status error" in command)
    assert re.search(r"^1 +report +error ", found, re.MULTILINE) and gone == "no such job\n"
    (listed,) = (told for command, told in shown if "run list" in command)
    assert " manual " in listed and " failed " in listed
    (read,) = (told for command, told in shown if "run logs" in command)
    assert "dat: not found" in read
    token = (shell.home / "dcron" / "token").read_text().strip()
    assert not any(token in told for _, told in shown)
