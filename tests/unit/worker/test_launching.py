"""What the launcher is asked for: a clean environment like cron's, the job's own, and ours."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from dcron_common.errors import LaunchError
from dcron_common.job import JobType, Limits, OnIsolation, Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Claim
from dcron_common.run import Trigger
from dcron_worker import launching
from dcron_worker.book import OpenClaim
from dcron_worker.launching import FRESH, OUTPUT_BYTES, Accounts
from dcron_worker.runner.model import Launch

MINUTE = 1_800_000_000
ROOT = pwd.getpwuid(0)


def opened(key: str = str(MINUTE), **changes: object) -> OpenClaim:
    values: dict[str, object] = {
        "job_id": 7,
        "incarnation": "I",
        "revision": 3,
        "type": JobType.COMMAND,
        "executable": "true",
        "schedule": "* * * * *",
        "timezone": "UTC",
        "effective_from": 0,
        "run_as": "root",
    }
    spec = Spec(**{**values, **changes})  # type: ignore[arg-type]  # a test's shorthand
    claim = Claim("R1", "N1", "a", 5, 3, 2, Trigger.RETRY, float(MINUTE))
    return OpenClaim(Slot(7), key, "/claim", spec, claim, 0, owned=True)


def build(
    opened: OpenClaim, executable: Path | None, user: str | None, **more: dict[str, str]
) -> Launch:
    account = Accounts(lambda: 0.0).of(user)
    return launching.build(opened, executable, user=user, account=account, **more)


def test_the_environment_is_crons_and_ours_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAEMONS_OWN", "leaked")
    assert build(opened(), None, user="root").environment == {
        "PATH": "/usr/bin:/bin",
        "HOME": ROOT.pw_dir,
        "LOGNAME": "root",
        "USER": "root",
        "SHELL": "/bin/sh",
        "DCRON_JOB_ID": "7",
        "DCRON_RUN_ID": "R1",
        "DCRON_SCHEDULED_AT": "2027-01-15T08:00:00Z",
        "DCRON_ATTEMPT": "2",
        "DCRON_EPOCH": "5",
    }


def test_secrets_are_variables_of_their_names_and_show_in_no_text_of_the_launch() -> None:
    values = {"DB_PASSWORD": "planted", "OF_ANOTHER_JOB": "planted, too"}
    launch = build(opened(secrets=("DB_PASSWORD",)), None, user="root", secrets=values)
    assert launch.environment["DB_PASSWORD"] == "planted"
    assert "OF_ANOTHER_JOB" not in launch.environment
    assert "planted" not in repr(launch)


def test_the_jobs_own_environment_may_change_crons_but_not_ours() -> None:
    own = {"PATH": "/opt/bin", "LANG": "lv_LV.UTF-8", "DCRON_EPOCH": "999"}
    found = build(opened(environment=own), None, user="root").environment
    assert (found["PATH"], found["LANG"]) == ("/opt/bin", "lv_LV.UTF-8")
    assert found["DCRON_EPOCH"] == "5"


def test_a_manual_run_is_scheduled_at_the_second_it_was_asked_for() -> None:
    key = "m.01KF04VZV0ABCDEFGHJKMNPQRS"
    found = build(opened(key), None, user="root").environment["DCRON_SCHEDULED_AT"]
    assert found.startswith("20") and found.endswith("Z")


def test_a_command_goes_to_the_shell_as_it_is() -> None:
    launch = build(opened(executable="echo 100% \\; $HOME"), None, user="root")
    assert launch.argv == ("/bin/sh", "-c", "echo 100% \\; $HOME", "sh")


@pytest.mark.parametrize(
    ("kind", "text", "before"),
    [
        (JobType.SCRIPT, "#!/usr/bin/python3\n", ()),
        (JobType.SCRIPT, "echo no interpreter named\n", ("/bin/sh",)),
        (JobType.SCRIPT, "", ("/bin/sh",)),
        (JobType.BINARY, "\x7fELF", ()),
    ],
)
def test_a_file_is_executed_directly_a_script_without_interpreter_by_sh(
    tmp_path: Path, kind: JobType, text: str, before: tuple[str, ...]
) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    spec = opened(type=kind, arguments=["-x", "a b"])
    assert build(spec, file, user="root").argv == (*before, str(file), "-x", "a b")


def test_the_working_directory_is_the_jobs_or_left_to_the_launcher() -> None:
    """Which takes the user's home, and / where there is none, as cron does."""
    assert build(opened(), None, user="root").working_directory is None
    assert build(opened(working_directory="/srv"), None, user="root").working_directory == "/srv"


def test_limits_are_handed_on_and_output_always_has_one() -> None:
    bare = build(opened(), None, user="root")
    assert (bare.output_bytes, bare.memory_bytes) == (OUTPUT_BYTES, None)
    limits = Limits(memory_bytes=1 << 20, cpu_percent=50, processes=9, output_bytes=99)
    launch = build(opened(limits=limits), None, user="root")
    assert (launch.memory_bytes, launch.cpu_percent) == (1 << 20, 50)
    assert (launch.processes, launch.output_bytes) == (9, 99)


def test_only_runs_that_must_not_run_twice_are_leased() -> None:
    assert build(opened(), None, user="root").leased
    assert not build(opened(on_isolation=OnIsolation.RUN), None, user="root").leased


def test_a_vanished_user_is_the_reason_with_the_remedy() -> None:
    with pytest.raises(LaunchError, match="user vanished does not exist .* change run_as"):
        Accounts(lambda: 0.0).of("vanished")


def test_a_user_is_asked_for_once_a_second_and_one_that_is_not_there_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, asked, there = 100.0, [], {"root": ROOT}

    def getpwnam(name: str) -> pwd.struct_passwd:
        asked.append(name)
        return there[name]

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    accounts = Accounts(lambda: now)
    assert [accounts.of("root") for _ in range(3)] == [ROOT] * 3
    assert asked == ["root"]
    now += FRESH
    assert accounts.of("root") == ROOT
    assert asked == ["root", "root"]
    with pytest.raises(LaunchError, match="user new does not exist"):
        accounts.of("new")
    there["new"] = ROOT
    assert accounts.of("new") == ROOT


def test_the_embedded_mode_runs_everything_as_its_own_user() -> None:
    launch = build(opened(run_as="vanished"), None, user=None)
    assert launch.user is None
    assert launch.environment["USER"] == pwd.getpwuid(os.getuid()).pw_name


def test_a_job_that_was_removed_meanwhile_is_not_started() -> None:
    gone = opened()
    gone.spec = None
    with pytest.raises(LaunchError, match="removed"):
        build(gone, None, user="root")
