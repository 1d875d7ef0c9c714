"""Nothing of the launcher's leaks into a run, however the launcher itself was started."""

from __future__ import annotations

import contextlib
import os
import pty
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.launcher.stage import Stage

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may be less nice, and others")
RESERVED = 0b11 << 31  # signals 32 and 33 are glibc's own, which no program may change


@contextlib.contextmanager
def started_by(folder: Path, *prefix: str) -> Iterator[Stage]:
    stage = Stage(folder, prefix=prefix)
    try:
        yield stage
    finally:
        stage.close()


def shell(script: str) -> tuple[str, ...]:
    """Something that is done before the launcher takes this process over."""
    return ("/bin/sh", "-c", f'{script}; exec "$@"', "sh")


def python(script: str, *arguments: str) -> tuple[str, ...]:
    """The same, for what takes more than a shell; `rest` is what to become."""
    count = len(arguments) + 1
    text = f"import os, signal, sys; rest = sys.argv[{count}:]; {script}; os.execv(rest[0], rest)"
    return (sys.executable, "-c", text, *arguments)


def test_a_run_has_no_descriptors_but_its_three(tmp_path: Path) -> None:
    opened = python("[os.dup2(os.open('/etc/passwd', 0), fd) for fd in (7, 8, 200)]")
    with started_by(tmp_path, *opened) as stage:
        ended = stage.run(
            "", argv=(sys.executable, "-c", "import os; print(os.listdir('/proc/self/fd'))")
        )
    assert ended.output_tail == "['0', '1', '2', '3']\n", "3 is the listing's own"


def test_a_runs_input_is_empty_and_its_output_a_plain_file(tmp_path: Path) -> None:
    kinds = "import os; print(*(os.fstat(fd).st_mode for fd in (0, 1, 2)), os.read(0, 1))"
    with started_by(tmp_path) as stage:
        modes = stage.run("", argv=(sys.executable, "-c", kinds)).output_tail.split()
    assert stat.S_ISCHR(int(modes[0])) and modes[3] == "b''"
    assert stat.S_ISREG(int(modes[1])) and modes[1] == modes[2]


def test_a_secret_in_a_runs_environment_is_on_no_disk_and_no_command_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    planted = "planted-dragon-7f3a"
    wait = 'test "${#KEY}" = 19 && echo $$ > %s; while [ ! -e %s ]; do sleep 0.05; done'
    with started_by(tmp_path) as stage:
        given = {"PATH": "/usr/bin:/bin", "KEY": planted}
        script = wait % (tmp_path / "pid", tmp_path / "release")
        stage.start("run", script, environment=given)
        stage.start("wrong", "true", environment=given, working_directory="/missing")
        pid = stage.written("pid")
        stage.ended("wrong")
        assert planted.encode() in Path(f"/proc/{pid}/environ").read_bytes()
        stage.crash()  # the next launcher reads, and writes anew, all that the first one wrote
        stage.begin()
        found = [path for path in stage.state.rglob("*") if path.is_file()]
        assert {"journal"} < {path.name for path in found}
        assert not [path for path in found if planted.encode() in path.read_bytes()]
        assert not [line for line in command_lines() if planted.encode() in line]
        (tmp_path / "release").touch()
        assert stage.ended("run").state == "succeeded"
        assert not [path for path in found if path.exists() and planted in path.read_text()]
    said = capfd.readouterr()
    assert planted not in said.out + said.err


def test_what_a_run_wrote_is_on_disk_once_and_goes_with_the_run(tmp_path: Path) -> None:
    with started_by(tmp_path) as stage:
        assert stage.run("echo planted-dragon").output_tail == "planted-dragon\n"
        assert holding(stage, b"planted-dragon") == ["run"]
        stage.crash()
        stage.begin()
        _, _, ended = stage.runner.known()["run"]
        assert ended is not None and ended.output_tail == "planted-dragon\n"
        stage.runner.acknowledge(["run"])
        assert holding(stage, b"planted-dragon") == []


def holding(stage: Stage, text: bytes) -> list[str]:
    """Names of the state's files with this in them, but for what the job's command says."""
    files = [path for path in stage.state.rglob("*") if path.is_file()]
    command = b"echo " + text
    return [path.name for path in files if text in path.read_bytes().replace(command, b"")]


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes()


