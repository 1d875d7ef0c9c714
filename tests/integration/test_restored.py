"""P15: a record that was put back from a backup, and is changed before the leader has seen that."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from dcron_app.api.announce import announce, write_fences
from dcron_common.db import jobs
from dcron_common.db.editing import update_job
from dcron_common.db.jobs import NewJob, spec_of
from tests.integration.world import Node, World


@contextmanager
def put_back(world: World) -> Iterator[None]:
    """What the record says now it says again afterwards, whatever was written within."""
    backup = sqlite3.connect(world.file.with_name("backup.db"))
    with sqlite3.connect(world.file) as live:
        live.backup(backup)
    yield
    world.database.close()
    with sqlite3.connect(world.file) as live:
        backup.backup(live)
    backup.close()


def change(world: World, job: int, executable: str) -> None:
    """As the API does it: the record, a note, the fences."""
    before = jobs.get_job(world.database, job)
    assert before is not None
    new = NewJob(replace(spec_of(before), executable=executable), "ann", {})
    row = update_job(world.database, before, new, world.time.now, "ann")
    assert row is not None
    announce(world.app, job, row.revision)
    write_fences(world.app, row)


def commands(node: Node) -> list[str]:
    return [launch.argv[2] for launch in node.processes.launched]


def test_p15_a_change_of_a_restored_job_reaches_its_worker(world: World) -> None:
    """The revision's number was given before, to another text."""
    node = world.add("a")
    job = world.post(executable="first")
    world.turn()
    with put_back(world):
        change(world, job, "forgotten")
        world.turn()
        assert next(iter(node.book.held.values())).spec.executable == "forgotten"
    change(world, job, "other")
    world.go(130)
    assert set(commands(node)) == {"other"}
