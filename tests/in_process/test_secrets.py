"""A secret's way from the record to the run that needs it, and to nobody else."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dcron_app.manager.main import Manager
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db import jobs, sealed, secrets, workers
from dcron_common.errors import SecretError
from dcron_common.ids import ulid
from dcron_common.job import JobType, OnIsolation, Placement
from dcron_common.run import RunRecord, RunState
from dcron_common.sealing.ring import Ring
from dcron_common.sealing.worker_key import WorkerKey
from tests.in_process.world import START, Node, World

PLANTED = "planted-dragon-7f3a"


def put(world: World, name: str, value: str) -> None:
    before = secrets.get_secrets(world.database, [name]).get(name)
    version = ulid(world.time.now)
    new = secrets.NewSecret(name, "ann", None, version, world.ring.encrypt(name, value))
    assert secrets.put_secret(world.database, before, new, world.time.now, "ann") is not None


def there(world: World) -> set[tuple[str, str]]:
    return set(sealed.seals(world.database))


def until_launched(world: World, node: Node, count: int = 1) -> str | None:
    """The secret that the newest launch has, once there are that many."""
    world.until(lambda: len(node.processes.launched) >= count)
    return node.processes.launched[-1].environment.get("KEY")


def until_waiting(world: World, node: Node) -> None:
    """Turn until a start was tried, and its reason was heard."""
    asked = len(node.asked)

    def heard() -> bool:
        world.time.now += 1
        return len(node.asked) >= asked + 2

    world.until(heard)


def of_first_minute(world: World, job: int) -> list[RunRecord]:
    return [row for row in world.rows(job) if row.scheduled_at == START + 60]


def znodes(coordinator: Coordinator, path: str = "/") -> Iterator[bytes]:
    """Names and texts of the whole tree."""
    yield path.encode()
    yield coordinator.get(path).data
    for name in coordinator.children(path):
        yield from znodes(coordinator, f"{path.rstrip('/')}/{name}")


def test_a_job_gets_its_secret_and_only_its_worker_can_open_it(world: World) -> None:
    a, b = world.add("a", {"zone": "a"}), world.add("b", {"zone": "b"})
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",), placement=Placement({"zone": "a"}))
    world.go(65)
    assert until_launched(world, a) == PLANTED
    assert there(world) == {("a", "KEY")}
    row = sealed.fetch(world.database, "a", ["KEY"], deadline=0)["KEY"]
    with pytest.raises(SecretError):  # whoever has root on b reads the row, and that is all
        WorkerKey.read_or_make(b.state / "secrets.key").open("a", "KEY", row.sealed)


def test_what_is_due_together_is_fetched_by_one_query(world: World) -> None:
    node = world.add("a")
    for name in ("KEY", "OTHER"):
        put(world, name, f"value of {name}")
    for _ in range(3):
        world.post(secrets=("KEY",))
    world.post(secrets=("OTHER", "KEY"))
    world.go(60)
    until_launched(world, node, 4)
    assert node.asked == [["KEY", "OTHER"]]


def test_a_file_and_a_secret_come_together(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    file = {"type": JobType.SCRIPT, "executable": "executables/x", "sha256": "0" * 64}
    world.post(secrets=("KEY",), **file)
    world.go(60)
    assert until_launched(world, node) == PLANTED
    assert node.processes.launched[0].argv[-1] == "/bin/true"


def test_a_job_on_all_workers_has_its_secret_on_each(world: World) -> None:
    nodes = [world.add("a"), world.add("b")]
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",), placement=Placement(on="all"))
    world.go(65)
    for node in nodes:
        assert until_launched(world, node) == PLANTED
    assert there(world) == {("a", "KEY"), ("b", "KEY")}


def test_a_secret_moves_with_its_job_and_is_taken_from_where_it_was(world: World) -> None:
    a, b = world.add("a"), world.add("b")
    put(world, "KEY", PLANTED)
    job = world.post(secrets=("KEY",))
    world.go(10)
    [before] = world.holders(job)
    after = b if before == "a" else a
    workers.set_drained(world.database, before, True, world.time.now, "ann")
    world.go(60)
    assert world.holders(job) == [after.name]
    assert there(world) == {(after.name, "KEY")}
    assert until_launched(world, after) == PLANTED


def test_what_a_worker_has_kept_goes_when_its_job_goes(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    job = world.post(secrets=("KEY",))
    world.go(65)
    until_launched(world, node)
    assert [file.name for file in (node.state / "sealed").iterdir()] == ["KEY"]
    node.end()
    world.turn()
    jobs.remove_job(world.database, job, world.time.now, "ann")
    world.go(35)
    assert there(world) == set()
    assert list((node.state / "sealed").iterdir()) == []


def test_a_changed_secret_is_in_the_next_run(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",))
    world.go(65)
    assert until_launched(world, node) == PLANTED
    node.end()
    put(world, "KEY", "another")
    world.go(60)
    assert until_launched(world, node, 2) == "another"


def test_a_secret_that_was_removed_and_made_again_is_not_taken_for_the_old_one(
    world: World,
) -> None:
    """Both are of revision 1; the worker's name stands in both."""
    node = world.add("a")
    put(world, "KEY", PLANTED)
    job = world.post(secrets=("KEY",))
    world.go(5)
    row = secrets.get_secrets(world.database, ["KEY"])["KEY"]
    seals = sealed.fetch(world.database, "a", ["KEY"], deadline=0)
    jobs.remove_job(world.database, job, world.time.now, "ann")
    assert secrets.remove_secret(world.database, row, world.time.now, "ann")
    world.time.now += 1
    put(world, "KEY", "another")
    world.post(secrets=("KEY",))
    sealed.save(world.database, seals.values())  # as a leader would that was slow
    world.go(65)
    assert until_launched(world, node) == "another"


