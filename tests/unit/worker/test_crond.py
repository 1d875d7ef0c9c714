"""The host's crond: its zone, whether it runs, and what is done when it falls silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcron_common import timing
from dcron_common.clock import Clock
from dcron_worker.crond import CrondWatch, crond_runs, host_zone


class Host:
    """A crond that is silent for so long, at such a time."""

    def __init__(self, *, broken: bool = False) -> None:
        self.silence, self.time, self.restarts, self.broken = 0.0, 1000.0, 0, broken
        clock = Clock(wall=lambda: self.time, boot=lambda: self.time)
        self.watch = CrondWatch("node1", lambda: self.silence, self.restart, clock)

    def restart(self) -> None:
        self.restarts += 1
        if self.broken:
            raise OSError("no such file")

    def look(self, silence: float) -> bool:
        self.silence = silence
        self.watch.look()
        return self.watch.ill


def test_a_crond_that_ticks_is_left_alone() -> None:
    host = Host()
    assert host.look(timing.TICK_SILENCE) is False
    assert host.restarts == 0


def test_a_silent_crond_is_told_of_once_and_restarted_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = Host()
    for _ in range(3):
        assert host.look(timing.TICK_SILENCE + 1) is True
    assert host.restarts == 1
    host.time += timing.RESTART_AGAIN
    host.look(timing.TICK_SILENCE + 1)
    assert host.restarts == 2
    assert caplog.text.count("gave no tick") == 1
    assert host.look(1) is False


def test_a_restart_that_cannot_be_asked_for_is_told_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host = Host(broken=True)
    assert host.look(timing.TICK_SILENCE + 1) is True
    assert "cannot have crond restarted: no such file" in caplog.text
    host.time += timing.RESTART_AGAIN
    host.look(timing.TICK_SILENCE + 1)
    assert host.restarts == 2


def test_the_host_zone_is_that_of_localtime(tmp_path: Path) -> None:
    link, file = tmp_path / "localtime", tmp_path / "timezone"
    file.write_text("Asia/Tokyo\n")
    link.symlink_to("/usr/share/zoneinfo/Europe/Riga")
    assert host_zone(file, link) == "Europe/Riga"
    link.unlink()
    assert host_zone(file, link) == "UTC"
    link.write_bytes(b"TZif")
    assert host_zone(file, link) == "Asia/Tokyo"
    file.unlink()
    assert host_zone(file, link) == ""


def test_a_running_crond_is_known_by_its_pid_file(tmp_path: Path) -> None:
    pid_file, comm = tmp_path / "crond.pid", tmp_path / "77" / "comm"
    assert crond_runs(pid_file, tmp_path) is False
    pid_file.write_text("77\n")
    assert crond_runs(pid_file, tmp_path) is False
    comm.parent.mkdir()
    comm.write_text("cron\n")
    assert crond_runs(pid_file, tmp_path) is True
    comm.write_text("bash\n")
    assert crond_runs(pid_file, tmp_path) is False
