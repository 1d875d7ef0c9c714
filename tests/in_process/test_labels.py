"""Labels that people set, and workers that are forgotten: what placement makes of both."""

from __future__ import annotations

from dcron_common import paths
from dcron_common.db import workers
from dcron_common.job import Placement
from dcron_common.paths import Slot
from tests.in_process.world import World
from tests.unit.app.api_client import Answer, Api


def label(world: World, api: Api, name: str, labels: str) -> None:
    answer = api.call("PUT", f"/workers/{name}/labels", b'{"labels": {%s}}' % labels.encode())
    assert answer.status == 200, answer.body
    world.go(6)


def forget(api: Api, name: str) -> Answer:
    return api.delete(f"/workers/{name}")


def test_a_job_is_placed_by_labels_that_were_set_and_moves_with_them(
    world: World, api: Api
) -> None:
    world.add("a", {"disk": "slow"})
    world.add("b", {"disk": "slow"})
    job = world.post(placement=Placement({"disk": "fast"}))
    world.go(5)
    assert world.holders(job) == []
    label(world, api, "b", '"disk": "fast"')
    assert world.holders(job) == ["b"]
    label(world, api, "a", '"disk": "fast"')
    label(world, api, "b", "")
    assert world.holders(job) == ["a"]


def test_a_label_that_hides_the_nodes_own_takes_jobs_away(world: World, api: Api) -> None:
    world.add("a", {"disk": "fast"})
    job = world.post(placement=Placement({"disk": "fast"}))
    world.go(5)
    assert world.holders(job) == ["a"]
    label(world, api, "a", '"disk": "broken"')
    assert world.holders(job) == []


def test_a_job_on_all_follows_the_labels(world: World, api: Api) -> None:
    world.add("a")
    world.add("b")
    world.go(5)
    job = world.post(placement=Placement({"group": "web"}, on="all"))
    for name in ("a", "b"):
        label(world, api, name, '"group": "web"')
    assert all(Slot(job, name) in world.nodes[name].book.held for name in ("a", "b"))
    label(world, api, "a", "")
    assert Slot(job, "a") not in world.nodes["a"].book.held


def test_labels_outlive_the_leader(world: World, api: Api) -> None:
    world.add("a")
    world.turn()
    label(world, api, "a", '"disk": "fast"')
    world.manager._leader._proof = None  # as after an election: all is read anew
    job = world.post(placement=Placement({"disk": "fast"}))
    world.go(5)
    assert world.holders(job) == ["a"]


def test_a_worker_that_is_lost_is_forgotten_when_its_jobs_have_moved(
    world: World, api: Api
) -> None:
    world.add("a")
    job = world.post()
    world.go(65)
    world.add("b")
    world.lose("a")
    assert forget(api, "a").status == 409, "its run is not closed yet"
    world.go(40)
    assert world.holders(job) == ["b"]
    assert forget(api, "a").status == 204
    world.go(40)
    assert [row.name for row in workers.list_workers(world.database)] == ["b"]
    assert world.app.children(paths.RUNS) == ["b"]


def test_places_of_jobs_on_all_go_with_a_worker_that_is_drained(world: World, api: Api) -> None:
    for name in ("a", "b"):
        world.add(name)
    job = world.post(placement=Placement({}, on="all"))
    world.go(5)
    world.lose("a")
    world.go(40)
    assert forget(api, "a").status == 409, "it keeps its place for when it comes back"
    assert api.call("POST", "/workers/a/drain").status == 200
    world.go(40)
    assert forget(api, "a").status == 204
    assert Slot(job, "b") in world.nodes["b"].book.held


def test_a_forgotten_worker_that_comes_back_has_jobs_again(world: World, api: Api) -> None:
    world.add("a")
    world.go(5)
    world.lose("a")
    world.go(40)
    assert forget(api, "a").status == 204
    job = world.post()
    world.go(40)
    world.add("a")
    world.go(10)
    assert world.holders(job) == ["a"]
    assert api.get("/workers/a").json["state"] == "online"
