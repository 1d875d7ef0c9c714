"""playbooks/recover.yml and a member that takes its time: it is waited for, and its data is kept.

The playbook, the role and its module are the real ones, on three names of this machine. What
stands in for MariaDB is a host's `systemctl` and `mariadb`: they answer what they are told, note
what is asked of them, and refuse to stop anything, so that nothing here can be taken apart.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
NEVER = 1_000_000
# Looks at the joiner until it is ready: more than fit into the first waiting (one in 0.3 s).
LATE = 20

SYSTEMCTL = """#!/bin/sh
cd '{state}' || exit 1
case "$*" in
    *ActiveState*) [ "$(wc -l <asked)" -ge {ready} ] && echo active || echo activating ;;
    *NRestarts*) echo >>looked; echo $(( $(wc -l <looked) * {restarts} )) ;;
    *) echo "$1" >>called; [ "$1" = start ] ;;
esac
"""
MARIADB = """#!/bin/sh
cd '{state}' || exit 1
echo >>asked
[ "$(wc -l <asked)" -ge {ready} ] || exit 1
printf '%s\\t%s\\n' wsrep_on ON wsrep_ready ON wsrep_cluster_status Primary wsrep_cluster_size 3 \
    wsrep_local_state_comment Synced wsrep_last_committed 7 wsrep_cluster_state_uuid one
"""


@dataclass(frozen=True)
class Host:
    """`ready`: looks until it serves. `restarts`: how many more of them each look finds."""

    name: str
    folder: Path
    ready: int = 0
    restarts: int = 0

    def build(self) -> dict[str, str]:
        """Its entry in the inventory."""
        binaries, state = self.folder / "bin", self.folder / "state"
        for made in (binaries, state):
            made.mkdir(parents=True)
        for name in ("asked", "looked", "called"):
            (state / name).touch()
        journalctl = "#!/bin/sh\nexit 0\n"
        python = f"#!/bin/sh\nPATH='{binaries}':$PATH exec '{sys.executable}' \"$@\"\n"
        values = {"state": state, "ready": self.ready, "restarts": self.restarts}
        for name, text in (
            ("systemctl", SYSTEMCTL.format(**values)),
            ("mariadb", MARIADB.format(**values)),
            ("journalctl", journalctl),
            ("python", python),
        ):
            (binaries / name).write_text(text)
            (binaries / name).chmod(0o755)
        return {"ansible_python_interpreter": str(binaries / "python")}

    def called(self) -> list[str]:
        """What systemctl was asked to do, in order."""
        return (self.folder / "state" / "called").read_text().split()


def recover(folder: Path, join_timeout: int, *hosts: Host) -> tuple[int, str]:
    """(exit code, what the playbook said)."""
    inventory = folder / "hosts.json"
    shared = {
        "ansible_connection": "local",
        "ansible_become": False,
        "mysql_settle_timeout": 1,
        "mysql_ready_timeout": 1,
        "mysql_join_timeout": join_timeout,
    }
    members = {host.name: host.build() for host in hosts}
    groups = {"mysql": {"hosts": members, "vars": shared}, "zookeeper": {}}
    inventory.write_text(json.dumps(groups))
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", str(inventory), "playbooks/recover.yml"),
        ],
        cwd=CHECKOUT,
        env={**os.environ, "ANSIBLE_HOME": str(folder / "ansible"), "ANSIBLE_NOCOLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def serving(tmp_path: Path) -> tuple[Host, Host]:
    return Host("a", tmp_path / "a"), Host("b", tmp_path / "b")


def test_a_member_whose_copy_takes_long_is_said_and_waited_for(
    tmp_path: Path, serving: tuple[Host, Host]
) -> None:
    slow = Host("c", tmp_path / "c", ready=LATE)
    code, told = recover(tmp_path, 120, *serving, slow)
    assert code == 0, told
    assert "c starts, and still takes what it lacks" in told
    assert "3 of 3 members serve" in told
    assert set(slow.called()) == {"start"}


def test_a_member_that_joins_beyond_the_bound_is_left_as_it_is(
    tmp_path: Path, serving: tuple[Host, Host]
) -> None:
    slow = Host("c", tmp_path / "c", ready=NEVER)
    code, told = recover(tmp_path, 1, *serving, slow)
    assert code != 0
    assert "c still joins after 1 s. Nothing of it was changed" in told
    assert set(slow.called()) == {"start"}


def test_a_member_that_systemd_starts_again_and_again_does_not_start(
    tmp_path: Path, serving: tuple[Host, Host]
) -> None:
    broken = Host("c", tmp_path / "c", ready=NEVER, restarts=3)
    code, told = recover(tmp_path, 120, *serving, broken)
    assert code != 0, "this systemctl refuses to stop it"
    assert "still takes what it lacks" not in told
    assert "Halt them, to read how far they are" in told
    assert broken.called() == ["start", "kill", "stop"]
