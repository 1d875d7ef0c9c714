"""What is asked for once is done once, though its answer is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from dcron_common.db import workers
from dcron_common.protocol import Registration
from tests.unit.app import asked as manager
from tests.unit.app.api_client import COMMAND, NOW, Api
from tests.unit.cli.cluster import RUN, Asked, Reply, Script, Terminal, Wsgi, job, problem

Answering = Callable[[dict[str, Any]], Terminal]
ASKED = {"runs": [{"run_id": RUN, "worker": "node1"}], "failed": []}
RUNS = "POST /jobs/1/runs"
HELD = "Idempotency-Key: the first request with it "
BROKEN = (
    f"{HELD}was broken off, and may or may not have been done: look, and take a new key to have it "
    "done"
)


def described(*headers: str) -> dict[str, Any]:
    parameters = [{"name": name, "in": "header"} for name in headers]
    return {"paths": {"/jobs/{job_id}/runs": {"post": {"parameters": parameters}}}}


class Losing:
    """Answers that are lost at first; `keys`: those of all requests."""

    def __init__(self, answer: Any, lost: int = 1) -> None:
        self.answer, self.lost = answer, lost
        self.keys: list[str | None] = []

    def __call__(self, asked: Asked) -> Reply:
        self.keys.append(asked.headers.get("Idempotency-Key"))
        if len(self.keys) <= self.lost:
            raise requests.ConnectionError("lost")
        return self.answer if isinstance(self.answer, Reply) else Reply(self.answer)


WAYS = [
    (("job", "run", "1"), RUNS, ASKED),
    (("run", "kill", "1", RUN), f"POST /jobs/1/runs/{RUN}/kill", ASKED),
    (("job", "pause", "1"), "POST /jobs/pause", {"changed": ["1"], "unchanged": [], "failed": []}),
    (
        ("job", "resume", "1"),
        "POST /jobs/resume",
        {"changed": [], "unchanged": ["1"], "failed": []},
    ),
    (("worker", "drain", "node1"), "POST /workers/node1/drain", {}),
    (("worker", "resume", "node1"), "POST /workers/node1/resume", {}),
    (("job", "add", "-s", "@daily", "-c", "ls"), "POST /jobs", job(5)),
    (("user", "add", "eve", "--role", "viewer"), "POST /users", {"name": "eve", "role": "viewer"}),
]


@pytest.mark.parametrize(("command", "call", "answer"), WAYS, ids=[way[1] for way in WAYS])
def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    answering: Answering, command: tuple[str, ...], call: str, answer: Any
) -> None:
    losing = Losing(answer)
    there = {"GET /jobs/1": job(), "GET /openapi.json": described("Idempotency-Key")}
    told = answering({**there, call: losing})(*command)
    assert told.exit_code == 0, told.output
    first, second = losing.keys
    assert first == second and first is not None and len(first) == 32


def test_two_commands_have_two_keys(answering: Answering) -> None:
    losing = Losing(ASKED, 0)
    terminal = answering({"GET /jobs/1": job(), RUNS: losing})
    terminal("job", "run", "1")
    terminal("job", "run", "1")
    assert len(set(losing.keys)) == 2


@pytest.mark.parametrize("known", [described(), {"paths": {}}, problem(404, "nothing here")])
def test_a_cluster_that_knows_no_key_for_runs_is_not_asked_for_a_second_one(
    answering: Answering, known: Any
) -> None:
    losing = Losing(ASKED)
    answers = {"GET /jobs/1": job(), RUNS: losing, "GET /openapi.json": known}
    told = answering(answers)("job", "run", "1")
    assert (told.exit_code, len(losing.keys)) == (5, 1)
    assert "look at it (dcron run list 1) before you ask again" in told.stderr


def test_a_run_whose_answer_is_lost_twice_is_to_be_looked_for(answering: Answering) -> None:
    losing = Losing(ASKED, 9)
    known = {"GET /openapi.json": described("Idempotency-Key")}
    told = answering({"GET /jobs/1": job(), RUNS: losing, **known})("job", "run", "1")
    assert (told.exit_code, len(losing.keys)) == (5, 2)
    assert "a run may come all the same: look at it (dcron run list 1)" in told.stderr
    assert "try again" not in told.stderr


@pytest.mark.parametrize(("command", "call", "answer"), WAYS, ids=[way[1] for way in WAYS])
def test_after_a_lost_answer_nobody_is_told_to_try_again(
    answering: Answering, command: tuple[str, ...], call: str, answer: Any
) -> None:
    del answer
    losing = Losing(problem(503, "the database is away", **{"Retry-After": "5"}))
    there = {"GET /jobs/1": job(), "GET /openapi.json": described("Idempotency-Key")}
    told = answering({**there, call: losing})(*command)
    assert (told.exit_code, len(losing.keys)) == (5, 2)
    assert "cannot be reached" in told.stderr and "try again" not in told.stderr


def test_a_run_that_nobody_can_say_of_whether_it_comes_is_to_be_looked_for(
    answering: Answering,
) -> None:
    doubtful = problem(
        503,
        "run X may or may not come: look at the job's runs before you ask again",
        **{"Retry-After": "5"},
    )
    held = problem(409, BROKEN, ("Idempotency-Key", BROKEN.removeprefix("Idempotency-Key: ")))
    for reply, code in ((doubtful, 5), (held, 1)):
        told = answering({"GET /jobs/1": job(), RUNS: reply})("job", "run", "1")
        assert told.exit_code == code
        assert "look (dcron run list 1) before you ask again\n" in told.stderr
        assert len(told.stderr.splitlines()) == 1
        assert "key" not in told.stderr and "try again" not in told.stderr


@pytest.mark.parametrize(
    ("command", "call", "look"),
    [
        (("job", "run", "1"), RUNS, "dcron run list 1"),
        (("run", "kill", "1", RUN), f"POST /jobs/1/runs/{RUN}/kill", f"dcron run show 1 {RUN}"),
        (("worker", "drain", "n"), "POST /workers/n/drain", "dcron worker show n"),
        (("job", "add", "-s", "@daily", "-c", "ls"), "POST /jobs", "dcron job list"),
    ],
)
def test_what_is_still_being_done_is_to_be_looked_for_where_it_shows(
    answering: Answering, command: tuple[str, ...], call: str, look: str
) -> None:
    held = problem(409, f"{HELD}is still being served; ask again")
    told = answering({"GET /jobs/1": job(), call: held})(*command)
    assert told.stderr == (
        f"dcron: it is still being done; look whether it is ({look}) before you ask again\n"
    )


def test_what_is_answered_with_not_now_is_not_asked_for_again(answering: Answering) -> None:
    terminal = answering({"POST /workers/n/drain": problem(503, "the database is away")})
    assert terminal("worker", "drain", "n").exit_code == 5
    assert isinstance(terminal.adapter, Script)
    assert len(terminal.adapter.asked) == 1


def test_the_api_says_of_itself_that_it_takes_keys_for_runs(api: Api) -> None:
    operation = api.get("/openapi.json").json["paths"]["/jobs/{job_id}/runs"]["post"]
    parameters = [(one["in"], one["name"]) for one in operation["parameters"]]
    assert ("header", "Idempotency-Key") in parameters


class Cut(Wsgi):
    """The API; the connection of the first POST breaks once it is served."""

    posts = 0

    def send(self, request: requests.PreparedRequest, **more: Any) -> requests.Response:
        answer = super().send(request, **more)
        self.posts += request.method == "POST"
        if request.method == "POST" and self.posts == 1:
            raise requests.ConnectionError("cut")
        return answer


def test_a_run_whose_answer_is_lost_is_one_run(terminal: Terminal, api: Api) -> None:
    api.post("/jobs", COMMAND)
    manager.lay_places(api)
    manager.fence(api)
    node = Registration("node1", "boot", "s", "10.0.0.1", {}, 10, "0.1.0", 0)
    workers.save_seen(api.services.database, {"node1": node}, NOW)
    cut = terminal.adapter = Cut(api.app)
    told = terminal("job", "run", "1", "--json")
    assert told.exit_code == 0, told.output
    assert cut.posts == 2
    (run,) = json.loads(told.stdout)["runs"]
    assert [task.rsplit(".", 1)[-1] for task in manager.tasks(api)] == [run["run_id"]]
