"""Writing the crontab: only what differs, whole, and nothing that is not ours."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dcron_common.schedule import parse
from dcron_worker.crontab import Table, plan, schedule_lines
from dcron_worker.crontab_check import CrontabError, check
from dcron_worker.crontab_file import (
    Change,
    MemoryCrontab,
    SystemCrontab,
    UserCrontab,
)

FIFO = Path("/run/dcron/fire")
NOW = 1_800_000_000.0


def table(*jobs: int, at: str = "7 3 * * *") -> Table:
    return plan([(number, parse(at)) for number in jobs], "UTC")


@pytest.fixture
def crontab(tmp_path: Path) -> SystemCrontab:
    return SystemCrontab(FIFO, directory=tmp_path, now=lambda: NOW)


def test_the_first_write_makes_the_file(crontab: SystemCrontab, tmp_path: Path) -> None:
    assert crontab.reconcile(table(12)) == Change(("dcron",), ())
    assert "dcron job 12" in (tmp_path / "dcron").read_text()
    assert stat.S_IMODE((tmp_path / "dcron").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["dcron"]


def test_an_equal_table_writes_nothing(crontab: SystemCrontab, tmp_path: Path) -> None:
    crontab.reconcile(table(12))
    before = (tmp_path / "dcron").stat()
    assert not crontab.reconcile(table(12))
    assert (tmp_path / "dcron").stat().st_ino == before.st_ino


def test_stale_lines_go(crontab: SystemCrontab, tmp_path: Path) -> None:
    crontab.reconcile(table(12))
    assert crontab.reconcile(table(13)) == Change(("dcron",), ())
    assert "dcron job 12" not in (tmp_path / "dcron").read_text()


def test_a_new_daemon_clears_what_an_old_one_left(tmp_path: Path) -> None:
    SystemCrontab(FIFO, directory=tmp_path).reconcile(table(12))
    change = SystemCrontab(FIFO, directory=tmp_path).reconcile(table())
    assert change == Change(("dcron",), ())


def test_p17_every_write_has_a_later_second(crontab: SystemCrontab, tmp_path: Path) -> None:
    (tmp_path / "foreign").write_text("# theirs\n")
    os.utime(tmp_path / "foreign", (NOW + 50.5, NOW + 50.5))
    seen = set()
    for number in range(4):
        crontab.reconcile(table(number))
        mtime = (tmp_path / "dcron").stat().st_mtime
        assert mtime == int(mtime) > NOW + 50.5
        seen.add(mtime)
    assert len(seen) == 4


@pytest.mark.parametrize("edit", ["append", "empty", "mode", "link", "fifo"])
def test_p17_a_hand_edit_is_put_back_and_reported(
    crontab: SystemCrontab, tmp_path: Path, edit: str
) -> None:
    crontab.reconcile(table(12))
    file = tmp_path / "dcron"
    good = file.read_text()
    if edit == "append":
        file.write_text(good + "* * * * * root reboot\n")
    elif edit == "empty":
        file.write_text("")
    elif edit == "mode":
        file.chmod(0o666)
    else:
        file.unlink()
        file.symlink_to("/etc/passwd") if edit == "link" else os.mkfifo(file)
    assert crontab.reconcile(table(12)) == Change(("dcron",), ("dcron",))
    assert file.read_text() == good
    assert not file.is_symlink()


def test_an_edit_is_drift_even_when_the_table_changed_too(
    crontab: SystemCrontab, tmp_path: Path
) -> None:
    crontab.reconcile(table(12))
    (tmp_path / "dcron").write_text("junk")
    assert crontab.reconcile(table(13)).drift == ("dcron",)


@pytest.mark.parametrize("writes", [1, 2])
def test_p17_a_deleted_file_is_put_back_and_reported(
    crontab: SystemCrontab, tmp_path: Path, writes: int
) -> None:
    for _ in range(writes):
        crontab.reconcile(table(12))
    (tmp_path / "dcron").unlink()
    assert crontab.reconcile(table(12)) == Change(("dcron",), ("dcron",))
    assert "dcron job 12" in (tmp_path / "dcron").read_text()


def test_p17_a_file_no_longer_needed_is_emptied_not_deleted(
    crontab: SystemCrontab, tmp_path: Path
) -> None:
    jobs = [(n, parse(f"{n % 60} {n // 60 % 24} {n // 1440 + 1} * *")) for n in range(5000)]
    assert crontab.reconcile(plan(jobs, "UTC")).written == ("dcron", "dcron-2")
    assert crontab.reconcile(table(1)) == Change(("dcron", "dcron-2"), ())
    assert list(schedule_lines((tmp_path / "dcron-2").read_text())) == []
    assert not crontab.reconcile(table(1))


def test_p17_foreign_files_stay(crontab: SystemCrontab, tmp_path: Path) -> None:
    for name in ("anacron", "dcron-x", "dcron2", "dcron.bak", "Dcron"):
        (tmp_path / name).write_text(name)
    crontab.reconcile(table(12))
    for name in ("anacron", "dcron-x", "dcron2", "dcron.bak", "Dcron"):
        assert (tmp_path / name).read_text() == name


def test_the_leftover_of_a_crash_goes(crontab: SystemCrontab, tmp_path: Path) -> None:
    (tmp_path / "dcron.new-abc").write_text("half")
    crontab.reconcile(table())
    assert [path.name for path in tmp_path.iterdir()] == ["dcron"]


def test_a_folder_that_is_missing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CrontabError, match="nowhere"):
        SystemCrontab(FIFO, directory=tmp_path / "nowhere").reconcile(table())


@pytest.mark.parametrize(
    "text", ["61 * * * * root x\n", "* * * * * x\n", "* * * * * other x\n", "* * * root x y\n"]
)
def test_p17_a_bad_line_does_not_pass_the_check(text: str) -> None:
    with pytest.raises(CrontabError):
        check(text, "root")


FOREIGN = b"SHELL=/bin/bash\n\n  5 4 * * *   backup %x\r\n# \xe4 note # dcron-other\n#dcron job 7\n"


@pytest.fixture
def command(tmp_path: Path) -> str:
    """A stand-in for crontab(1): it keeps the tab in a file, and can be told to refuse."""
    program = tmp_path / "crontab"
    program.write_text(
        f"""#!/bin/sh
