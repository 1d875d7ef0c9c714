"""Hints: through a FIFO, from systemd or of our own, and from the ticker."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from dcron_common.clock import Clock
from dcron_common.errors import ConfigError
from dcron_common.schedule import parse
from dcron_worker.crontab import plan, render, schedule_lines
from dcron_worker.crontab_file import MemoryCrontab
from dcron_worker.fire import Fire, Ticker, open_fire, passed_fds

NOON = 1_800_014_400  # a full hour


@dataclass
class Hands:
    """A clock whose hands are moved by the test."""

    wall: float = NOON
    boot: float = 1000.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.wall, boot=lambda: self.boot)


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def fire(tmp_path: Path, hands: Hands) -> Iterator[Fire]:
    fire = Fire(tmp_path / "fire", hands.clock())
    yield fire
    fire.close()


def write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(fd, data)
    os.close(fd)


def test_without_a_hint_the_wait_ends_in_time(fire: Fire) -> None:
    start = time.monotonic()
    assert fire.wait(0.05) is False
    assert time.monotonic() - start > 0.04


def test_many_hints_are_taken_as_one(fire: Fire, tmp_path: Path) -> None:
    for _ in range(1000):
        write(tmp_path / "fire", b"tick\n")
    assert fire.wait(0) is True
    assert fire.wait(0) is False


@pytest.mark.parametrize("data", [b"\x00", b"x" * 4096, b"\xff\n\n", b"rm -rf /\n", b"../../x"])
def test_what_a_hint_says_does_not_matter(fire: Fire, tmp_path: Path, data: bytes) -> None:
    write(tmp_path / "fire", data)
    assert fire.wait(1) is True


def test_a_writer_that_leaves_does_not_end_the_stream(fire: Fire, tmp_path: Path) -> None:
    for _ in range(3):
        write(tmp_path / "fire", b"tick\n")
        assert fire.wait(1) is True
        assert fire.wait(0) is False


def test_it_holds_a_hundred_thousand_hints_unread(fire: Fire, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "fire", os.O_WRONLY | os.O_NONBLOCK)
    for _ in range(100_000):
        os.write(fd, b"1f3a90c2\n")
    os.close(fd)
    assert fire.wait(0) is True


def fill(fifo: Path) -> None:
    """Until not one byte more fits."""
    fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(fd, b"x" * 4096)
    with suppress(BlockingIOError):
        while True:
            os.write(fd, b"x")
    os.close(fd)


def line_of(fifo: Path) -> str:
    """What crond hands to the shell for a job's line; the tick's takes up to a second."""
    (text,) = render(plan([(7, parse("7 3 * * *"))], "UTC"), fifo=str(fifo)).values()
    _, (_, rest) = schedule_lines(text)
    return rest.removeprefix("root ")


def run_line(fifo: Path) -> None:
    """As crond does; TimeoutExpired if the line waits."""
    subprocess.run(["/bin/sh", "-c", line_of(fifo)], timeout=60)


@pytest.fixture
def kept(tmp_path: Path, hands: Hands) -> Iterator[Fire]:
    """As on a node: with the file that says up to where was read."""
    fire = open_fire(tmp_path / "fire", {}, hands.clock())
    yield fire
    fire.close()


def test_a_line_never_waits_for_room_in_a_full_fifo(kept: Fire, tmp_path: Path) -> None:
    fill(tmp_path / "fire")
    run_line(tmp_path / "fire")
    assert kept.wait(0) is True


def test_lines_go_on_hinting_after_each_read(kept: Fire, tmp_path: Path) -> None:
    for _ in range(20):
        run_line(tmp_path / "fire")
        assert kept.wait(0) is True
        assert kept.wait(0) is False


def test_while_nobody_reads_hints_do_not_pile_up(kept: Fire, tmp_path: Path) -> None:
    run_line(tmp_path / "fire")
    before = unread(tmp_path)
    # Within one tick of the kernel's clock a hint can look as old as the last read.
    later = time.time_ns() + 10**9
    os.utime(tmp_path / "fire", ns=(later, later))
    for _ in range(50):
        run_line(tmp_path / "fire")
    assert unread(tmp_path) == before
    assert kept.wait(0) is True
    run_line(tmp_path / "fire")
    assert kept.wait(0) is True, "and the next hint comes again"


def unread(folder: Path) -> int:
    fd = os.open(folder / "fire", os.O_RDONLY | os.O_NONBLOCK)
    try:
        return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4), sys.byteorder)
    finally:
        os.close(fd)


def test_after_a_reboot_lines_hint_before_the_daemon_is_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fire")
    held = os.open(tmp_path / "fire", os.O_RDWR)  # as systemd does
    run_line(tmp_path / "fire")
    fire = open_fire(tmp_path / "fire", {})
    assert fire.wait(0) is True
    fire.close()
    os.close(held)


def test_a_clock_that_was_set_back_silences_no_line(kept: Fire, tmp_path: Path) -> None:
    future = time.time_ns() + 3600 * 10**9
    os.utime(tmp_path / "fire", ns=(future, future))  # changed by a clock that was wrong
    assert kept.wait(0) is False
    run_line(tmp_path / "fire")
    assert kept.wait(0) is True


def test_where_it_cannot_say_what_it_read_lines_hint_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "fire.seen").mkdir()
    fire = open_fire(tmp_path / "fire", {})
    assert "cannot be kept" in caplog.text
    (tmp_path / "fire.seen").rmdir()
    run_line(tmp_path / "fire")
    assert fire.wait(0) is True
    fire.close()


def test_silence_counts_from_the_last_hint(fire: Fire, tmp_path: Path, hands: Hands) -> None:
    hands.boot += 100
    assert fire.silence() == 100
    write(tmp_path / "fire", b"tick\n")
    fire.wait(0)
    hands.boot += 7
    fire.wait(0)
    assert fire.silence() == 7


def test_its_own_fifo_is_private_and_stays(tmp_path: Path) -> None:
    Fire(tmp_path / "fire").close()
    status = (tmp_path / "fire").stat()
    assert stat.S_ISFIFO(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    (tmp_path / "fire").chmod(0o666)
    Fire(tmp_path / "fire").close()
    assert stat.S_IMODE((tmp_path / "fire").stat().st_mode) == 0o600


def test_what_is_no_fifo_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link", "none/fire"):
        with pytest.raises(ConfigError):
            Fire(tmp_path / name)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with pytest.raises(ConfigError, match="ListenFIFO"):
        Fire(fd)


def test_systemds_descriptor_is_taken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fire")
    fire = Fire(os.open(tmp_path / "fire", os.O_RDWR))
    write(tmp_path / "fire", b"tick\n")
    assert fire.wait(1) is True
    fire.close()


@pytest.mark.parametrize(
    ("environ", "count"),
    [
        ({}, 0),
        ({"LISTEN_PID": "77", "LISTEN_FDS": "0"}, 0),
        ({"LISTEN_PID": "78", "LISTEN_FDS": "1"}, 0),  # a parent's
        ({"LISTEN_PID": "77", "LISTEN_FDS": "x"}, 0),
        ({"LISTEN_PID": "77", "LISTEN_FDS": "-1"}, 0),
        ({"LISTEN_FDS": "1"}, 0),
    ],
)
def test_variables_for_another_process_are_not_believed(
    environ: dict[str, str], count: int
) -> None:
    environ = environ | {"LISTEN_FDNAMES": "fire", "HOME": "/root"}
    assert len(passed_fds(environ, 77)) == count
    assert environ == {"HOME": "/root"}


def test_without_systemd_the_path_is_opened(tmp_path: Path) -> None:
    open_fire(tmp_path / "fire", {}).close()
    assert (tmp_path / "fire").is_fifo()


def ticker(hands: Hands, *schedules: str) -> tuple[Ticker, list[float]]:
    memory = MemoryCrontab()
    memory.reconcile(plan(enumerate(map(parse, schedules)), "UTC"))
    hints: list[float] = []
    return Ticker(memory.texts, lambda: hints.append(hands.wall), clock=hands.clock()), hints


def test_the_ticker_hints_once_at_each_minute(hands: Hands) -> None:
    made, hints = ticker(hands)
    for _ in range(240):
        hands.wall += 0.5
        made.step()
    assert hints == [NOON + 60, NOON + 120]


def test_the_ticker_goes_by_the_lines_of_the_table(hands: Hands) -> None:
    texts = ["SHELL=/bin/sh\n# dcron job 1\n*/5 * * * * root true\n"]
    hints: list[float] = []
    made = Ticker(lambda: texts, lambda: hints.append(hands.wall), clock=hands.clock())
    for _ in range(11):
        hands.wall += 60
        made.step()
    assert hints == [NOON + 300, NOON + 600]


def test_the_ticker_goes_on_after_the_clock_was_set(hands: Hands) -> None:
    made, hints = ticker(hands)
    hands.wall += 86_400  # forward: one hint stands for all
    made.step()
    hands.wall -= 86_400 * 2
    made.step()
    hands.wall += 60
    made.step()
    assert len(hints) == 2


def test_the_ticker_looks_again_within_a_second(hands: Hands) -> None:
    made, _ = ticker(hands)
    assert made.step() == 1.0
    hands.wall += 59.5
    assert 0.5 <= made.step() < 0.6


def test_the_ticker_stops_when_asked(hands: Hands) -> None:
    made, _ = ticker(hands)
    stop = threading.Event()
    thread = threading.Thread(target=made.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
