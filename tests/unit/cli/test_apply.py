"""`dcron apply` and `dcron export`: jobs as code."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.cluster import Asked, Reply, Terminal, job, problem
from tests.unit.cli.kept_jobs import FILE, KeptJobs, apply


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


def test_what_is_not_allowed_does_not_hold_up_the_rest(dcron: Terminal, kept: KeptJobs) -> None:
    kept.foreign = {"1", "2"}
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert told.exit_code == 3
    assert told.stdout.splitlines()[:2] == ["! forbidden hello", "      job 1 belongs to bob"]
    assert "1 to create, 0 to change, 0 to remove, 0 unchanged, 2 forbidden" in told.stdout
    assert told.stderr.splitlines() == [
        "dcron: you may not do these; the plan says why",
        *("  hello: job 1 belongs to bob", "  old: job 2 belongs to bob"),
    ]
    assert kept.writes() == [("POST", "backup")]


def test_a_job_that_is_called_like_an_option_keeps_its_name(
    dcron: Terminal, kept: KeptJobs
) -> None:
    kept.jobs["7"] = job(7, name="labels", labels={"app": "web"})
    kept.foreign = {"7"}
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert "  labels: job 7 belongs to bob" in told.stderr


def test_what_is_not_allowed_any_more_does_not_hold_up_the_rest(
    dcron: Terminal, kept: KeptJobs
) -> None:
    kept.before.append(lambda jobs: kept.foreign.update({"1", "2"}))
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert told.exit_code == 3
    assert "dcron: 1 of 3 were done; not these" in told.stderr
    assert "  hello: job 1 belongs to bob\n  old: job 2 belongs to bob" in told.stderr
    assert told.stdout.endswith("done: 1\n")
    assert "backup" in {one["name"] for one in kept.jobs.values()}


def test_what_is_forbidden_and_what_fails_end_with_1(dcron: Terminal, kept: KeptJobs) -> None:
    kept.foreign = {"2"}
    kept.before.append(lambda jobs: jobs.update({"1": {**jobs["1"], "revision": 4}}))
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes"))
    assert told.exit_code == 1
    assert "dcron: 1 of 2 were done" in told.stderr
    assert "  old: job 2 belongs to bob\n  hello: the job is at another" in told.stderr


@pytest.mark.parametrize(
    ("reply", "code"), [(problem(503, "away"), 5), (problem(401, "the token is over"), 3)]
)
def test_without_an_answer_or_a_token_nothing_more_is_tried(
    dcron: Terminal, kept: KeptJobs, reply: Reply, code: int
) -> None:
    asked = kept._reply
    kept._reply = lambda one: reply if one.method == "PUT" and not dry(one) else asked(one)  # type: ignore[method-assign]
    told = dcron(*apply(dcron, "--yes"))
    assert told.exit_code == code
    assert "0 of 2 were done, the rest was not tried" in told.stderr
    assert kept.writes() == [("PUT", "hello")]


def dry(asked: Asked) -> bool:
    return asked.query.get("dry_run") == ["true"]


def test_programs_get_the_plan_and_nothing_is_done_without_yes(
    dcron: Terminal, kept: KeptJobs
) -> None:
    for typed in (None, "y\n"):
        told = dcron(*apply(dcron, "--json"), typed=typed)
        assert told.exit_code == 0, told.output
        shown = json.loads(told.stdout)
        assert shown["applied"] is False
        assert [(one["action"], one["result"]) for one in shown["steps"]] == [
            *(("change", None), ("create", None)),
        ]
        assert kept.writes() == []
    told = dcron(*apply(dcron, "--json", "--yes"))
    shown = json.loads(told.stdout)
    assert shown["applied"] is True
    assert [one["result"] for one in shown["steps"]] == ["done", "done"]


def test_programs_are_told_what_became_of_each(dcron: Terminal, kept: KeptJobs) -> None:
    kept.foreign = {"2"}
    kept.before.append(lambda jobs: jobs.update({"1": {**jobs["1"], "revision": 4}}))
    told = dcron(*apply(dcron, "--prune", "--label", "app=web", "--yes", "--json"))
    assert told.exit_code == 1
    steps = json.loads(told.stdout)["steps"]
    assert [(one["action"], one["name"], one["result"]) for one in steps] == [
        *(("change", "hello", "failed"), ("create", "backup", "done"), ("forbidden", "old", None)),
    ]
    assert [one["reason"] for one in steps] == [
        *("the job is at another revision by now", None, "job 2 belongs to bob"),
    ]


def test_a_change_in_between_is_noticed_and_not_overwritten(
    dcron: Terminal, kept: KeptJobs
) -> None:
    def meanwhile(jobs: dict[str, dict[str, object]]) -> None:
        jobs["1"] = {**jobs["1"], "revision": 4, "retries": 9}

    kept.before.append(meanwhile)
    told = dcron(*apply(dcron, "--yes"))
    assert told.exit_code == 1
    assert "dcron: 1 of 2 were done; not these, look at what has changed" in told.stderr
    assert "  hello: the job is at another revision by now" in told.stderr
    assert (kept.jobs["1"]["retries"], kept.jobs["1"]["executable"]) == (9, "echo hullo")


def test_a_job_that_somebody_made_in_between_is_not_overwritten(
    dcron: Terminal, kept: KeptJobs
) -> None:
    kept.before += [lambda jobs: None, lambda jobs: jobs.update({"9": job(9, name="backup")})]
    told = dcron(*apply(dcron, "--yes"))
    assert told.exit_code == 1
    assert "1 of 2 were done" in told.stderr and "  backup: the name is taken" in told.stderr
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
        "  line 6: hello: schedule: has 1 of the five fields",
        "  line 11: backup: schedule: has 1 of the five fields",
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
        ("jobs:\n- name: x\n  retries: 2\n  id: 3", "jobs.yml: line 4: x: id: is no field"),
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
        "result": None,
        "reason": None,
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
