"""playbooks/recover.yml: MariaDB comes back from any state, and no row is lost.

The cluster is that of the lab that LAB names, with all that a control host runs beside MariaDB.
Each test begins with a whole one, and all is well when the last has ended. A row counts as
acknowledged once its INSERT was answered.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.cluster import (
    CHECKOUT,
    LAB,
    Cluster,
    lab,
    needs_cluster,
    needs_lab,
    wait_for,
)
from tests.system.cluster import CONTROL as HOSTS

pytestmark = [needs_cluster, needs_lab]

WHOLE = 120.0  # seconds until members that can come back by themselves have done so
WELL = 240.0  # until everything that needs the database has noticed


def on(host: str, line: str) -> str:
    """A shell line on a host; its output."""
    return lab("exec", host, line).strip()


def play(*arguments: str, alone: bool) -> subprocess.CompletedProcess[str]:
    """recover.yml, hastened or by Ansible alone as users run it (docs/adr/0060)."""
    binaries = CHECKOUT / ".venv" / "bin"
    hastened = [] if alone else ["bin/with-mitogen"]
    command = [*hastened, "ansible-playbook", "-i", "inventory/lab", "playbooks/recover.yml"]
    # Molecule, which may have started us, has settings of its own; these are the checkout's.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "MOLECULE_"))}
    home = {"LAB": LAB, "ANSIBLE_HOME": str(CHECKOUT / ".ansible")}
    return subprocess.run(
        [*command, *arguments],
        cwd=CHECKOUT,
        env={**kept, **home, "PATH": f"{binaries}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def recover(*arguments: str, alone: bool = False) -> str:
    """Run the playbook, which has to succeed, and show what it said if it does not."""
    done = play(*arguments, alone=alone)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refusal(*arguments: str) -> str:
    """What the playbook says when it refuses."""
    done = play(*arguments, alone=False)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def status(host: str) -> dict[str, str]:
    """What the server on a host says of itself; {} where none answers."""
    ask = (
        'timeout 5 mariadb --connect-timeout=3 -NBe "show status where variable_name in'
        " ('wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_local_state_comment')\" || true"
    )
    return dict(line.split("\t", 1) for line in on(host, ask).splitlines() if "\t" in line)


def serves(host: str, size: int = 3) -> bool:
    found = status(host)
    return (
        found.get("wsrep_cluster_status") == "Primary"
        and found.get("wsrep_cluster_size") == str(size)
        and found.get("wsrep_local_state_comment") == "Synced"
    )


def write(host: str, text: str) -> str:
    """Add a row, once `host` takes it; the row is acknowledged when this returns."""

    def taken() -> bool:
        # Not INSERT: an answer may be lost after the commit.
        line = f"timeout 10 mariadb -e \"replace into dcron.kept values ('{text}')\""  # noqa: S608 (words of this file)
        return on(host, f"if {line} 2>/dev/null; then echo taken; fi") == "taken"

    wait_for(f"{host} takes a row", taken, WHOLE)
    return text


def rows(host: str) -> set[str]:
    return set(on(host, "mariadb -NBe 'select v from dcron.kept'").split())


def kill_server(host: str) -> None:
    """SIGKILL, and nothing starts it again."""
    on(
        host,
        "systemctl kill -s KILL mariadb; systemctl stop mariadb; systemctl reset-failed mariadb",
    )


@pytest.fixture(scope="module", autouse=True)
def kept_rows() -> Iterator[None]:
    """A table for them. Hosts are up and together afterwards; all is well unless a test failed."""
    on("ctl1", "mariadb -e 'create or replace table dcron.kept (v varchar(40) primary key)'")
    yield
    lab("heal")
    lab("start", *HOSTS)
    wait_for("all is well after the tests", Cluster().is_well, WELL, pause=1)
    on("ctl1", "mariadb -e 'drop table dcron.kept'")


@pytest.fixture(autouse=True)
def whole() -> None:
    wait_for("the cluster is whole", lambda: all(serves(host) for host in HOSTS), WHOLE)


def all_serve_with(kept: set[str]) -> None:
    """All three are one cluster, and each has every acknowledged row."""
    for host in HOSTS:
        assert serves(host), status(host)
        assert kept <= rows(host)


def unchanged() -> None:
    """There is nothing left to do."""
    told = recover()
    assert "Nothing is to be done" in told
    recap = [line for line in told.splitlines() if "changed=" in line]
    assert len(recap) == len(HOSTS)
    assert all("changed=0 " in line for line in recap), told


def test_a_healthy_cluster_is_left_alone() -> None:
    unchanged()


def test_members_that_are_non_primary_for_ever_form_the_cluster_from_the_newest() -> None:
    kept = {write("ctl3", "before")}
    lab("cut", "ctl3")
    kept.add(write("ctl1", "without-ctl3"))
    lab("cut", "ctl1")
    # Views that were saved are gone with two of them, so no view is ever whole again.
    for host in ("ctl1", "ctl2"):
        on(host, "systemctl kill -s KILL mariadb; rm -f /var/lib/mysql/gvwstate.dat")
    lab("heal")
    wait_for(
        "ctl3 runs without a majority, and the others try to start",
        lambda: (
            status("ctl3").get("wsrep_cluster_status") == "non-Primary"
            and all(
                on(host, "systemctl show -P ActiveState mariadb") == "activating"
                for host in ("ctl1", "ctl2")
            )
        ),
        WHOLE,
    )
    told = recover(alone=True)
    assert "ctl3: runs without a majority" in told
    assert "The cluster is formed from ctl3" not in told
    all_serve_with(kept)
    unchanged()


def test_members_that_were_all_stopped_are_started_from_the_last() -> None:
    kept = {write("ctl2", "stopped")}
    for host in ("ctl3", "ctl1", "ctl2"):
        on(host, "systemctl stop mariadb")
    assert "The cluster is formed from ctl2: it left the cluster last" in recover()
    all_serve_with(kept)


def test_members_whose_grastate_says_nothing_are_asked_for_their_position() -> None:
    kept = {write("ctl1", "all-there")}
    kill_server("ctl1")
    kept.add(write("ctl2", "two-there"))
    kill_server("ctl2")
    kill_server("ctl3")
    for host in HOSTS:
        on(host, "rm -f /var/lib/mysql/gvwstate.dat")
        assert "seqno:   -1" in on(host, "cat /var/lib/mysql/grastate.dat")
    told = recover(alone=True)
    assert "highest position" in told
    assert "The cluster is formed from ctl1" not in told
    all_serve_with(kept)


def test_one_member_that_is_down_is_started() -> None:
    kept = {write("ctl1", "one-down")}
    kill_server("ctl2")
    kept.add(write("ctl1", "while-one-was-down"))
    assert "ctl1, ctl3 runs in a Primary component" in recover()
    all_serve_with(kept)


def test_a_member_that_does_not_start_and_lacks_nothing_is_made_anew() -> None:
    kept = {write("ctl1", "anew")}
    on("ctl3", "systemctl stop mariadb")
    spoil("ctl3")
    assert "The old data of ctl3 is in /var/lib/mysql.kept-" in recover()
    all_serve_with(kept)
    unchanged()


def test_a_member_whose_position_cannot_be_read_is_given_up_by_the_operator_only() -> None:
    kept = {write("ctl1", "unread")}
    kill_server("ctl3")
    spoil("ctl3")
    assert "-e recover_without=ctl3" in refusal()
    assert all(serves(host, 2) for host in ("ctl1", "ctl2"))
    recover("-e", "recover_without=ctl3")
    all_serve_with(kept)


def spoil(host: str) -> None:
    """Leave a stopped member without a tablespace that can be read."""
    on(
        host,
        "dd if=/dev/urandom of=/var/lib/mysql/ibdata1 bs=16k count=20 conv=notrunc status=none;"
        " rm -f /var/lib/mysql/ib_logfile0",
    )


def test_a_host_that_is_gone_is_left_out_by_the_operator_only() -> None:
    kept = {write("ctl1", "gone")}
    on("ctl1", "systemctl stop mariadb")
    on("ctl2", "systemctl stop mariadb")
    lab("kill", "ctl3")
    told = refusal()
    assert "ctl3 was not looked at" in told
    assert "-e recover_without=ctl3" in told
    assert not status("ctl1")
    told = recover("-e", "recover_without=ctl3")
    assert "2 of 3 members serve" in told
    assert all(serves(host, 2) and kept <= rows(host) for host in ("ctl1", "ctl2"))
    wipe(Path(f"/var/lib/dcron-lab/{LAB}/ctl3/root/var/lib/mysql"))
    lab("start", "ctl3")
    recover()
    all_serve_with(kept)


def wipe(data: Path) -> None:
    """As a new disk would be, while the host is off."""
    for path in data.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