def test_a_runs_environment_is_what_it_was_given_and_its_mark(tmp_path: Path) -> None:
    given = {"PATH": "/usr/bin:/bin", "LANG": "C", "ODD": "a=b ž\t"}
    planted = shell(
        "export CREDENTIALS_DIRECTORY=/run/secret NOTIFY_SOCKET=/run/notify LISTEN_FDS=1"
        " INVOCATION_ID=1 AWS_SECRET_ACCESS_KEY=planted LD_DEBUG_OUTPUT=/dev/null"
    )
    with started_by(tmp_path, *planted) as stage:
        ended = stage.run("", argv=("/usr/bin/env", "-0"), environment=given)
    found = dict(entry.split("=", 1) for entry in ended.output_tail.rstrip("\0").split("\0"))
    assert found.pop("DCRON_LAUNCH").startswith("run@")
    assert found == given


def test_a_run_blocks_and_ignores_no_signal(tmp_path: Path) -> None:
    ignoring = python(
        "[signal.signal(n, signal.SIG_IGN) for n in (signal.SIGHUP, signal.SIGINT)];"
        " signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGALRM})"
    )
    with started_by(tmp_path, *ignoring) as stage:
        ended = stage.run("exec grep -E '^Sig(Blk|Ign)' /proc/self/status")
    masks = [int(line.split()[1], 16) & ~RESERVED for line in ended.output_tail.splitlines()]
    assert masks == [0, 0]


@as_root
def test_a_run_is_as_nice_as_any_and_no_harder_to_kill_for_its_memory(tmp_path: Path) -> None:
    special = shell("echo -500 >/proc/self/oom_score_adj; renice -n 7 $$ >/dev/null")
    show = "cat /proc/self/oom_score_adj; nice"
    with started_by(tmp_path, *special) as stage:
        stage.start("root", show)
        assert stage.ended("root").output_tail == "0\n0\n"
        stage.start("nobody", show, user="nobody")
        assert stage.ended("nobody").output_tail == "0\n0\n"


def test_a_run_has_no_controlling_terminal(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    # Whoever has no terminal yet gets the one that it opens.
    owning = python("os.setsid(); os.open(sys.argv[1], os.O_RDWR)", os.ttyname(slave))
    try:
        with started_by(tmp_path, *owning) as stage:
            ended = stage.run("cat /proc/self/stat; (: </dev/tty) 2>/dev/null || echo none")
    finally:
        os.close(slave)
        os.close(master)
    numbers, answer = ended.output_tail.splitlines()
    assert (numbers.rsplit(")", 1)[1].split()[4], answer) == ("0", "none")


def test_a_run_has_crons_umask_and_the_hosts_limits(tmp_path: Path) -> None:
    with started_by(tmp_path, *shell("umask 0777; ulimit -Sn 300")) as stage:
        assert stage.run("umask; ulimit -Sn").output_tail == "0022\n300\n"


@as_root
def test_a_run_as_another_user_keeps_no_right_of_roots(tmp_path: Path) -> None:
    with started_by(tmp_path) as stage:
        ended = stage.run("grep -E '^(Uid|Gid|Groups|Cap)' /proc/self/status", user="nobody")
        stage.start("reach", f"cat {stage.state}/journal || echo refused", user="nobody")
        reached = stage.ended("reach").output_tail
    lines = dict(line.split(":", 1) for line in ended.output_tail.splitlines())
    assert set(lines["Uid"].split()) == {"65534"} and set(lines["Gid"].split()) == {"65534"}
    assert lines["Groups"].split() == ["65534"]
    granted = [int(lines[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")]
    assert granted == [0, 0, 0, 0]
    assert reached.endswith("refused\n")


@as_root
def test_a_run_as_another_user_has_that_users_groups_and_none_of_the_launchers(
    tmp_path: Path,
) -> None:
    """In a name space of its own, where nobody is a member of two more groups."""
    groups = tmp_path / "group"
    members = "".join(f"of-{number}:x:{number}:nobody\n" for number in (64001, 64002))
    groups.write_text(f"{Path('/etc/group').read_text()}{members}other:x:64003:daemon\n")
    groups.chmod(0o644)
    for_the_launcher = python("os.setgroups([0, 64003, 64004])")
    with started_by(
        tmp_path,
        *("unshare", "--mount", *shell(f"mount --bind {groups} /etc/group")),
        *for_the_launcher,
    ) as stage:
        show = "grep ^Groups: /proc/self/status"
        assert stage.run(show, user="nobody").output_tail.split()[1:] == ["64001", "64002", "65534"]
        stage.start("own", show)
        assert stage.ended("own").output_tail.split()[1:] == ["0", "64003", "64004"]


@as_root
def test_a_run_as_another_user_may_open_its_own_output_only(tmp_path: Path) -> None:
    with started_by(tmp_path) as stage:
        stage.start("first", "echo mine >/dev/stdout", user="nobody")
        assert stage.ended("first").output_tail == "mine\n"
        stage.start("second", f"cat {stage.state}/output/first || echo refused", user="nobody")
        assert stage.ended("second").output_tail.endswith("refused\n")
