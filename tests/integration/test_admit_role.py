"""roles/dcron_worker, tasks/admit.yml: a control node that answers admits the play's nodes.

Control nodes are this machine, with a program in `dcron-app`'s place that remembers whom it
admitted; one that is down is an address where nothing listens.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
DOWN = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
APP = """#!/bin/sh
cd "$(dirname "$0")" || exit
shift 2
for name in "$@"; do
    if grep -qx "$name" admitted; then echo "$name: no change"; continue; fi
    echo "$name" >> admitted
    echo "$name: admitted"
done
"""


@dataclass
class Play:
    """What ansible-playbook said, and whom the control nodes have admitted since the beginning."""

    code: int
    said: str
    admitted: list[str]

    @property
    def changed(self) -> int:
        return sum(map(int, re.findall(r"changed=([0-9]+)", self.said)))


class Site:
    """Nodes node1 and node2, and control nodes, each up or down."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bin = folder / "venv" / "bin"
        self._bin.mkdir(parents=True)
        (self._bin / "dcron-app").write_text(APP)
        (self._bin / "dcron-app").chmod(0o755)
        (self._bin / "admitted").touch()

    def play(self, **control: bool) -> Play:
        """Run the tasks; `control`: which of the control nodes are up."""
        groups = {
            "dcron_worker": {"hosts": {"node1": HERE, "node2": HERE}},
            "dcron_app": {"hosts": {name: HERE if up else DOWN for name, up in control.items()}},
        }
        (self._folder / "hosts.json").write_text(json.dumps({"all": {"children": groups}}))
        play = {
            "name": "Admit",
            "hosts": "dcron_worker",
            "gather_facts": False,
            "vars": {"dcron_runtime_venv": str(self._folder / "venv")},
            "tasks": [
                {
                    "ansible.builtin.include_tasks": str(
                        CHECKOUT / "roles/dcron_worker/tasks/admit.yml"
                    )
                }
            ],
        }
        (self._folder / "play.yml").write_text(json.dumps([play]))
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(self._folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_TIMEOUT": "5",
        }
        program = Path(sys.executable).parent / "ansible-playbook"
        done = subprocess.run(
            [str(program), "-i", str(self._folder / "hosts.json"), str(self._folder / "play.yml")],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        admitted = (self._bin / "admitted").read_text().split()
        return Play(done.returncode, done.stdout + done.stderr, admitted)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_nodes_are_admitted_once_while_the_first_control_node_is_down(site: Site) -> None:
    first = site.play(ctl1=False, ctl2=True, ctl3=True)
    assert (first.code, first.admitted, first.changed) == (0, ["node1", "node2"], 1), first.said
    again = site.play(ctl1=True, ctl2=False, ctl3=True)
    assert (again.code, again.admitted, again.changed) == (0, ["node1", "node2"], 0), again.said


def test_without_a_control_node_the_play_says_so(site: Site) -> None:
    play = site.play(ctl1=False, ctl2=False)
    assert (play.code, play.admitted) == (2, [])
    assert "nobody can admit" in play.said
