"""The starter by itself: what it makes of orders, and what it says."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dcron_common.errors import LaunchError
from dcron_worker.runner import order, starters
from dcron_worker.runner.account import Account
from dcron_worker.runner.launcher import LEASE_PASSED
from dcron_worker.runner.lease import Lease
from dcron_worker.runner.limits import Group
from dcron_worker.runner.main import find_cgroups, name_of
from dcron_worker.runner.model import Launch
from dcron_worker.runner.procfs import start_ticks
from dcron_worker.runner.starters import Starters

_PATIENCE = 60.0
_SOURCES = sorted(starters.PROGRAM.with_name("starter").glob("*.c"))
_STARTS = 20
_ALLOWED = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
_TEXTS = st.lists(_ALLOWED, max_size=8)


class Starter:
    """One, by the launcher's side of it: `launch` orders, `said` waits for what its log says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lease = Lease(folder / "lease")
        self._selector = selectors.DefaultSelector()
        self._side = Starters(folder / "starters", self.lease.path, self._selector, (64, 64))
        self._side.ready()
        [self._pid] = self._side.pids
        self._seen: list[dict[str, Any]] = []

    def order(self, run_id: str, message: bytes) -> None:
        self._side.order(run_id, message)
        self._side.flush()

    def send(self, stream: bytes, piece: int) -> None:
        """What makes several orders, in pieces of that many bytes."""
        for begin in range(0, len(stream), piece):
            self._side.ready().unsent += stream[begin : begin + piece]
            while self._side.ready().unsent:
                self._side.flush()

    def launch(self, run_id: str, *argv: str, leased: bool = False, **variables: str) -> None:
        launch = _launch(run_id, argv, leased, variables)
        self.order(run_id, order.encode(launch, run_id, _own(), str(self.output(run_id)), None))

    def output(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.out"

    def said(self, kind: str, run_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while True:
            for record in self._seen:
                if (record["t"], record["run_id"]) == (kind, run_id):
                    return record
            assert time.monotonic() < deadline, f"nothing was said of {run_id}"
            self._selector.select(0.1)
            self._seen += self._side.read()

    def leave(self) -> int:
        """As a launcher that goes; its exit code."""
        self._side.leave()
        _, status = os.waitpid(self._pid, 0)
        self._side.reaped(self._pid)
        self._side.read()
        self._selector.close()
        return os.waitstatus_to_exitcode(status)


def _launch(run_id: str, argv: tuple[str, ...], leased: bool, variables: dict[str, str]) -> Launch:
    return Launch(
        run_id=run_id,
        job_id=1,
        key="0",
        attempt=1,
        epoch=1,
        argv=argv,
        environment=variables,
        working_directory="/",
        user=None,
        timeout_seconds=60,
        leased=leased,
    )


def _own() -> Account:
    return Account("root", os.getuid(), os.getgid(), (), "/", change=False)


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(tmp_path)
    yield starter
    assert starter.leave() == 0


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The program is one that looks at each of its accesses to memory."""
    program = tmp_path_factory.mktemp("sanitized") / "dcron-starter"
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Werror"]
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover", "-g"]
    subprocess.run(["cc", "-std=c11", *warnings, *checks, "-o", program, *_SOURCES], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starters, "PROGRAM", program)
        yield


@pytest.fixture
def cgroup(tmp_path: Path) -> Iterator[Path]:
    """Of version 2; the run has left it when its zombie is reaped, which its starter does."""
    found = find_cgroups(name_of(tmp_path))
    if found.v2 is None:
        pytest.skip("there are no cgroups of version 2 that this process may use")
    folder = found.v2 / f"{found.v2.name}-run"
    folder.mkdir()
    yield folder
    folder.rmdir()
    found.remove()


# A starter to which each fork was long ago, so that the clock cannot tell the tick; by a name that
# is hard to read in /proc.
_LONG_AGO = "#include <stdint.h>\nint64_t __wrap_boot_ns(void) { return 0; }\n"


@pytest.fixture(params=["by the clock", "by /proc"])
def begun(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Starter]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "by /proc":
            source, program = tmp_path / "long_ago.c", tmp_path / "a) b (c"
            source.write_text(_LONG_AGO)
            command = ["cc", "-Wl,--wrap=boot_ns", "-o", program, source, *_SOURCES]
            subprocess.run(command, check=True)
            patch.setattr(starters, "PROGRAM", program)
        starter = Starter(tmp_path)
    yield starter
    assert starter.leave() == 0


def test_a_run_says_when_it_began_as_proc_counts_it(begun: Starter) -> None:
    starter = begun
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    for number in range(_STARTS):
        run_id = f"run-{number}"
        starter.launch(run_id, "/bin/sleep", "60")
        said = starter.said("started", run_id)
        assert said["ticks"] == start_ticks(said["pid"])
        assert before <= said["boot"] <= time.clock_gettime(time.CLOCK_BOOTTIME)
        assert abs(said["wall"] - time.time()) < _PATIENCE
        os.kill(said["pid"], signal.SIGKILL)
        assert starter.said("exited", run_id)["code"] == -signal.SIGKILL


@pytest.mark.usefixtures("sanitized")
def test_what_is_given_arrives_byte_for_byte(tmp_path: Path) -> None:
    starter = Starter(tmp_path)
    numbers = iter(range(10_000))

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
    @given(arguments=_TEXTS, values=_TEXTS)
    def arrives(arguments: list[str], values: list[str]) -> None:
        run_id = f"run-{next(numbers)}"
        variables = {f"V{number}": value for number, value in enumerate(values)}
        script = "cat /proc/$$/cmdline /proc/$$/environ; exit 7"
        starter.launch(run_id, "/bin/sh", "-c", script, *arguments, **variables)
        assert starter.said("exited", run_id)["code"] == 7
        marked = [
            *(f"{name}={value}" for name, value in variables.items()),
            f"{order.MARK}={run_id}",
        ]
        expected = "".join(f"{text}\0" for text in ["/bin/sh", "-c", script, *arguments, *marked])
        assert starter.output(run_id).read_bytes() == expected.encode()

    arrives()
    assert starter.leave() == 0


def _cut(message: bytes, at: int, by: int) -> bytes:
    """With four bytes somewhere replaced by a number."""
    at %= len(message) - 4
    return message[:at] + by.to_bytes(4, "big") + message[at + 4 :]


@pytest.mark.usefixtures("sanitized")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(at=st.integers(0, 300), by=st.integers(0, 2**32 - 1) | st.integers(0, 40))
def test_what_is_no_order_ends_it_with_a_message(
    tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str], at: int, by: int
) -> None:
    """Or is done: it is never read from where nothing came, which the sanitizer would tell."""
    starter = Starter(tmp_path_factory.mktemp("broken"))
    launch = _launch("run", ("/bin/true", "x"), False, {"A": "b"})
    message = order.encode(launch, "run", _own(), str(starter.output("run")), None)
    starter.order("run", _cut(message, at, by))
    code = starter.leave()
    said = capfd.readouterr().err
    assert code in (0, 1)
    assert said == "" if code == 0 else said.startswith("orders that are no launcher's"), said


@pytest.mark.usefixtures("sanitized")
@pytest.mark.parametrize("piece", [7, 4096, 1 << 20])
def test_orders_come_in_any_pieces(tmp_path: Path, piece: int) -> None:
    """More at once than it forks in one go, some longer than what it reads at once."""
    starter = Starter(tmp_path)
    lengths = [120_000 if number % 10 == 0 else 10 for number in range(40)]
    script = 'test ${#1} -eq "$2" && test ${#3} -eq "$2" && test ${#4} -eq "$2"'
    stream = b""
    for number, length in enumerate(lengths):
        argv = ("/bin/sh", "-c", script, "sh", "x" * length, str(length), *["x" * length] * 2)
        launch = _launch(f"run-{number}", argv, False, {})
        output = str(starter.output(launch.run_id))
        stream += order.encode(launch, launch.run_id, _own(), output, None)
    starter.send(stream, piece)
    for number in range(len(lengths)):
        assert starter.said("exited", f"run-{number}")["code"] == 0
    assert starter.leave() == 0


def test_a_run_begins_in_its_home_or_where_there_is_none_at_the_root(starter: Starter) -> None:
    for home, expected in ((str(starter.folder), str(starter.folder)), ("/nowhere", "/")):
        launch = replace(_launch(expected[-4:], ("/bin/pwd",), False, {}), working_directory=None)
        output = starter.output(launch.run_id)
        user = replace(_own(), home=home)
        starter.order(launch.run_id, order.encode(launch, "m", user, str(output), None))
        assert starter.said("exited", launch.run_id)["code"] == 0
        assert output.read_text() == f"{expected}\n"


# A starter that finds the door of a cgroup closed, so that what shall be in one has to be born
# there; and one whose kernel cannot do that.
_NO_ENTRY = """
#include <errno.h>
#include <stdarg.h>
#include <string.h>
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    errno = EACCES;
    return strstr(path, "cgroup.procs") ? -1 : __real_open(path, flags, mode);
}
"""
_NO_BIRTH = (
    "#include <errno.h>\nlong __wrap_syscall(long n) { (void)n; errno = ENOSYS; return -1; }\n"
)


def _in_cgroup(folder: Path, wrapped: str, source: str, launch: Launch, cgroup: Path) -> Starter:
    """A starter with this in place of a function of the C library's, told to start the run."""
    (folder / "wrapped.c").write_text(source)
    program = folder / "dcron-starter"
    command = ["cc", f"-Wl,--wrap={wrapped}", "-o", program, folder / "wrapped.c", *_SOURCES]
    subprocess.run(command, check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(starters, "PROGRAM", program)
        starter = Starter(folder)
    output = str(starter.output(launch.run_id))
    starter.order(launch.run_id, order.encode(launch, "m", _own(), output, Group(cgroup)))
    return starter


@pytest.mark.parametrize(
    ("wrapped", "source", "says"),
    [("open", _NO_ENTRY, ""), ("syscall", _NO_BIRTH, "cannot be born")],
    ids=["born", "enters"],
)
def test_a_run_is_born_in_its_cgroup_or_else_enters_it(
    tmp_path: Path,
    cgroup: Path,
    capfd: pytest.CaptureFixture[str],
    wrapped: str,
    source: str,
    says: str,
) -> None:
    launch = _launch("run", ("/bin/cat", "/proc/self/cgroup"), False, {})
    starter = _in_cgroup(tmp_path, wrapped, source, launch, cgroup)
    assert starter.said("exited", "run")["code"] == 0
    assert f"/{cgroup.name}\n" in starter.output("run").read_text()
    assert starter.leave() == 0
    said = capfd.readouterr().err
    assert says in said if says else said == ""


def test_a_run_with_limits_enters_when_its_start_is_written_down(
    tmp_path: Path, cgroup: Path
) -> None:
    launch = replace(_launch("run", ("/bin/true",), False, {}), processes=5)
    starter = _in_cgroup(tmp_path, "open", _NO_ENTRY, launch, cgroup)
    assert starter.said("refused", "run")["reason"].startswith("cannot enter its cgroup ")
    assert starter.said("started", "run")
    assert starter.leave() == 0


def test_a_lease_that_has_passed_stops_a_run_that_has_one(starter: Starter) -> None:
    starter.lease.renew(time.clock_gettime(time.CLOCK_BOOTTIME) - 1)
    starter.launch("late", "/bin/true", leased=True)
    said = starter.said("refused", "late")
    assert (said["lease"], said["reason"]) == (True, LEASE_PASSED)
    starter.lease.renew(time.clock_gettime(time.CLOCK_BOOTTIME) + 60)
    starter.launch("in-time", "/bin/true", leased=True)
    assert starter.said("exited", "in-time")["code"] == 0


def test_a_lease_that_was_made_anew_is_followed(starter: Starter) -> None:
    (starter.folder / "lease").unlink()
    Lease(starter.folder / "lease").renew(time.clock_gettime(time.CLOCK_BOOTTIME) + 60)
    starter.launch("run", "/bin/true", leased=True)
    assert starter.said("exited", "run")["code"] == 0


@pytest.mark.parametrize(
    ("path", "program", "reason"),
    [
        ("/nowhere:/bin:/usr/bin", "true", None),
        ("/nowhere", "true", "true: not found on the PATH"),
        ("", "no-such-program", "no-such-program: not found on the PATH"),
        ("/etc:/bin", "passwd-", "passwd-: Permission denied"),
        ("/nowhere", "/nowhere/x\"\\\n", "/nowhere/x\"\\\n: No such file or directory"),
        ("/nowhere", "/b\udcffd", "/b\ufffdd: No such file or directory"),
    ],
)  # fmt: skip
def test_a_program_is_looked_for_on_the_runs_own_path(
    starter: Starter, path: str, program: str, reason: str | None
) -> None:
    starter.launch("run", program, PATH=path)
    assert starter.said("exited", "run")["code"] == (0 if reason is None else 127)
    if reason is not None:
        assert starter.said("refused", "run")["reason"] == reason


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
@pytest.mark.parametrize(
    "build",
    [
        lambda text: _launch("run", ("/bin/true", text), False, {}),
        lambda text: _launch("run", ("/bin/true",), False, {"A": text}),
    ],
)
def test_what_no_program_can_be_given_is_refused(
    tmp_path: Path, text: str, build: Callable[[str], Launch]
) -> None:
    with pytest.raises(LaunchError, match="no program can be given one"):
        order.encode(build(text), "run", _own(), str(tmp_path / "out"), None)