def test_a_worker_that_has_lost_its_key_gets_its_secrets_anew(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",))
    world.go(10)
    (node.state / "secrets.key").unlink()
    node.expire()
    node.session.start(1)
    node.build()
    world.go(60)
    assert until_launched(world, node) == PLANTED


def test_a_new_leader_puts_right_what_is_sealed(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",))
    world.go(10)
    stray = sealed.fetch(world.database, "a", ["KEY"], deadline=0)["KEY"]
    sealed.save(world.database, [replace(stray, worker="gone"), replace(stray, version="older")])
    world.manager._election.step_down()
    session = world.ensemble.session()
    session.start(1)
    clock = world.time.clock()
    world.manager = Manager("m2", session, world.database, clock, ring=world.ring)
    world.manager._prepare()
    world.go(60)
    assert there(world) == {("a", "KEY")}
    assert until_launched(world, node) == PLANTED


def test_a_secret_that_the_ring_cannot_open_hinders_no_other(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    before, world.ring = world.ring, Ring.generate()
    put(world, "LOST", PLANTED)
    world.ring = before
    lost = world.post(secrets=("LOST",), starting_deadline_seconds=30)
    world.post(secrets=("KEY",))
    world.go(65)
    assert until_launched(world, node) == PLANTED
    world.until(lambda: passed(world, lost))
    [row] = of_first_minute(world, lost)
    assert row.state is RunState.FAILED and "secret LOST is not there yet" in (row.reason or "")
    assert caplog.text.count("gets no value of a secret: secret LOST") == 1


def passed(world: World, job: int) -> bool:
    world.time.now += 5
    return bool(of_first_minute(world, job))


def test_with_the_database_away_a_job_gets_the_secret_that_was_kept(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",))
    world.go(65)
    assert until_launched(world, node) == PLANTED
    node.end()
    node.database_away = True
    node.build()  # and its daemon was restarted
    world.go(60)
    assert until_launched(world, node, 2) == PLANTED


def test_without_database_and_kept_secret_the_start_waits_and_is_done_when_it_is_back(
    world: World,
) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    job = world.post(secrets=("KEY",))
    world.go(10)
    node.database_away = True
    world.go(50)
    until_waiting(world, node)
    assert not node.processes.launched and world.rows(job) == []
    node.database_away = False
    world.time.now += 5
    assert until_launched(world, node) == PLANTED
    assert node.last_minute == str(START + 60)


def test_a_secret_that_does_not_come_within_the_starting_deadline_fails_the_run(
    world: World,
) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    job = world.post(secrets=("KEY",), starting_deadline_seconds=30)
    world.go(10)
    node.database_away = True
    world.go(50)
    until_waiting(world, node)
    world.time.now += 30
    until_waiting(world, node)
    node.database_away = False
    world.until(lambda: bool(of_first_minute(world, job)))
    [row] = of_first_minute(world, job)
    assert row.state is RunState.FAILED
    assert row.reason == (
        "the secret KEY cannot be fetched: the database does not answer "
        "(until its starting deadline of 30 s)"
    )
    assert not node.processes.launched


def test_a_retry_gets_the_secret_as_it_is_then(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",), retries=1, retry_delay_seconds=10, schedule="1 * * * *")
    world.go(65)
    assert until_launched(world, node) == PLANTED
    put(world, "KEY", "another")
    world.go(5)
    node.end("failed", 1)
    world.go(15)
    assert until_launched(world, node, 2) == "another"
    assert node.processes.launched[-1].attempt == 2


def test_p9_a_worker_that_is_cut_off_gives_its_run_jobs_what_it_has_kept(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",), on_isolation=OnIsolation.RUN)
    world.go(65)
    assert until_launched(world, node) == PLANTED
    node.end()
    world.go(5)
    node.cut()
    node.database_away = True
    world.time.now += 60

    deadline = time.monotonic() + 60
    while len(node.processes.launched) < 2:
        assert time.monotonic() < deadline, "it was not launched"
        node.isolated_turn()
    assert node.processes.launched[-1].isolated
    assert node.processes.launched[-1].environment["KEY"] == PLANTED


def test_what_a_job_tells_of_its_secret_is_masked_before_it_is_recorded(world: World) -> None:
    node = world.add("a")
    put(world, "KEY", PLANTED)
    job = world.post(secrets=("KEY",))
    world.go(65)
    until_launched(world, node)
    end = replace(node.processes.end(), output_tail=f"the key is {PLANTED}\n")
    node.database_away = True  # so that the claim, with its result, stands
    node.inbox.put(end)
    world.turn()
    assert not any(PLANTED.encode() in text for text in znodes(world.app))
    node.database_away = False
    world.go(5)
    [row] = of_first_minute(world, job)
    assert row.output_tail == "the key is ***\n"


def test_a_planted_secret_is_in_the_jobs_environment_and_nowhere_else(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    node = world.add("a")
    put(world, "KEY", PLANTED)
    world.post(secrets=("KEY",))
    world.go(65)
    assert until_launched(world, node) == PLANTED
    assert not any(PLANTED.encode() in text for text in znodes(world.app))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {world.file, node.state / "sealed" / "KEY"} <= set(files)
    assert not [path for path in files if PLANTED.encode() in path.read_bytes()]
    assert PLANTED not in caplog.text
    assert PLANTED not in repr(node.processes.launched)
