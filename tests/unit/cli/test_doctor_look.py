"""What the doctor sees of files, sockets and commands' answers."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from dcron_cli.doctor import look_host, look_worker
from dcron_cli.doctor.collect import Look
from dcron_cli.doctor.facts import Clock, Launcher, Results, Trouble
from dcron_common.schedule import parse
from dcron_worker.crontab import plan, render, schedule_lines
from dcron_worker.runner.lease import Lease, boot_id, lease_path
from dcron_worker.runner.model import Ended, Launch
from dcron_worker.runner.register import Register

FIFO = "/run/dcron/fire"


@pytest.fixture
def cron_d(tmp_path: Path) -> Path:
    """/etc/cron.d with the files of two jobs, and a stranger's."""
    jobs = [(7, parse("*/5 * * * *", "UTC")), (8, parse("@daily", "UTC"))]
    for name, text in render(plan(jobs, "UTC"), fifo=FIFO).items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644)
    (tmp_path / "e2scrub_all").write_text("30 3 * * 0 root true\n")
    return tmp_path


def test_the_crontab_as_the_worker_writes_it_is_intact_and_names_its_jobs(cron_d: Path) -> None:
    (file,) = look_worker.crontab(cron_d)
    assert (file.name, file.mode, file.owner) == ("dcron", 0o644, os.getuid())
    assert file.intact
    assert file.ticks
    assert file.jobs == {7, 8}
    assert 0 <= file.age < 600


def test_an_edited_crontab_is_not_intact(cron_d: Path) -> None:
    with (cron_d / "dcron").open("a") as file:
        file.write("* * * * * root true\n")
    (found,) = look_worker.crontab(cron_d)
    assert not found.intact


def test_the_newest_tick_in_cronds_log_is_found() -> None:
    table = plan([(7, parse("*/5 * * * *", "UTC"))], "UTC")
    (text,) = render(table, fifo=FIFO).values()
    commands = [rest.removeprefix("root ") for _, rest in schedule_lines(text)]
    tick, other = (f"node1 CRON[7]: (root) CMD ({command})" for command in commands)
    lines = [f"60.123456 {tick}", f"120.123456 {tick}", f"180.123456 {other}"]
    assert look_worker.last_tick_in(lines) == 120.123456
    assert look_worker.last_tick_in(lines[2:]) is None


def test_a_fifo_is_held_while_somebody_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "fire"
    assert look_worker.fifo(path).kind == "missing"
    os.mkfifo(path, 0o600)
    assert not look_worker.fifo(path).held
    reader = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    assert look_worker.fifo(path).held
    os.close(reader)
    path.unlink()
    path.write_text("tick\n")
    assert look_worker.fifo(path).kind == "other"


def launch(run_id: str) -> Launch:
    return Launch(run_id, 1, "60", 1, 1, ("true",), {}, None, None, 60)


def ended(run_id: str, at: float) -> Ended:
    return Ended(run_id, "succeeded", at - 1, at, 0, None, None, "", None, 0, False)


@pytest.fixture
def seen(tmp_path: Path) -> Launcher:
    """A launcher's folder after three runs: one goes on, one was taken, one waits."""
    register = Register(tmp_path / "runs")
    register.add([launch("a"), launch("b"), launch("c")])
    register.end([ended("a", 100.0), ended("b", 200.0)])
    register.forget(["a"])
    register.journal.close()
    path = tmp_path / "launcher.sock"
    Lease(lease_path(path)).renew(1009.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        return look_worker.launcher(tmp_path, path, boot_id(), 1005.0)


def test_a_launchers_journal_tells_what_waits(seen: Launcher) -> None:
    assert seen.results == Results(running=1, waiting=1, oldest=200.0)


def test_a_lease_is_told_by_what_is_left_of_it(seen: Launcher, tmp_path: Path) -> None:
    assert seen.lease == 4.0
    other = look_worker.launcher(tmp_path, seen.socket, "another boot", 1005.0)
    assert other.lease is None


def test_a_launcher_is_seen_to_listen_and_is_not_connected_to(
    seen: Launcher, tmp_path: Path
) -> None:
    assert seen.listens
    assert not look_worker.launcher(tmp_path, seen.socket, boot_id(), 0.0).listens


def test_a_launcher_without_a_journal_is_trouble(tmp_path: Path) -> None:
    found = look_worker.launcher(tmp_path, tmp_path / "launcher.sock", boot_id(), 0.0)
    assert isinstance(found.results, Trouble)
    assert found.lease is None


def test_torn_lines_of_a_journal_are_passed_over() -> None:
    assert look_worker.results_in([b'{"t": "ended", "ru', b"\n", b"[1]\n"]) == Results()


CHRONY = "C0A84D0B,10.77.0.11,3,1795470000.1,{},0.00001,0.00002,1,0,0.1,0.001,0.002,64.2,{}\n"


def test_chronys_answer_is_read() -> None:
    assert look_host.clock_of(CHRONY.format("-2.5", "Normal")) == Clock(-2.5, True)
    assert not look_host.clock_of(CHRONY.format("0.0", "Not synchronised")).synchronised
    with pytest.raises(ValueError, match="chronyc answers"):
        look_host.clock_of("506 Cannot talk to daemon")


def test_a_file_that_is_no_certificate_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "api.crt").write_text("nothing")
    (found,) = look_host.certificates([tmp_path])
    assert (found.path, found.ends) == (tmp_path / "api.crt", None)


def test_each_file_system_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    found = look_host.disks([tmp_path, tmp_path / "below", tmp_path / "missing"])
    assert [disk.path for disk in found].count(tmp_path) == 1
    assert tmp_path / "below" not in [disk.path for disk in found]


def test_a_process_that_runs_has_its_letter_and_one_that_is_gone_has_none() -> None:
    assert look_host.process_state(Path("/proc/self")) == "R"
    assert look_host.process_state(Path("/proc/0")) == ""


def test_a_look_that_hangs_is_trouble_at_its_deadline() -> None:
    never = threading.Event()
    found = Look(never.wait).result(until=0.0)
    never.set()
    assert found == Trouble("no answer in time")


def test_a_look_that_fails_is_trouble() -> None:
    def fail() -> None:
        raise OSError(2, "No such file or directory", "chronyc")

    found = Look(fail).result(until=time.monotonic() + 60)
    assert isinstance(found, Trouble)
    assert "chronyc" in found.why
