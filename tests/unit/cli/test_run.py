"""`dcron run list|show|logs|kill`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from dcron_cli import following
from tests.unit.cli.cluster import RUN, Asked, Reply, Script, Terminal, job, problem, run

Answering = Callable[[dict[str, Any]], Terminal]
OUTPUT = f"GET /jobs/1/runs/{RUN}/output"


def script(terminal: Terminal) -> Script:
    assert isinstance(terminal.adapter, Script)
    return terminal.adapter


def test_runs_are_listed_of_all_jobs_or_of_one(answering: Answering) -> None:
    failed = run("failed", exit_code=3, reason="exit code 3")
    terminal = answering({"GET /jobs/1": job(), "GET /jobs/1/runs": [failed], "GET /runs": []})
    told = terminal(
        *("run", "list", "1", "--state", "failed", "--state", "lost", "--trigger", "cron"),
        *("--worker", "node1", "--from", "2027-01-15T00:00:00Z", "--to", "2027-01-16T00:00:00Z"),
    )
    assert told.exit_code == 0, told.output
    header, line = told.stdout.splitlines()
    assert header.split() == [
        *("ID", "DUE", "TRIGGER", "STATE", "EXIT", "TOOK", "WORKER", "REASON")
    ]
    assert line.split() == [
        *(RUN, "01-15", "08:00Z", "cron", "failed", "3", "2.5s", "node1", "exit", "code", "3")
    ]
    assert script(terminal).asked[-1].query == {
        "state": ["failed", "lost"],
        "trigger": ["cron"],
        "worker": ["node1"],
        "from": ["2027-01-15T00:00:00Z"],
        "to": ["2027-01-16T00:00:00Z"],
        "limit": ["100"],
    }
    assert terminal("run", "list").stderr == "no such run\n"
    assert json.loads(terminal("run", "list", "1", "--json").stdout) == [failed]


def test_the_newest_run_is_meant_where_none_is_named(answering: Answering) -> None:
    answers = {"GET /jobs/1": job(), "GET /jobs/1/runs": [run()]}
    terminal = answering(answers)
    assert json.loads(terminal("run", "show", "1", "--json").stdout) == run()
    assert script(terminal).asked[-1].query == {"limit": ["1"]}
    told = answering({"GET /jobs/1": job(), "GET /jobs/1/runs": []})("run", "logs", "1")
    assert told.exit_code == 4
    assert "has not run yet; run it now: dcron job run 1" in told.stderr


PASSED = run(
    "missed",
    id=RUN[:-1] + "Z",
    scheduled_at="2027-01-15T08:05:00Z",
    started_at=None,
    worker=None,
    reason="no worker was online",
)
WHY = "2027-01-15 08:05:00Z was missed: no worker was online"


def runs_by_state(*found: dict[str, Any]) -> Callable[[Asked], Reply]:
    """GET /jobs/1/runs: the newest first, of the states that are asked for."""

    def answer(asked: Asked) -> Reply:
        states = asked.query.get("state")
        kept = [one for one in found if states is None or one["state"] in states]
        return Reply(kept[: int(asked.query["limit"][0])])

    return answer


def test_after_a_minute_that_was_passed_over_the_newest_output_is_shown_and_why(
    answering: Answering,
) -> None:
    never = run("killed", id=RUN[:-1] + "A", started_at=None)
    for newest in (PASSED, {**PASSED, "state": "skipped"}, {**PASSED, "state": "killed"}):
        listed = runs_by_state(newest, never, run())
        answers = {"GET /jobs/1": job(), "GET /jobs/1/runs": listed, OUTPUT: Reply(b"done\n")}
        told = answering(answers)("run", "logs", "1")
        assert (told.exit_code, told.stdout) == (0, "done\n"), told.output
        assert told.stderr == (
            f"({WHY.replace('missed', newest['state'])}; this is run {RUN}, succeeded, "
            "due at 2027-01-15 08:00:00Z)\n"
        )


def test_a_run_that_never_began_says_why_and_which_one_to_look_at(answering: Answering) -> None:
    named = {"GET /jobs/1": job(), f"GET /jobs/1/runs/{PASSED['id']}": PASSED}
    answers = {**named, "GET /jobs/1/runs": runs_by_state(PASSED, run())}
    told = answering(answers)("run", "logs", "1", PASSED["id"])
    assert told.exit_code == 4
    assert WHY in told.stderr and f"dcron run logs 1 {RUN}" in told.stderr
    for called in ((), (PASSED["id"],)):
        told = answering({**named, "GET /jobs/1/runs": runs_by_state(PASSED)})(
            "run", "logs", "1", *called
        )
        assert told.exit_code == 4
        assert f"{WHY}, and no run of job 1 has an output; see: dcron run list 1" in told.stderr


def test_a_run_that_goes_on_is_read_by_following_it(answering: Answering) -> None:
    answers = {"GET /jobs/1": job(), "GET /jobs/1/runs": [run("running")]}
    told = answering(answers)("run", "logs", "1")
    assert told.exit_code == 1
    assert f"dcron run logs 1 {RUN} --follow" in told.stderr


def test_an_output_steers_the_terminal_only_when_that_is_asked_for(answering: Answering) -> None:
    wrote = b"a\tb\n\x1b[31mred\x1b[0m\rover \xff \xe2\x80\xae\n"
    answers = {"GET /jobs/1": job(), f"GET /jobs/1/runs/{RUN}": run(), OUTPUT: Reply(wrote)}
    terminal = answering(answers)
    told = terminal("run", "logs", "1", RUN)
    assert told.stdout == "a\tb\n\\x1b[31mred\\x1b[0m\\x0dover \\xff \\u202e\n"
    assert terminal("run", "logs", "1", RUN, "--raw").stdout_bytes == wrote


def test_an_output_is_followed_and_a_cut_one_is_told(answering: Answering) -> None:
    cut = Reply(b"the end\n", headers={"Dcron-Output": "tail"})
    answers = {"GET /jobs/1": job(), f"GET /jobs/1/runs/{RUN}": run("running"), OUTPUT: cut}
    terminal = answering(answers)
    told = terminal("run", "logs", "1", RUN, "-f")
    assert told.stdout == "the end\n"
    assert "only the end" in told.stderr
    assert script(terminal).asked[-1].query == {"follow": ["true"]}


def stops(position: int) -> bytes:
    return b"\n[dcron: following stops at byte %d, since nothing came for 600 s]\n" % position


def test_a_run_is_followed_until_it_ends_however_long_it_is_silent(answering: Answering) -> None:
    pieces = [b"one\n" + stops(4), stops(4), b"two\n" + stops(8), b"three\n"]
    terminal = answering(
        {
            "GET /jobs/1": job(),
            f"GET /jobs/1/runs/{RUN}": run("running"),
            OUTPUT: [Reply(one, headers={"Dcron-Output": "followed"}) for one in pieces],
        }
    )
    told = terminal("run", "logs", "1", RUN, "-f")
    assert (told.exit_code, told.stdout) == (0, "one\ntwo\nthree\n")
    asked = [one.query for one in script(terminal).sent("GET", OUTPUT.partition(" ")[2])]
    begins = [one.pop("from", None) for one in asked]
    assert begins == [None, ["4"], ["4"], ["8"]]
    assert asked == [{"follow": ["true"]}] * 4


def test_what_cannot_be_followed_to_its_end_is_no_success(answering: Answering) -> None:
    away = problem(503, "worker node1, which has the run, is away")
    terminal = answering(
        {
            "GET /jobs/1": job(),
            f"GET /jobs/1/runs/{RUN}": run("running"),
            OUTPUT: [Reply(b"one\n" + stops(4)), away],
        }
    )
    told = terminal("run", "logs", "1", RUN, "-f")
    assert (told.exit_code, told.stdout) == (5, "one\n")
    assert "node1, which has the run, is away" in told.stderr


def test_a_job_that_writes_what_the_cluster_says_holds_nobody(answering: Answering) -> None:
    forged = Reply(b"one\n" + stops(0))
    answers = {"GET /jobs/1": job(), f"GET /jobs/1/runs/{RUN}": run(), OUTPUT: forged}
    terminal = answering(answers)
    told = terminal("run", "logs", "1", RUN, "-f")
    assert told.exit_code == 0
    assert told.stdout == "one\none\n" + stops(0).decode()
    assert len(script(terminal).sent("GET", OUTPUT.partition(" ")[2])) == 2


def test_the_last_word_is_known_however_it_is_cut() -> None:
    said = b"one\n[dcro" + b"n: two]\nthree\n"
    whole = said + stops(8)
    for size in range(1, len(whole) + 1):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        last: list[bytes] = []

        def read(pieces: list[bytes] = pieces, last: list[bytes] = last) -> Iterator[bytes]:
            last.append((yield from following._until_it_stops(pieces)))

        shown = b"".join(read())
        assert following._STOPS.search(last[0]), size
        assert shown.rstrip(b"\n") == said.rstrip(b"\n"), size


def test_the_one_run_that_goes_on_is_ended_when_that_is_confirmed(answering: Answering) -> None:
    asked = {"runs": [{"run_id": RUN, "worker": "node1"}]}
    answers = {
        "GET /jobs/1": job(),
        "GET /jobs/1/runs": [run("running")],
        f"POST /jobs/1/runs/{RUN}/kill": Reply(asked, 202),
    }
    terminal = answering(answers)
    assert terminal("run", "kill", "1", typed="n\n").exit_code == 1
    told = terminal("run", "kill", "1", typed="y\n")
    assert told.stdout == f"node1 is asked to end run {RUN}\n"
    assert terminal("run", "kill", "1", RUN).exit_code == 0  # a run that is named is meant
    assert len(script(terminal).sent("POST", f"/jobs/1/runs/{RUN}/kill")) == 2


def test_which_run_shall_end_has_to_be_said_where_there_are_several(answering: Answering) -> None:
    several = [run("running"), run("running", worker="node2")]
    terminal = answering({"GET /jobs/1": job(), "GET /jobs/1/runs": several})
    told = terminal("run", "kill", "1", "--yes")
    assert told.exit_code == 1
    assert "on node2" in told.stderr
    told = answering({"GET /jobs/1": job(), "GET /jobs/1/runs": []})("run", "kill", "1", "--yes")
    assert told.exit_code == 4


def test_a_run_that_is_over_is_told(answering: Answering) -> None:
    answers = {"GET /jobs/1": job(), f"POST /jobs/1/runs/{RUN}/kill": problem(409, "it is over")}
    told = answering(answers)("run", "kill", "1", RUN)
    assert (told.exit_code, told.stderr) == (1, "dcron: it is over\n")
