"""Starting: what a run gets, what it does not get, and what is said when it cannot start."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dcron_common.errors import LaunchError
from dcron_worker.runner.model import Started
from tests.integration.launcher.stage import Stage, boot

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can run jobs as another user")


def test_a_run_that_exits_with_0_succeeds_and_its_output_is_kept(stage: Stage) -> None:
    ended = stage.run("echo out; echo err >&2")
    assert (ended.state, ended.exit_code, ended.signal, ended.reason) == (
        "succeeded",
        0,
        None,
        None,
    )
    assert ended.output_tail == "out\nerr\n"
    assert Path(ended.output_path).read_bytes() == b"out\nerr\n"
    assert ended.output_size == 8 and not ended.truncated


def test_another_exit_code_fails(stage: Stage) -> None:
    ended = stage.run("exit 3")
    assert (ended.state, ended.exit_code, ended.signal) == ("failed", 3, None)


def test_a_signal_fails_and_is_named(stage: Stage) -> None:
    ended = stage.run("kill -SEGV $$")
    assert (ended.state, ended.exit_code, ended.signal) == ("failed", None, 11)
    assert ended.reason == "ended by signal 11 (SIGSEGV)"


def test_invalid_utf8_in_the_tail_is_replaced(stage: Stage) -> None:
    assert stage.run(r"printf '\377ok'").output_tail == "\ufffdok"


def test_nothing_of_the_launcher_leaks_into_a_run(stage: Stage) -> None:
    ended = stage.run("env | sort; ls -l /proc/self/fd; umask; ulimit -Sn; cat")
    assert "LAUNCHERS_OWN" not in ended.output_tail
    assert "DCRON_LAUNCH=run@" in ended.output_tail
    descriptors = [line.split()[8:] for line in ended.output_tail.splitlines() if "->" in line]
    assert {words[0] for words in descriptors} == {"0", "1", "2", "3"}, "3 is the listing's own"
    assert ["0", "->", "/dev/null"] in descriptors
    assert "\n0022\n" in ended.output_tail


def test_a_run_has_its_own_session_and_default_signals(stage: Stage) -> None:
    # exec: a shell that forks blocks all signals for the moment, and would be seen doing so.
    ended = stage.run("echo $$; cat /proc/$$/stat; exec grep -E 'Sig(Blk|Ign)' /proc/self/status")
    lines = ended.output_tail.splitlines()
    assert lines[1].rsplit(")", 1)[1].split()[3] == lines[0], "it leads its session"
    # Signals 32 and 33 are glibc's own: its posix_spawn (make's way to start us) leaves them
    # ignored, and no program may change them.
    reserved = 0b11 << 31
    assert [int(line.split()[1], 16) & ~reserved for line in lines[2:]] == [0, 0]


@as_root
def test_a_run_as_another_user_has_only_that_users_rights(stage: Stage) -> None:
    # Appended to: to open it otherwise would empty what was said before.
    script = "id -ru; id -u; id -rg; id -g; id -G; echo said >>/dev/stderr"
    ended = stage.run(script, user="nobody")
    user, group, groups = (
        subprocess.check_output(["id", flag, "nobody"], text=True) for flag in ("-u", "-g", "-G")
    )
    assert ended.output_tail == f"{user}{user}{group}{group}{groups}said\n"
    assert ended.state == "succeeded"


def test_a_run_starts_in_its_working_directory(stage: Stage, tmp_path: Path) -> None:
    assert stage.run("pwd", working_directory=str(tmp_path)).output_tail == f"{tmp_path}\n"


def _refused(stage: Stage, **changes: object) -> str:
    ended = stage.run("echo never", **changes)
    assert (ended.state, ended.started_at, ended.output_tail) == ("failed", None, "")
    assert ended.reason is not None
    return ended.reason


def test_a_missing_working_directory_is_the_reason(stage: Stage) -> None:
    reason = _refused(stage, working_directory="/nowhere")
    assert reason.startswith("working directory /nowhere: No such file or directory")


def test_a_vanished_user_is_the_reason(stage: Stage) -> None:
    assert _refused(stage, user="vanished") == "user 'vanished' does not exist on this host"


def test_a_missing_program_is_the_reason(stage: Stage) -> None:
    assert _refused(stage, argv=("/no/such",)) == "/no/such: No such file or directory"
    assert _again(stage, ("nosuch",)) == "nosuch: not found on the PATH"


def _again(stage: Stage, argv: tuple[str, ...]) -> str | None:
    stage.start("again", "", argv=argv)
    return stage.ended("again").reason


def test_a_file_that_is_no_program_is_the_reason(stage: Stage, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo no interpreter named\n")
    assert f"{script}: is not executable by user" in _refused(stage, argv=(str(script),))
    script.chmod(0o755)
    reason = _again(stage, (str(script),))
    assert reason == f"{script}: neither a program for this machine nor a script with a #! line"


def test_a_missing_interpreter_is_the_reason(stage: Stage, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/interpreter\n")
    script.chmod(0o755)
    assert "interpreter" in _refused(stage, argv=(str(script),))


@as_root
def test_a_noexec_mount_is_the_reason(stage: Stage, tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", mount], check=True)
    try:
        shutil.copy("/bin/true", mount / "true")
        reason = _refused(stage, argv=(str(mount / "true"),))
    finally:
        subprocess.run(["umount", mount], check=True)
    assert reason == f"{mount}/true: lies on a file system that is mounted noexec"


def test_a_leased_run_is_not_started_after_its_lease(stage: Stage) -> None:
    stage.runner.renew(boot() - 1)
    ended = stage.run("echo never")
    assert (ended.state, ended.reason) == ("lost", "lease passed before start")
    assert ended.output_tail == "" and ended.started_at is None


def test_an_unleased_run_needs_no_lease(stage: Stage) -> None:
    stage.runner.renew(boot() - 1)
    assert stage.run("true", leased=False).state == "succeeded"


def test_the_same_run_is_not_started_twice(stage: Stage, tmp_path: Path) -> None:
    launch = stage.launch("once", f"echo ran >>{tmp_path}/ran")
    stage.runner.start([launch, launch])
    stage.runner.start([launch])
    stage.ended("once")
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_run_id_that_is_no_name_is_refused(stage: Stage) -> None:
    with pytest.raises(LaunchError, match="run_id"):
        stage.start("../up", "true")


def test_a_hundred_at_once_all_end(stage: Stage) -> None:
    stage.runner.start([stage.launch(f"r{n}", f"exit {n % 2}") for n in range(100)])
    states = [stage.ended(f"r{n}").state for n in range(100)]
    assert states == ["succeeded", "failed"] * 50
    assert sum(isinstance(event, Started) for event in stage.seen) == 100


def test_an_acknowledged_run_is_forgotten_with_its_file(stage: Stage) -> None:
    ended = stage.run("echo out")
    assert stage.runner.known()["run"][2] == ended
    stage.runner.acknowledge(["run"])
    assert stage.runner.known() == {} and not Path(ended.output_path).exists()
