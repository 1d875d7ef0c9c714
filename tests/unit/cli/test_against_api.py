"""Commands against the API itself: shapes and refusals are its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dcron_cli import lookup
from tests.unit.app.api_client import COMMAND, Api
from tests.unit.cli.cluster import Terminal


def test_a_job_is_made_shown_changed_paused_and_removed(terminal: Terminal) -> None:
    made = terminal("job", "add", "-s", "5 * * * *", "-c", "ls -la", "--name", "list", "--json")
    assert made.exit_code == 0, made.output
    job = json.loads(made.stdout)
    shown = json.loads(terminal("job", "show", job["id"], "--json").stdout)
    assert shown == job
    changed = json.loads(terminal("job", "edit", job["id"], "--retries", "2", "--json").stdout)
    assert (changed["retries"], changed["revision"]) == (2, 2)
    again = terminal("job", "edit", job["id"], "--retries", "2")
    assert again.stdout == f"job {job['id']} (list) is like that already\n"
    removed = json.loads(terminal("job", "rm", job["id"], "--yes", "--json").stdout)
    assert removed["status"] == "finished"


def test_every_field_that_options_give_is_taken(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "hello.sh"
    file.write_text("#!/bin/sh\necho hello\n")
    told = terminal(
        *("job", "add", "--schedule", "@daily", "--script", str(file), "--name", "n"),
        *("--tz", "Europe/Riga", "--label", "a=b", "--env", "X=y=z", "--workdir", "/srv"),
        *("--run-as", "www", "--owner", "admin", "--team", "ops", "--timeout", "2h"),
        *("--retries", "3", "--retry-delay", "90s", "--starting-deadline", "5m"),
        *("--concurrency", "allow", "--catch-up", "all", "--on-worker-loss", "fail"),
        *("--on-isolation", "run", "--on", "all", "--worker-label", "rack=1"),
        *("--memory", "256M", "--cpu", "50", "--processes", "9", "--output", "1k", "--paused"),
        *("--argument", "--full", "--json"),
    )
    assert told.exit_code == 0, told.output
    job = json.loads(told.stdout)
    assert (job["filename"], job["arguments"], job["paused"]) == ("hello.sh", ["--full"], True)
    assert job["placement"] == {"labels": {"rack": "1"}, "on": "all"}


def test_what_the_api_refuses_names_the_option_s_field(terminal: Terminal) -> None:
    told = terminal("job", "add", "-s", "61 * * * *", "-c", "ls")
    assert told.exit_code == 1
    assert told.stderr.startswith("dcron: refused: --schedule\n  --schedule: minute:")


def test_a_key_that_the_api_does_not_have_is_told_apart_from_a_value_that_it_refuses(
    api: Api,
) -> None:
    novel, long = api.get("/jobs?novel=1").json, api.get(f"/jobs?name={'x' * 129}").json
    assert novel["errors"][0]["message"].startswith(lookup._UNKNOWN)
    assert not long["errors"][0]["message"].startswith(lookup._UNKNOWN)


def test_an_edit_in_between_is_noticed(terminal: Terminal, api: Api) -> None:
    number = api.post("/jobs", COMMAND).json["id"]
    before = terminal("job", "show", number, "--json").stdout

    class Meanwhile:
        """Somebody else changes the job once it was read."""

        def __init__(self) -> None:
            self.app = api.app
            self.done = False

        def __call__(self, environ: dict[str, object], start: object) -> object:
            if environ["REQUEST_METHOD"] == "PATCH" and not self.done:
                self.done = True
                api.call("PATCH", f"/jobs/{number}", b'{"retries": 1}')
            return self.app(environ, start)

    adapter = terminal.adapter
    adapter.app = Meanwhile()  # type: ignore[attr-defined]
    told = terminal("job", "edit", number, "--retries", "5")
    assert told.exit_code == 1
    assert "the job is at revision 2 by now" in told.stderr
    after = json.loads(terminal("job", "show", number, "--json").stdout)
    assert after["retries"] == 1
    assert json.loads(before)["retries"] == 0


def test_another_s_job_is_not_for_an_operator_and_nothing_is_for_a_stranger(
    terminal: Terminal, api: Api
) -> None:
    number = api.post("/jobs", COMMAND).json["id"]
    terminal.token = api.tokens["operator"]
    assert terminal("job", "edit", number, "--retries", "1").exit_code == 3
    assert terminal("job", "show", number).exit_code == 0
    terminal.token = "dcron_wrong"
    told = terminal("job", "show", number)
    assert told.exit_code == 3
    assert "dcron login" in told.stderr and "dcron_wrong" not in told.output


def test_a_job_that_nobody_has_yet_cannot_run_now(terminal: Terminal, api: Api) -> None:
    number = api.post("/jobs", COMMAND).json["id"]
    told = terminal("job", "run", number)
    assert told.exit_code == 1
    assert "no worker" in told.stderr


@pytest.mark.parametrize("name", ["nothing", "x" * 129, "x" * 5000, "a\tb", " ", ""])
def test_a_job_of_a_name_that_is_not_there_or_cannot_be_is_not_found(
    terminal: Terminal, name: str
) -> None:
    for command in ("show", "rm", "run", "pause"):
        told = terminal("job", command, name)
        assert told.exit_code == 4, told.output
        assert "dcron job list" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("worker", "show", "a b"), "there is no worker a b; see: dcron worker list"),
        (("worker", "drain", "nowhere"), "there is no worker nowhere; see: dcron worker list"),
        (("user", "show", "-x" * 90), "there is no user"),
        (("token", "rm", "9" * 30, "--yes"), "; see: dcron token list"),
        (("secret", "rm", "no-such", "--yes"), "there is no secret no-such; see: dcron secret"),
    ],
)
def test_what_is_not_there_is_named_with_where_to_look(
    terminal: Terminal, arguments: tuple[str, ...], told: str
) -> None:
    shown = terminal(*arguments[:2], *arguments[3:], "--", arguments[2])
    assert shown.exit_code == 4, shown.output
    assert told in shown.stderr
    assert "/" not in shown.stderr.replace("docs/", "")


def test_a_run_that_is_not_there_is_named_with_where_to_look(terminal: Terminal, api: Api) -> None:
    number = api.post("/jobs", COMMAND).json["id"]
    for command in ("show", "logs", "kill"):
        for run in ("01MCC5RXRG2V2AXWJNEKD7QKCY", "x" * 200):
            told = terminal("run", command, number, run)
            assert told.exit_code == 4, told.output
            assert f"job {number} has no run {run}; see: dcron run list {number}" in told.stderr


def test_another_s_jobs_do_not_hold_up_the_rest_of_a_file(
    terminal: Terminal, api: Api, tmp_path: Path
) -> None:
    api.post("/jobs", {**COMMAND, "name": "hers"})
    job = "{{name: {}, type: command, executable: ls, schedule: '@daily', run_as: dcron-job}}"
    file = tmp_path / "jobs.yml"
    file.write_text(f"jobs: [{job.format('hers')}, {job.format('mine')}]")
    terminal.token = api.tokens["operator"]
    told = terminal("apply", "-f", str(file), "--yes")
    assert told.exit_code == 3, told.output
    assert "  hers: job 1 belongs to admin" in told.stderr
    assert [one["name"] for one in api.get("/jobs").json] == ["hers", "mine"]
    assert api.get("/jobs/1").json["executable"] == "ls -la"


def test_a_job_is_found_by_its_whole_name_only(terminal: Terminal, api: Api) -> None:
    api.post("/jobs", {**COMMAND, "name": "backup-all"})
    api.post("/jobs", {**COMMAND, "name": "backup"})
    assert json.loads(terminal("job", "show", "backup", "--json").stdout)["id"] == "2"
    assert terminal("job", "rm", "backup", "--yes").exit_code == 0
    assert terminal("job", "show", "backup").exit_code == 4


def test_a_prune_is_planned_by_the_cluster_and_spares_jobs_without_a_name(
    terminal: Terminal, api: Api, tmp_path: Path
) -> None:
    for name in ("a", "b", None):
        api.post("/jobs", {**COMMAND, "name": name, "labels": {"x": "y"}})
    file = tmp_path / "jobs.yml"
    file.write_text("jobs: []")
    planned = terminal("apply", "-f", str(file), "--prune", "--label", "x=y", "--json")
    assert [one["action"] for one in json.loads(planned.stdout)["steps"]] == ["remove", "remove"]
    assert len(api.get("/jobs?removed=false").json) == 3
    terminal.token = api.tokens["operator"]
    told = terminal("apply", "-f", str(file), "--prune", "--yes")
    assert told.exit_code == 3, told.output
    assert len(api.get("/jobs?removed=false").json) == 3
    terminal.token = api.tokens["admin"]
    told = terminal("apply", "-f", str(file), "--prune", "--yes")
    assert told.exit_code == 0, told.output
    assert [one["name"] for one in api.get("/jobs?removed=false").json] == [None]


def test_a_pause_that_rights_forbid_ends_with_3(terminal: Terminal, api: Api) -> None:
    number = api.post("/jobs", COMMAND).json["id"]
    terminal.token = api.tokens["operator"]
    told = terminal("job", "pause", number)
    assert told.exit_code == 3, told.output