tab={tmp_path}/tab
[ -e {tmp_path}/refuse ] && {{ echo refused >&2; exit 1; }}
case $1 in
-l) [ -e $tab ] && exec cat $tab; echo "no crontab for you" >&2; exit 1 ;;
-) exec cat >$tab ;;
esac
"""
    )
    program.chmod(0o755)
    return str(program)


def test_a_users_own_lines_stay_byte_for_byte(tmp_path: Path, command: str) -> None:
    (tmp_path / "tab").write_bytes(FOREIGN)
    crontab = UserCrontab(FIFO, command=command)
    assert crontab.reconcile(table(12)) == Change(("crontab",), ())
    tab = (tmp_path / "tab").read_bytes()
    assert tab.startswith(FOREIGN)
    assert b"dcron job 12" in tab
    assert not crontab.reconcile(table(12))
    crontab.clear()
    assert (tmp_path / "tab").read_bytes() == FOREIGN


def test_a_user_without_a_crontab_gets_one(tmp_path: Path, command: str) -> None:
    UserCrontab(FIFO, command=command).reconcile(table(12))
    assert (tmp_path / "tab").read_text().startswith("* * * * * exec /bin/sh -c 'F=")


def test_two_instances_keep_apart(tmp_path: Path, command: str) -> None:
    UserCrontab(FIFO, command=command).reconcile(table(12))
    UserCrontab(Path("/run/other"), command=command).reconcile(table(13))
    UserCrontab(FIFO, command=command).clear()
    text = (tmp_path / "tab").read_text()
    assert "dcron job 13" in text
    assert "dcron job 12" not in text


def test_a_users_edit_of_our_lines_is_put_back(tmp_path: Path, command: str) -> None:
    crontab = UserCrontab(FIFO, command=command)
    crontab.reconcile(table(12))
    good = (tmp_path / "tab").read_text()
    (tmp_path / "tab").write_text(good.replace("7 3 ", "8 4 "))
    assert crontab.reconcile(table(12)) == Change(("crontab",), ("crontab",))
    assert (tmp_path / "tab").read_text() == good


def test_a_crontab_command_that_fails_changes_nothing(tmp_path: Path, command: str) -> None:
    (tmp_path / "tab").write_bytes(FOREIGN)
    (tmp_path / "refuse").touch()
    with pytest.raises(CrontabError, match="refused"):
        UserCrontab(FIFO, command=command).reconcile(table(12))
    assert (tmp_path / "tab").read_bytes() == FOREIGN
    with pytest.raises(CrontabError, match="--crontab none"):
        UserCrontab(FIFO, command=str(tmp_path / "none")).reconcile(table(12))


def test_the_table_in_memory_is_what_crond_would_have_got(tmp_path: Path) -> None:
    memory, system = MemoryCrontab(), SystemCrontab(FIFO, directory=tmp_path)
    assert memory.reconcile(table(12)).written == ("dcron",)
    assert not memory.reconcile(table(12))
    system.reconcile(table(12))
    assert memory.texts() == [(tmp_path / "dcron").read_text()]
