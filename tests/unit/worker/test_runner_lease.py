"""The lease's file, as both sides hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcron_worker.runner.lease import Lease, boot_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "socket.lease"


def test_what_one_side_writes_the_other_reads(path: Path) -> None:
    daemon, launcher = Lease(path), Lease(path)
    assert launcher.until() == 0.0
    daemon.renew(12.5)
    assert launcher.until() == 12.5


def test_a_lease_of_an_earlier_boot_has_passed(path: Path) -> None:
    Lease(path).renew(12.5)
    path.write_bytes(path.read_bytes().replace(boot_id().encode(), b"0" * 36))
    assert Lease(path).until() == 0.0


def test_a_short_file_is_a_lease_that_has_passed(path: Path) -> None:
    Lease(path).renew(12.5)
    path.write_bytes(path.read_bytes()[:-1])
    assert Lease(path).until() == 0.0


def test_a_file_that_was_removed_is_made_again_and_followed(path: Path) -> None:
    daemon, launcher = Lease(path), Lease(path)
    path.unlink()
    daemon.renew(12.5)
    launcher.refresh()
    assert launcher.until() == 12.5


def test_a_file_that_cannot_be_opened_leaves_the_old_one_open(path: Path, tmp_path: Path) -> None:
    lease = Lease(path)
    lease.renew(12.5)
    path.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    path.symlink_to(elsewhere)
    for _ in range(2):
        with pytest.raises(OSError, match="symbolic"):
            lease.renew(99.0)
        assert lease.until() == 12.5
    path.unlink()
    lease.renew(99.0)
    assert Lease(path).until() == 99.0
