"""What a run writes, followed from the job's file through the database to the reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dcron_app.api.app import build
from dcron_app.manager import followed
from dcron_common import paths
from dcron_common.db import chunks
from dcron_common.db.chunks import Chunk
from dcron_common.db.models import OutputChunk
from dcron_common.errors import DatabaseUnavailable
from dcron_common.protocol import Follow
from dcron_common.run import RunState
from dcron_worker.runner.model import Started
from tests.in_process.world import Node, World
from tests.unit.app.api_client import Answer, Api

BYTES = bytes(range(256)) * 10


def begun(world: World, node: Node) -> str:
    """The run that the next minute brings, once it shows that it goes on."""
    world.go(65)
    run_id = node.processes.launched[-1].run_id
    node.inbox.put(Started(run_id, 1, world.time.now))
    world.turn()
    return run_id


class Scene:
    """A job that runs on node a, and a reader: while it waits the world goes on, and `script` is
    carried out step by step."""

    def __init__(self, world: World, api: Api, folder: Path) -> None:
        self.world = world
        self.api = api
        self.script: list[Callable[[], object]] = []
        self.node: Node = world.add("a")
        self.node.processes.outputs = folder
        self.job = world.post()
        self.run_id = begun(world, self.node)
        api.services = replace(api.services, pause=self._pause)
        api.app = build(api.services)

    def _pause(self, seconds: float) -> None:
        self.world.time.now += seconds
        if self.script:
            self.script.pop(0)()
        self.world.turn()

    def write(self, data: bytes) -> None:
        with self.node.processes.output_path(self.run_id).open("ab") as file:
            file.write(data)

    def end(self) -> None:
        """The process ends; its worker records it and has its file removed."""
        path = self.node.processes.output_path(self.run_id)
        self.node.inbox.put(self.node.processes.end(output=path))

    def follow(self) -> Answer:
        return self.api.get(f"/jobs/{self.job}/runs/{self.run_id}/output?follow=true")

    @property
    def wishes(self) -> list[str]:
        return self.world.app.children(paths.follows("a"))

    def pieces(self) -> int:
        return self.world.database.read(lambda: OutputChunk.select().count())


@pytest.fixture
def scene(world: World, api: Api, tmp_path: Path) -> Scene:
    folder = tmp_path / "output"
    folder.mkdir()
    return Scene(world, api, folder)


def state(scene: Scene) -> RunState:
    return next(row.state for row in scene.world.rows(scene.job) if row.run_id == scene.run_id)


def test_a_run_is_followed_from_its_first_byte_to_its_last(scene: Scene) -> None:
    scene.write(BYTES)
    scene.script = [
        lambda: None,
        lambda: scene.write(b"more\n"),
        lambda: None,
        lambda: (scene.write(b"last words\n"), scene.end()),
    ]
    answer = scene.follow()
    assert (answer.status, answer.headers["Dcron-Output"]) == (200, "followed")
    assert answer.body == BYTES + b"more\n" + b"last words\n"
    assert state(scene) is RunState.SUCCEEDED
    assert not scene.node.processes.output_path(scene.run_id).exists()
    scene.world.turn()
    assert scene.wishes == []


def test_while_nobody_follows_nothing_is_written(scene: Scene) -> None:
    scene.write(BYTES)
    scene.world.go(30)
    assert (scene.pieces(), scene.wishes) == (0, [])


def test_a_reader_that_goes_leaves_nothing_that_lasts(scene: Scene) -> None:
    scene.write(BYTES)
    until = scene.world.time.now + 30
    scene.world.app.create(paths.follow("a", scene.run_id), Follow(until).encode())
    scene.world.app.set_access(
        paths.follow("a", scene.run_id), (("dcron-app", "rwcda"), ("a", "r"))
    )
    scene.world.turn()
    assert scene.pieces() == 1
    scene.world.time.now = until + 1
    scene.world.turn()
    scene.write(BYTES)
    scene.world.turn()
    assert (scene.wishes, scene.pieces()) == ([], 1)


def test_two_readers_read_the_same(scene: Scene) -> None:
    answers: list[Answer] = []
    scene.write(BYTES)
    scene.script = [
        lambda: None,
        # It reads to the end, in which the first reader has its own.
        lambda: answers.append(scene.follow()),
    ]
    scene.script += [lambda: (scene.write(b"end"), scene.end())]
    first = scene.follow()
    assert first.body == answers[0].body == BYTES + b"end"


def test_a_daemon_that_is_restarted_goes_on_without_a_gap(scene: Scene) -> None:
    scene.write(BYTES)
    scene.script = [
        lambda: None,
        lambda: None,
        scene.node.build,
        lambda: scene.write(b"after"),
        lambda: None,
        scene.end,
    ]
    assert scene.follow().body == BYTES + b"after"


def test_with_the_database_away_for_the_worker_the_run_is_not_disturbed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = chunks.append

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("gone")

    def back() -> None:
        monkeypatch.setattr(chunks, "append", append)

    monkeypatch.setattr(chunks, "append", away)
    scene.write(BYTES)
    scene.script = [*[lambda: None] * 5, back, lambda: None, scene.end]
    assert scene.follow().body == BYTES
    assert state(scene) is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (["b"], b"the rest did not come; the run has ended"),
        ([], b"following stops at byte 2560, since worker a, which had the run, is away"),
    ],
)
def test_the_loss_of_the_worker_is_told(scene: Scene, others: list[str], told: bytes) -> None:
    for name in others:  # which resume it
        scene.world.add(name)
    scene.write(BYTES)
    scene.script = [lambda: None, lambda: None, lambda: scene.world.lose("a")]
    assert scene.follow().body.startswith(BYTES + b"\n[dcron: " + told)
    scene.world.go(followed.EVERY + 1)
    assert scene.wishes == [], "the leader takes back what the worker cannot"


def test_pieces_go_some_minutes_after_the_end(scene: Scene) -> None:
    scene.write(BYTES)
    scene.script = [lambda: None, scene.end]
    assert scene.follow().body == BYTES
    count = scene.pieces()
    assert count > 0
    scene.world.go(followed.ENDED - 120)
    assert scene.pieces() == count
    scene.world.go(200)
    assert scene.pieces() == 0


def test_pieces_of_a_run_that_goes_on_stay_for_an_hour(world: World) -> None:
    now = world.time.now
    world.post()
    run_id = begun(world, world.add("a"))
    for number in range(3):
        chunks.append(world.database, [Chunk(run_id, number, b"x")], now, deadline=5.0)

    def drop(at: float, most: int = 100) -> int:
        return chunks.drop_old(world.database, at, ended=600.0, any_run=3600.0, most=most)

    assert drop(now + 700) == 0
    assert drop(now + 3601, most=2) == 2
    left = chunks.copied(world.database, run_id, deadline=5.0)
    assert left == chunks.Copied(1, 1), "what is left is the beginning"
    assert drop(now + 3601) == 1
