"""`dcron apply` and `dcron export`: jobs as code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.cluster import Terminal, job
from tests.unit.cli.kept_jobs import KeptJobs

FILE = """
jobs:
  - name: hello
    type: command
    executable: echo hello
    schedule: "* * * * *"
    labels: {app: web}
  - name: backup
    type: script
    file: backup.sh
    schedule: "@daily"
    retries: 2
    placement: {on: all}
"""


@pytest.fixture
def kept() -> KeptJobs:
    return KeptJobs(
        job(1, name="hello", executable="echo hullo", schedule="* * * * *", labels={"app": "web"}),
        job(2, name="old", labels={"app": "web"}),
        job(3, name="foreign", labels={"app": "mail"}),
        job(4, labels={"app": "web", "tier": "x"}),
    )


@pytest.fixture
def dcron(kept: KeptJobs, tmp_path: Path) -> Terminal:
    (tmp_path / "jobs.yml").write_text(FILE)
    (tmp_path / "backup.sh").write_text("#!/bin/sh\necho backup\n")
    return Terminal(kept, tmp_path)


def apply(dcron: Terminal, *options: str) -> tuple[str, ...]:
    return ("apply", "-f", str(dcron.folder / "jobs.yml"), *options)


def test_the_plan_is_shown_confirmed_and_done(dcron: Terminal, kept: KeptJobs) -> None:
    told = dcron(*apply(dcron), typed="y\n")
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines() == [
        "~ change    hello",
        "      executable: echo hullo -> echo hello",
        "+ create    backup",
        *("      name: backup", "      type: script", "      schedule: @daily"),
        *("      filename: backup.sh", "      retries: 2", '      placement: {"on": "all"}'),
        "1 to create, 1 to change, 0 to remove, 0 unchanged",
        "done: 2",
    ]
    assert "do these 2?" in told.stderr
    assert kept.writes() == [("PUT", "hello"), ("POST", "backup")]
    assert {one["name"] for one in kept.jobs.values()} == {
        *("hello", "old", "foreign", None, "backup")
    }


def test_applied_again_it_changes_nothing_and_sends_no_file(
    dcron: Terminal, kept: KeptJobs
) -> None:
    dcron(*apply(dcron, "--yes"))
    kept.asked.clear()
    told = dcron(*apply(dcron))
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines()[-1] == ("0 to create, 0 to change, 0 to remove, 2 unchanged")
    assert kept.writes() == []
    assert kept.asked[-1].body["executable"].startswith("s3://")


def test_a_job_that_somebody_has_paused_stays_so_unless_the_file_says_otherwise(
    dcron: Terminal, kept: KeptJobs
) -> None:
    kept.jobs["1"] = {**kept.jobs["1"], "paused": True}
    dcron(*apply(dcron, "--yes"))
    assert kept.jobs["1"]["paused"] is True
    file = FILE.replace(
        "    executable: echo hello\n", "    executable: echo hello\n    paused: false\n"
    )
    (dcron.folder / "jobs.yml").write_text(file)
    dcron(*apply(dcron, "--yes"))
    assert kept.jobs["1"]["paused"] is False


@pytest.mark.parametrize("options", [["--dry-run"], ["--dry-run", "--yes"]])
def test_a_dry_run_does_nothing(dcron: Terminal, kept: KeptJobs, options: list[str]) -> None:
    told = dcron(*apply(dcron, *options))
    assert told.exit_code == 0, told.output
    assert kept.writes() == []
    assert "done" not in told.stdout


def test_what_is_not_confirmed_is_not_done(dcron: Terminal, kept: KeptJobs) -> None:
    for typed in ("n\n", ""):
        assert dcron(*apply(dcron), typed=typed).exit_code == 1
    assert kept.writes() == []


def test_only_jobs_that_carry_the_label_are_pruned(dcron: Terminal, kept: KeptJobs) -> None:
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert "- remove    old" in told.stdout
    assert "- remove    job 4" in told.stdout
    assert {one["name"] for one in kept.jobs.values()} == {"hello", "foreign", "backup"}


@pytest.mark.parametrize("options", [["--prune"], ["--label", "app=web"]])
def test_nothing_is_pruned_without_a_label(
    dcron: Terminal, kept: KeptJobs, options: list[str]
) -> None:
    told = dcron(*apply(dcron, *options, "--yes"))
    assert told.exit_code == 2
    assert kept.asked == []


def test_a_change_in_between_is_noticed_and_not_overwritten(
    dcron: Terminal, kept: KeptJobs
) -> None:
    def meanwhile(jobs: dict[str, dict[str, object]]) -> None:
        jobs["1"] = {**jobs["1"], "revision": 4, "retries": 9}

    kept.before.append(meanwhile)
    told = dcron(*apply(dcron, "--yes"))
    assert told.exit_code == 1
    assert "hello: the job is at another revision by now (0 of 2 were done" in told.stderr
    assert (kept.jobs["1"]["retries"], kept.jobs["1"]["executable"]) == (9, "echo hullo")


def test_a_job_that_somebody_made_in_between_is_not_overwritten(
    dcron: Terminal, kept: KeptJobs
) -> None:
    kept.before += [lambda jobs: None, lambda jobs: jobs.update({"9": job(9, name="backup")})]
    told = dcron(*apply(dcron, "--yes"))
    assert told.exit_code == 1
    assert "backup: the name is taken (1 of 2 were done" in told.stderr
    assert kept.jobs["9"]["type"] == "command"


def test_a_job_that_changed_in_between_is_not_removed(dcron: Terminal, kept: KeptJobs) -> None:
    def meanwhile(jobs: dict[str, dict[str, object]]) -> None:
        jobs["2"] = {**jobs["2"], "revision": 4}

    kept.before += [lambda jobs: None, meanwhile]
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert told.exit_code == 1
    assert "old: the job is at another revision" in told.stderr
    assert "2" in kept.jobs


def test_all_that_the_cluster_refuses_is_told_before_anything_is_done(
    dcron: Terminal, kept: KeptJobs
) -> None:
    bad = FILE.replace('"* * * * *"', "bad").replace('"@daily"', "bad")
    (dcron.folder / "jobs.yml").write_text(bad)
    told = dcron(*apply(dcron, "--yes"))
    assert told.exit_code == 1
    assert told.stderr.splitlines() == [
        "dcron: the cluster refuses this file, and nothing was done",
        "  hello: schedule: has 1 of the five fields",
        "  backup: schedule: has 1 of the five fields",
    ]
    assert kept.writes() == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- name: x", "must hold one key, jobs:"),
        ("jobs: 3", "must hold one key, jobs:"),
        ("jobs: [3]", "jobs[1]: must be fields"),
        ("jobs: [{schedule: x}]", "jobs[1]: needs a name"),
        ("jobs: [{name: x}, {name: x}]", "x stands there twice"),
        ("jobs: [{name: x, id: 3}]", "x: id: is no field of a job's file"),
        ("jobs: [{name: x, file: y, executable: z}]", "no executable: beside it"),
        ("jobs: [{name: x, file: y, type: command}]", "must be script or binary"),
        ("jobs: [{name: x, file: nowhere.sh, type: script}]", "nowhere.sh: cannot be read"),
        ("jobs: [{name: x, file: /etc/hostname, type: script}]", "must lie beside the file"),
        ("jobs: [{name: x, file: ../x.sh, type: script}]", "must lie beside the file"),
        ('jobs: [{name: "x\\e[2J", id: 3}]', "x\\x1b[2J: id:"),
    ],
)
def test_a_file_that_is_wrong_is_a_usage_error(
    dcron: Terminal, kept: KeptJobs, text: str, told: str
) -> None:
    (dcron.folder / "jobs.yml").write_text(text)
    shown = dcron(*apply(dcron))
    assert shown.exit_code == 2
    assert told in shown.stderr
    assert kept.asked == []


def test_programs_get_the_plan_as_one_document(dcron: Terminal) -> None:
    told = dcron(*apply(dcron, "--dry-run", "--json"))
    plan = json.loads(told.stdout)
    assert plan["applied"] is False
    assert plan["steps"][0] == {
        "action": "change",
        "name": "hello",
        "id": "1",
        "changes": [{"field": "executable", "before": "echo hullo", "after": "echo hello"}],
    }


def test_what_is_exported_changes_nothing_when_it_is_applied(
    dcron: Terminal, kept: KeptJobs
) -> None:
    dcron(*apply(dcron, "--yes"))
    told = dcron("export")
    assert told.exit_code == 0, told.output
    assert "left out: 4; name them: dcron job edit ID --name NAME" in told.stderr
    for jobs in (told.stdout, None):
        if jobs is None:  # once more with the files
            assert dcron("export", "-o", str(dcron.folder / "jobs.yml")).exit_code == 0
            assert "file: jobs.files/" in (dcron.folder / "jobs.yml").read_text()
        else:
            (dcron.folder / "jobs.yml").write_text(jobs)
        kept.asked.clear()
        again = dcron(*apply(dcron))
        assert again.stdout.splitlines()[-1] == (
            "0 to create, 0 to change, 0 to remove, 4 unchanged"
        ), again.output
        assert kept.writes() == []


def test_an_export_is_narrowed_down_and_says_only_what_is_no_default(dcron: Terminal) -> None:
    assert dcron("export", "--label", "app=mail").stdout.splitlines() == [
        "jobs:",
        *("  - name: foreign", "    type: command", "    executable: ls -la"),
        *("    schedule: 5 * * * *", "    timezone: UTC", "    labels:", "      app: mail"),
        *("    owner: ann", "    run_as: dcron-job"),
    ]
    assert [one["id"] for one in json.loads(dcron("export", "--json").stdout)] == list("1234")


def test_a_file_s_name_from_the_cluster_does_not_leave_the_folder(
    dcron: Terminal, kept: KeptJobs
) -> None:
    digest = "ab" * 32
    kept.files[digest] = b"evil"
    kept.jobs = {
        "5": job(
            5, name="x", type="script", filename="../../evil.sh", sha256=digest, executable="s3"
        )
    }
    folder = dcron.folder / "out"
    folder.mkdir()
    (dcron.folder / "target").write_text("kept")
    (folder / "jobs.files").mkdir()
    (folder / "jobs.files" / "5-.._.._evil.sh").symlink_to(dcron.folder / "target")
    assert dcron("export", "-o", str(folder / "jobs.yml")).exit_code == 0
    written = folder / "jobs.files" / "5-.._.._evil.sh"
    assert written.read_bytes() == b"evil" and not written.is_symlink()
    assert (dcron.folder / "target").read_text() == "kept"
