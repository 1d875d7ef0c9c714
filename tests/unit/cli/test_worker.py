"""`dcron worker`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from dcron_common.db import workers
from dcron_common.protocol import Registration
from tests.unit.app.api_client import NOW, Api
from tests.unit.cli.cluster import Asked, Reply, Script, Terminal, problem

Answering = Callable[[dict[str, Any]], Terminal]
NODE = {
    "name": "node1",
    "state": "online",
    "drained": False,
    "address": "10.0.0.1",
    "labels": {"zone": "z", "rack": "a1", "disk": "ssd"},
    "own_labels": {"zone": "z", "rack": "a0"},
    "set_labels": {"rack": "a1", "disk": "ssd"},
    "ill": [],
    "ticked_through": "2027-01-15T08:00:00Z",
    "running": 2,
    "capacity": 1000,
    "version": "0.1.0",
    "clock_offset": -0.002,
    "first_seen": "2027-01-15T07:00:00Z",
    "last_seen": "2027-01-15T08:00:00Z",
    "jobs": 12,
}


def script(terminal: Terminal) -> Script:
    assert isinstance(terminal.adapter, Script)
    return terminal.adapter


def test_workers_are_listed_and_shown(answering: Answering) -> None:
    terminal = answering({"GET /workers": [NODE], "GET /workers/node1": NODE})
    told = terminal("worker", "list").stdout
    assert told.splitlines()[1].split() == [
        *("node1", "online", "12", "1000", "10.0.0.1", "0.1.0", "-0.002s"),
        *("01-15", "08:00Z", "zone=z", "rack=a1", "disk=ssd"),
    ]
    assert json.loads(terminal("worker", "list", "--json").stdout) == [NODE]
    assert json.loads(terminal("worker", "show", "node1", "--json").stdout) == NODE
    assert "disk=ssd" in terminal("worker", "show", "node1").stdout


def test_a_drained_worker_shows_as_such(answering: Answering) -> None:
    told = answering({"GET /workers": [{**NODE, "drained": True}]})("worker", "list").stdout
    assert "drained" in told and "online" not in told


def test_labels_are_added_and_taken_away(answering: Answering) -> None:
    def put(asked: Asked) -> Reply:
        return Reply({**NODE, **asked.body})

    terminal = answering({"GET /workers/node1": NODE, "PUT /workers/node1/labels": put})
    told = terminal("worker", "label", "node1", "rack=b2", "os=x", "--no-label", "disk")
    assert told.stdout == "node1: rack=b2 os=x\n"
    assert script(terminal).asked[-1].body == {"labels": {"rack": "b2", "os": "x"}}
    assert terminal("worker", "label", "node1").exit_code == 2


class Labelled:
    """GET and PUT of a worker's labels by its ETag; before each of the first `foreign` writes
    somebody else adds a label."""

    def __init__(self, foreign: int) -> None:
        self.labels, self.tag, self.foreign = {"disk": "ssd"}, 0, foreign

    def get(self, _asked: Asked) -> Reply:
        return Reply({**NODE, "set_labels": self.labels}, headers={"ETag": f'"{self.tag}"'})

    def put(self, asked: Asked) -> Reply:
        if self.foreign:
            self.labels = {**self.labels, f"theirs{self.foreign}": "x"}
            self.tag, self.foreign = self.tag + 1, self.foreign - 1
        if asked.headers.get("If-Match", f'"{self.tag}"') != f'"{self.tag}"':
            return problem(412, "the worker was changed by now: read it again and decide again")
        self.labels = asked.body["labels"]
        return Reply({**NODE, **asked.body})

    def answers(self) -> dict[str, Any]:
        return {"GET /workers/node1": self.get, "PUT /workers/node1/labels": self.put}


def test_a_label_that_somebody_else_adds_meanwhile_is_kept(answering: Answering) -> None:
    node = Labelled(2)
    told = answering(node.answers())("worker", "label", "node1", "rack=b2", "--no-label", "disk")
    assert told.exit_code == 0, told.output
    assert node.labels == {"theirs1": "x", "theirs2": "x", "rack": "b2"}


def test_labels_that_others_change_all_the_time_are_given_up_at_last(answering: Answering) -> None:
    node = Labelled(1000)
    told = answering(node.answers())("worker", "label", "node1", "rack=b2")
    assert told.exit_code == 1
    assert "look at it (dcron worker show node1) and do it again" in told.stderr
    assert "rack" not in node.labels and node.foreign == 995


def test_two_who_label_a_worker_at_once_both_do(terminal: Terminal, api: Api) -> None:
    seen = Registration("node1", "boot", "s", "10.0.0.1", {}, 10, "0.1.0", 0)
    workers.save_seen(api.services.database, {"node1": seen}, NOW)
    app, others = api.app, [b'{"labels": {"theirs": "x"}}']

    def meanwhile(environ: dict[str, Any], start: Any) -> Any:
        if environ["REQUEST_METHOD"] == "PUT" and others:
            assert api.call("PUT", "/workers/node1/labels", others.pop()).status == 200
        return app(environ, start)

    terminal.adapter.app = meanwhile  # type: ignore[attr-defined]
    told = terminal("worker", "label", "node1", "rack=b2", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["set_labels"] == {"rack": "b2", "theirs": "x"}


def test_a_worker_is_drained_and_resumed(answering: Answering) -> None:
    answers = {"POST /workers/node1/drain": NODE, "POST /workers/node1/resume": NODE}
    terminal = answering(answers)
    assert terminal("worker", "drain", "node1").stdout.startswith("node1 is drained")
    assert json.loads(terminal("worker", "resume", "node1", "--json").stdout) == NODE


def test_a_worker_is_forgotten_only_when_that_is_confirmed(answering: Answering) -> None:
    terminal = answering({"DELETE /workers/node1": Reply(None, 204)})
    assert terminal("worker", "forget", "node1", typed="n\n").exit_code == 1
    assert script(terminal).asked == []
    assert terminal("worker", "forget", "node1", "-y").stdout == "node1 is forgotten\n"


def test_a_worker_that_is_not_there_is_not_found(terminal: Terminal) -> None:
    told = terminal("worker", "drain", "nonsense")
    assert told.exit_code == 4
    assert "there is no worker nonsense" in told.stderr


def test_only_an_admin_drains(terminal: Terminal, api: Api) -> None:
    terminal.token = api.tokens["operator"]
    assert terminal("worker", "drain", "node1").exit_code == 3
