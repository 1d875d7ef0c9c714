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
from dcron_common.run import RESTORED
from tests.in_process.asking import JOB, fences, made, patch
from tests.in_process.look import unaccounted
from tests.in_process.world import Node, World
from tests.unit.app.api_client import Api


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


def test_p8_the_gap_of_a_restored_job_without_a_fence_is_that_of_all_its_revisions(
    world: World, api: Api
) -> None:
    """It was removed after the backup, and is changed before any leader has seen it back."""
    node = world.add("a")
    job = made(api, {**JOB, "catch_up": "all"})
    world.go(62)
    world.finish()
    with put_back(world):
        for _ in range(3):
            world.go(60)
            world.finish()
        assert api.call("DELETE", f"/jobs/{job}").status == 200
        world.go(60)
        assert fences(world, job) == []
    launched = len(node.processes.launched)
    patch(api, job, retries=1)
    world.another_leads()
    world.go(50)
    (gap,) = [row for row in world.rows(job) if row.kind == RESTORED]
    assert gap.node == ""
    assert unaccounted(world, job, deadline=0) == []
    assert len(node.processes.launched) == launched, "nothing of the past is done again"
