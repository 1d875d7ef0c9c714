"""`dcron job list|show|add|run|rm`."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.cluster import RUN, Asked, Reply, Script, Terminal, job, problem, run

Answering = Callable[[dict[str, Any]], Terminal]
ASKED = {
    "run_id": RUN,
    "job_id": "1",
    "asked_at": "2027-01-15T08:00:30Z",
    "runs": [{"run_id": RUN, "worker": "node1"}],
    "failed": [],
}


def script(terminal: Terminal) -> Script:
    assert isinstance(terminal.adapter, Script)
    return terminal.adapter


def by_name(asked: Asked) -> Reply:
    """GET /jobs?name=: the job of just this name."""
    jobs = [
        job(7, name="backup-all"),
        job(8, name="backup"),
        job(9, name="12"),
        job(10, name="001"),
    ]
    return Reply([one for one in jobs if asked.query["name"] == [one["name"]]])


def test_a_list_is_narrowed_down_by_what_the_api_knows(answering: Answering) -> None:
    terminal = answering({"GET /jobs": [job(name="backup")]})
    told = terminal(
        *(
            "job",
            "list",
            "--status",
            "error",
            "--type",
            "script",
            "--owner",
            "ann",
            "--team",
            "ops",
        ),
        *("--worker", "node1", "--run-as", "www", "--not-paused", "--label", "a=b"),
        *("--label", "c=d=e", "--text", "pg", "--sort", "-updated_at", "--limit", "5"),
    )
    assert told.exit_code == 0, told.output
    assert script(terminal).asked[0].query == {
        **{"status": ["error"], "type": ["script"], "owner": ["ann"], "team": ["ops"]},
        **{"worker": ["node1"], "run_as": ["www"], "paused": ["false"]},
        **{"label": ["a=b", "c=d=e"], "q": ["pg"], "sort": ["-updated_at"]},
        **{"removed": ["false"], "limit": ["5"]},
    }
    assert "backup" in told.stdout


def test_a_list_is_an_array_for_programs_and_says_when_there_is_more(
    answering: Answering,
) -> None:
    link = {"Link": '</jobs?limit=2&after=x>; rel="next"'}
    pages = [Reply([job(1), job(2)], headers=link), Reply([job(3)])]
    terminal = answering({"GET /jobs": [*pages]})
    told = terminal("job", "list", "--limit", "2", "--json")
    assert json.loads(told.stdout) == [job(1), job(2)]
    assert "the first 2" in told.stderr
    terminal = answering({"GET /jobs": pages})
    told = terminal("job", "list", "--all", "--json")
    assert [one["id"] for one in json.loads(told.stdout)] == ["1", "2", "3"]
    assert told.stderr == ""
    assert script(terminal).asked[1].query == {"limit": ["2"], "after": ["x"]}


def test_control_characters_in_names_do_not_reach_the_terminal(answering: Answering) -> None:
    evil = job(name="x\x1b]0;owned\x07\u202e", labels={"a": "\x9b2J"}, schedule="\x1b[2J")
    terminal = answering({"GET /jobs": [evil], "GET /jobs/1": evil})
    for command in (("list",), ("list", "--json"), ("show", "1"), ("show", "1", "--json")):
        told = terminal("job", *command)
        assert told.exit_code == 0, told.output
        assert all(char.isprintable() or char == "\n" for char in told.output)
    assert json.loads(told.stdout) == evil


def test_markup_in_a_name_is_only_a_text(answering: Answering) -> None:
    terminal = answering({"GET /jobs": [job(name="[red]x[/red] :boom:")]})
    assert "[red]x[/red] :boom:" in terminal("job", "list").stdout


def test_a_job_is_found_by_id_or_by_its_whole_name(answering: Answering) -> None:
    terminal = answering({"GET /jobs": by_name, "GET /jobs/1": job(1)})
    shown = {
        called: json.loads(terminal("job", "show", called, "--json").stdout)["id"]
        for called in ("1", "backup", "backup-all", "12", "001")
    }
    assert shown == {"1": "1", "backup": "8", "backup-all": "7", "12": "9", "001": "10"}
    told = terminal("job", "show", "back")
    assert told.exit_code == 4
    assert "there is no job 'back'" in told.stderr
    assert script(terminal).asked[-1].query == {"name": ["back"], "removed": ["false"]}


def test_an_earlier_cluster_that_finds_parts_of_names_only_is_asked_for_those(
    answering: Answering,
) -> None:
    jobs = [job(7, name="backup-all"), job(8, name="backup")]

    def earlier(asked: Asked) -> Reply:
        if "name" in asked.query:
            return problem(422, "refused: name", ("name", "is unknown; leave it out"))
        (text,) = asked.query["q"]
        return Reply([one for one in jobs if text in one["name"]])

    terminal = answering({"GET /jobs": earlier})
    assert json.loads(terminal("job", "show", "backup", "--json").stdout)["id"] == "8"
    told = terminal("job", "show", "back")
    assert told.exit_code == 4
    assert "there is no job 'back'" in told.stderr
    unknown = [problem(422, "no", (key, "is unknown; leave it out")) for key in ("name", "q")]
    told = answering({"GET /jobs": unknown})("job", "show", "backup")
    assert told.exit_code == 1
    assert "the cluster's dcron is older and finds no job by its name" in told.stderr


def test_every_field_of_a_job_has_an_option(answering: Answering) -> None:
    terminal = answering({"POST /jobs": Reply(job(5, name="n"), 201)})
    told = terminal(
        *("job", "add", "--schedule", "@daily", "--command", "ls", "--name", "n", "--tz", "UTC"),
        *("--label", "a=b", "--env", "X=y=z", "--secret", "S", "--workdir", "/srv"),
        *("--run-as", "www", "--owner", "ann", "--team", "ops", "--timeout", "2h"),
        *("--retries", "3", "--retry-delay", "90s", "--starting-deadline", "5m"),
        *("--concurrency", "allow", "--catch-up", "all", "--on-worker-loss", "fail"),
        *("--on-isolation", "run", "--on", "all", "--worker-label", "rack=1"),
        *("--memory", "256M", "--cpu", "50", "--processes", "9", "--output", "1k", "--paused"),
    )
    assert told.exit_code == 0, told.output
    assert told.stdout == "job 5 (n) is made; next run at 2027-01-15T08:05:00Z\n"
    assert script(terminal).asked[0].body == {
        **{"type": "command", "executable": "ls", "schedule": "@daily", "name": "n"},
        **{"timezone": "UTC", "labels": {"a": "b"}, "environment": {"X": "y=z"}},
        **{"secrets": ["S"], "working_directory": "/srv", "run_as": "www", "owner": "ann"},
        **{"team": "ops", "timeout_seconds": 7200, "retries": 3, "retry_delay_seconds": 90},
        **{"starting_deadline_seconds": 300, "concurrency": "allow", "catch_up": "all"},
        **{"on_worker_loss": "fail", "on_isolation": "run", "paused": True},
        "placement": {"labels": {"rack": "1"}, "on": "all"},
        "limits": {
            **{"memory_bytes": 2**28, "cpu_percent": 50, "processes": 9, "output_bytes": 1024}
        },
    }


def test_a_script_is_sent_with_its_name_and_once_though_the_answer_is_lost(
    answering: Answering, tmp_path: Path
) -> None:
    file = tmp_path / "backup.sh"
    file.write_bytes(b"#!/bin/sh\necho \xff\n")
    terminal = answering({"POST /jobs": Reply(job(5), 201)})
    terminal("job", "add", "-s", "@daily", "--script", str(file), "-a", "--full", "-a", "x")
    asked = script(terminal).asked[0]
    assert base64.b64decode(asked.body["executable"]) == file.read_bytes()
    assert (asked.body["filename"], asked.body["arguments"]) == ("backup.sh", ["--full", "x"])
    assert len(asked.headers["Idempotency-Key"]) == 32


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--command", "ls"], "when shall it run?"),
        (["-s", "@daily"], "what shall it run?"),
        (["-s", "@daily", "-c", "ls", "--script", "x"], "not both"),
        (["-s", "@daily", "--script", "/nonexistent"], "cannot be read"),
        (["-s", "@daily", "-c", "ls", "--label", "x"], "write KEY=VALUE"),
        (["-s", "@daily", "-c", "ls", "--timeout", "5x"], "90s, 5m, 2h"),
        (["-s", "@daily", "-c", "ls", "--memory", "lots"], "256M"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    answering: Answering, options: list[str], told: str
) -> None:
    terminal = answering({})
    shown = terminal("job", "add", *options)
    assert shown.exit_code == 2
    assert told in shown.stderr
    assert script(terminal).asked == []


def test_a_dry_run_makes_nothing(answering: Answering) -> None:
    terminal = answering({"POST /jobs": Reply(job(0), 200)})
    told = terminal("job", "add", "-s", "@daily", "-c", "ls", "--dry-run")
    assert "would be made" in told.stdout
    assert script(terminal).asked[0].query == {"dry_run": ["true"]}
    assert "Idempotency-Key" not in script(terminal).asked[0].headers


def test_what_the_cluster_refuses_is_told_by_field(answering: Answering) -> None:
    refused = problem(422, "refused: schedule", ("schedule", "is empty; write five fields"))
    told = answering({"POST /jobs": refused})("job", "add", "-s", "", "-c", "ls")
    assert told.exit_code == 1
    assert "  --schedule: is empty; write five fields" in told.stderr


def test_a_run_now_is_asked_for_with_its_arguments(answering: Answering) -> None:
    terminal = answering({"GET /jobs/1": job(), "POST /jobs/1/runs": Reply(ASKED, 202)})
    told = terminal("job", "run", "1", "--", "--full", "x")
    assert told.stdout == f"job 1: run {RUN} on node1\n"
    assert script(terminal).asked[-1].body == {"arguments": ["--full", "x"]}
    assert json.loads(terminal("job", "run", "1", "--json").stdout) == ASKED
    assert script(terminal).asked[-1].body is None


def test_a_job_that_was_just_made_is_asked_for_until_it_has_a_worker(answering: Answering) -> None:
    nobody = problem(409, "no worker has job 1 yet: the manager is about to place it; ask again")
    answers = {"GET /jobs/1": job(worker=None), "POST /jobs/1/runs": [nobody, Reply(ASKED, 202)]}
    terminal = answering(answers)
    assert terminal("job", "run", "1").exit_code == 0
    assert terminal.slept == [0.5]
    terminal = answering({"GET /jobs/1": job(worker=None), "POST /jobs/1/runs": nobody})
    told = terminal("job", "run", "1")
    assert (told.exit_code, sum(terminal.slept)) == (1, 5)
    terminal = answering({"GET /jobs/1": job(), "POST /jobs/1/runs": problem(409, "20 wait")})
    assert terminal("job", "run", "1").stderr == "dcron: 20 wait\n"
    assert terminal.slept == []


@pytest.mark.parametrize(("state", "code"), [("succeeded", 0), ("failed", 1), ("killed", 1)])
def test_a_run_is_waited_for_and_its_end_is_the_exit_code(
    answering: Answering, state: str, code: int
) -> None:
    where = f"/jobs/1/runs/{RUN}"
    terminal = answering(
        {
            "GET /jobs/1": job(),
            "POST /jobs/1/runs": Reply(ASKED, 202),
            f"GET {where}": [
                *(problem(404, "not yet"), Reply(run("running")), Reply(run("running"))),
                Reply(run(state, reason="because", exit_code=7 if code else 0)),
            ],
            f"GET {where}/output": Reply(b"line\n\x1b[2J", headers={"Dcron-Output": "whole"}),
        }
    )
    told = terminal("job", "run", "1", "--wait")
    assert told.exit_code == code
    assert told.stdout == "line\n\\x1b[2J"
    assert f"run {RUN} {state}" in told.stderr
    assert script(terminal).sent("GET", f"{where}/output")[0].query == {"follow": ["true"]}
    assert len(terminal.slept) == 2  # before it began, and while its row said that it goes on


def test_an_output_that_cannot_be_followed_does_not_hide_how_the_run_ends(
    answering: Answering,
) -> None:
    where = f"/jobs/1/runs/{RUN}"
    answers = {
        "GET /jobs/1": job(),
        "POST /jobs/1/runs": Reply(ASKED, 202),
        f"GET {where}": run(),
        f"GET {where}/output": problem(503, "2 readers follow, which is as many as may"),
    }
    told = answering(answers)("job", "run", "1", "--wait")
    assert told.exit_code == 0
    assert "is followed no more: 2 readers follow" in told.stderr
    assert f"run {RUN} succeeded" in told.stderr


def test_waiting_ends_when_its_time_is_over(answering: Answering) -> None:
    terminal = answering(
        {
            "GET /jobs/1": job(),
            "POST /jobs/1/runs": Reply(ASKED, 202),
            f"GET /jobs/1/runs/{RUN}": run("running"),
        }
    )
    told = terminal("job", "run", "1", "--wait", "--for", "3s")
    assert told.exit_code == 1
    assert "goes on, and the time to wait for it is over" in told.stderr
    assert sum(terminal.slept) == 3


def test_a_worker_that_could_not_be_asked_is_told_and_fails_a_wait(answering: Answering) -> None:
    some = {**ASKED, "failed": [{"worker": "node2", "reason": "20 wait already"}]}
    where = f"/jobs/1/runs/{RUN}"
    answers = {
        "GET /jobs/1": job(),
        "POST /jobs/1/runs": Reply(some, 202),
        f"GET {where}": run(),
        f"GET {where}/output": Reply(b""),
    }
    told = answering(answers)("job", "run", "1", "--wait")
    assert told.exit_code == 1
    assert "node2 could not be asked: 20 wait already" in told.stderr


def test_removal_is_asked_about_and_bound_to_what_was_shown(answering: Answering) -> None:
    answers = {"GET /jobs/1": job(name="backup"), "DELETE /jobs/1": job(status="finished")}
    terminal = answering(answers)
    told = terminal("job", "rm", "1", typed="n\n")
    assert told.exit_code == 1
    assert "remove job 1 (backup), 5 * * * *: ls -la?" in told.stderr
    assert script(terminal).sent("DELETE", "/jobs/1") == []
    assert terminal("job", "rm", "1", typed="").exit_code == 1  # nobody is there
    told = terminal("job", "rm", "1", "--yes")
    assert told.stdout == "job 1 (backup) is removed\n"
    assert script(terminal).sent("DELETE", "/jobs/1")[0].headers["If-Match"] == '"3"'
