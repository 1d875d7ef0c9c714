"""P7: a worker's place of a job on all is given up with all that was due there told; until then the
ledger says who owes it."""

from __future__ import annotations

from datetime import datetime

import pytest

from dcron_app.manager import leaving
from dcron_common.db import workers
from dcron_common.run import RunState
from tests.in_process.asking import JOB, fence, made, patch
from tests.in_process.world import START, Node, World
from tests.unit.app.api_client import Api

ON_ALL = {**JOB, "placement": {"on": "all"}}
FAR = {"starting_deadline_seconds": 86_400}


def stands_still(world: World, node: Node, seconds: int) -> None:
    """Its daemon beats, and does nothing else; the others work."""
    others = {name: one for name, one in world.nodes.items() if one is not node}
    world.nodes, before = others, world.nodes
    for _ in range(seconds // 5):
        node.membership.try_to_beat()
        world.go(5)
        world.finish()
    world.nodes = before


def drain(world: World, name: str, drained: bool = True) -> None:
    workers.set_drained(world.database, name, drained, world.time.now, "admin")


def ran(world: World, job: int, node: str) -> dict[int, bool]:
    """The minutes of which there is a row for the node, counted from START, and whether it ran."""
    rows = [row for row in world.rows(job) if row.node == node]
    found = {(row.scheduled_at - START) // 60: row.state is RunState.SUCCEEDED for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("leads", ["the same", "another"])
def test_p7_what_a_worker_had_not_told_when_it_was_drained_is_told(
    world: World, api: Api, leads: str
) -> None:
    world.add("a")
    node = world.add("b")
    job = made(api, ON_ALL)
    world.turn()
    stands_still(world, node, 200)
    drain(world, "b")
    if leads == "another":
        world.another_leads()
    stands_still(world, node, 1500)
    assert ran(world, job, "b") == dict.fromkeys((1, 2, 3), False)
    drain(world, "b", False)
    for _ in range(2):
        world.go(65)
        world.finish()
    assert ran(world, job, "b") == {1: False, 2: False, 3: False, 29: True, 30: True}
    (reason,) = {row.reason for row in world.rows(job) if row.state is not RunState.SUCCEEDED}
    assert reason is not None
    assert "worker b was drained" in reason


def test_p7_what_a_worker_that_is_away_had_not_told_when_it_was_drained_is_told(
    world: World, api: Api
) -> None:
    world.add("a")
    world.add("b")
    job = made(api, ON_ALL)
    world.go(62)
    world.finish()
    world.lose("b")
    for _ in range(3):
        world.go(60)
        world.finish()
    drain(world, "b")
    world.go(200)
    world.finish()
    assert ran(world, job, "b") == {1: True, 2: False, 3: False, 4: False}


def test_p7_a_worker_that_loses_its_label_has_told_all_that_was_due_there(
    world: World, api: Api
) -> None:
    world.add("a", {"disk": "tape"})
    node = world.add("b", {"disk": "tape"})
    job = made(api, {**JOB, "placement": {"on": "all", "labels": {"disk": "tape"}}})
    world.turn()
    stands_still(world, node, 130)
    labels = b'{"labels": {"disk": "ssd"}}'
    assert api.call("PUT", "/workers/b/labels", labels).status == 200
    stands_still(world, node, 200)
    assert ran(world, job, "b") == dict.fromkeys((1, 2), False)


def test_p7_of_a_changed_job_what_was_due_by_its_earlier_text_is_told_at_a_drain(
    world: World, api: Api
) -> None:
    """The worker is drained before any leader has read the change."""
    world.add("a")
    node = world.add("b")
    job = made(api, {**ON_ALL, **FAR})
    world.turn()
    stands_still(world, node, 130)
    patch(api, job, schedule="0 0 1 1 *")
    drain(world, "b")
    stands_still(world, node, 200)
    assert ran(world, job, "b") == dict.fromkeys((1, 2), False)


def test_p7_what_is_too_much_for_one_claim_is_told_before_the_place_is_given_up(
    world: World, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "MOST", 2)
    world.add("a")
    node = world.add("b")
    job = made(api, {**ON_ALL, **FAR})
    world.turn()
    stands_still(world, node, 320)
    drain(world, "b")
    stands_still(world, node, 60)
    assert fence(world, job, "b").holder is None
    assert ran(world, job, "b") == dict.fromkeys((1, 2, 3, 4, 5), False)


def test_p7_a_worker_that_told_all_is_drained_without_a_word(world: World, api: Api) -> None:
    world.add("a")
    world.add("b")
    job = made(api, ON_ALL)
    world.go(70)
    world.finish()
    drain(world, "b")
    world.go(600)
    assert ran(world, job, "b") == {1: True}


def owing(api: Api, world: World, job: int) -> list[tuple[int, str | None]]:
    """What the job's ledger calls unaccounted, and of whom."""
    found = api.get(f"/jobs/{job}/ledger?from={START}&to={int(world.time.now)}").json
    seconds = [datetime.fromisoformat(one["scheduled_at"]).timestamp() for one in found]
    late = zip(seconds, found, strict=True)
    return [
        ((int(at) - START) // 60, one["worker"])
        for at, one in late
        if one["outcome"] == "unaccounted"
    ]


def test_p8_the_ledger_names_the_worker_that_owes_a_minute_which_others_have_told(
    world: World, api: Api
) -> None:
    world.add("a")
    world.add("b")
    job = made(api, {**ON_ALL, "starting_deadline_seconds": 1})
    world.go(62)
    world.finish()
    world.lose("b")
    for _ in range(6):
        world.go(60)
        world.finish()
    assert owing(api, world, job) == [(2, "b"), (3, "b"), (4, "b"), (5, "b")]
    drain(world, "b")
    world.go(20)
    assert owing(api, world, job) == []


def test_p8_while_zookeeper_is_away_the_ledger_goes_by_the_record(world: World, api: Api) -> None:
    world.add("a")
    world.add("b")
    job = made(api, {**ON_ALL, "starting_deadline_seconds": 1})
    world.turn()
    world.lose("b")
    for _ in range(6):
        world.go(60)
        world.finish()
    assert owing(api, world, job)
    world.ensemble.disconnect(api.coordinator)
    assert owing(api, world, job) == []
