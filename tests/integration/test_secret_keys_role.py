"""roles/dcron_app keeps the key that encrypts now, whatever the control machine has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

TASKS = Path(__file__).parents[2] / "roles/dcron_app/tasks/secret_keys.yml"
OLD, NEW, THIRD = "0123456789abcdef" * 4, "9a3b5c7d" * 8, "fedcba9876543210" * 4


def gate(folder: Path, there: list[str] | None, given: list[str]) -> str:
    """What the role says before it writes `given` over what is there; "" if it goes on."""
    file = folder / "secrets.keys"
    if there is not None:
        file.write_text("# managed\n\n" + "".join(f"{key}\n" for key in there))
    tasks = yaml.safe_load(TASKS.read_text())
    assert "template" in str(list(tasks[-1])), "all but the last look, and the last writes"
    variables = {
        "__dcron_app_secret_keys_file": str(file),
        "dcron_app_secret_keys": given,
        "dcron_secrets_dir": "/home/ann/.dcron",
        "ansible_python_interpreter": sys.executable,
    }
    play = {"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": tasks[:-1]}
    (folder / "play.yml").write_text(json.dumps([play]))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "play.yml"]
    command += ["-i", "localhost,", "--connection", "local"]
    environment = {**os.environ, "ANSIBLE_HOME": str(folder), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert not [key for key in (OLD, NEW, THIRD) if key in done.stdout + done.stderr]
    refused = "does not have the first key" in done.stdout
    assert refused is bool(done.returncode), done.stdout + done.stderr
    return done.stdout if refused else ""


@pytest.mark.parametrize(
    ("there", "given"),
    [
        (None, [NEW]),
        ([OLD], [OLD]),
        ([OLD], [OLD, NEW]),
        ([OLD, NEW], [NEW, OLD]),
        ([NEW, OLD], [NEW]),
    ],
)
def test_every_step_of_a_rotation_is_taken(
    tmp_path: Path, there: list[str] | None, given: list[str]
) -> None:
    assert gate(tmp_path, there, given) == ""


@pytest.mark.parametrize("given", [[NEW], [NEW, THIRD]])
def test_the_key_that_encrypts_now_is_not_taken_away(tmp_path: Path, given: list[str]) -> None:
    assert "Put it back" in gate(tmp_path, [OLD, NEW], given)
