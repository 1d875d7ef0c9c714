"""Where slots stand."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dcron_app.manager.placement import Host, Wish, place, slots_of
from dcron_common.job import Placement
from dcron_common.paths import Slot

ANY = Placement()


def hosts(*names: str) -> list[Host]:
    return [Host(name, {}, 100) for name in names]


def wishes(count: int) -> list[Wish]:
    return [Wish(Slot(number), ANY) for number in range(count)]


def test_jobs_are_spread_evenly() -> None:
    placed = place(wishes(10), hosts("a", "b"), {})
    assert Counter(placed.values()) == {"a": 5, "b": 5}


def test_a_job_stays_where_it_is() -> None:
    present = {Slot(0): "b"}
    assert place(wishes(1), hosts("a", "b"), present) == {Slot(0): "b"}


def test_jobs_of_a_gone_worker_move_and_the_others_stay() -> None:
    before = place(wishes(9), hosts("a", "b", "c"), {})
    after = place(wishes(9), hosts("a", "b"), before)
    assert "c" not in after.values()
    assert all(after[slot] == worker for slot, worker in before.items() if worker != "c")


def test_a_new_worker_gets_its_share_by_few_moves() -> None:
    before = place(wishes(100), hosts("a", "b"), {})
    after = place(wishes(100), hosts("a", "b", "c"), before)
    moved = [slot for slot in after if after[slot] != before[slot]]
    assert 20 <= len(moved) <= 34
    assert all(after[slot] == "c" for slot in moved)


def test_labels_decide_who_may_have_a_job() -> None:
    fleet = [Host("a", {"disk": "ssd"}, 100), Host("b", {}, 100)]
    wish = Wish(Slot(1), Placement({"disk": "ssd"}))
    assert place([wish], fleet, {Slot(1): "b"}) == {Slot(1): "a"}
    assert place([Wish(Slot(1), Placement({"disk": "tape"}))], fleet, {}) == {Slot(1): None}


def test_a_drained_worker_loses_its_jobs_but_not_a_running_one() -> None:
    fleet = [Host("a", {}, 100, open=False), Host("b", {}, 100)]
    present = {Slot(0): "a", Slot(1): "a"}
    placed = place([Wish(Slot(0), ANY), Wish(Slot(1), ANY, movable=False)], fleet, present)
    assert placed == {Slot(0): "b", Slot(1): "a"}


def test_a_job_on_all_has_a_slot_on_each_matching_worker() -> None:
    fleet = [Host("a", {"x": "1"}, 1), Host("b", {}, 1), Host("c", {"x": "1"}, 1)]
    placement = Placement({"x": "1"}, on="all")
    slots = slots_of(5, placement, fleet)
    assert slots == [Slot(5, "a"), Slot(5, "c")]
    placed = place([Wish(slot, placement) for slot in slots], fleet, {})
    assert placed == {Slot(5, "a"): "a", Slot(5, "c"): "c"}


@given(
    st.integers(0, 60),
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.lists(st.integers(0, 7), max_size=60),
)
def test_placing_again_moves_nothing(count: int, capacities: list[int], homes: list[int]) -> None:
    fleet = [Host(f"w{i}", {}, capacity) for i, capacity in enumerate(capacities)]
    present = {Slot(i): f"w{home}" for i, home in enumerate(homes)}
    once = place(wishes(count), fleet, present)
    assert all(worker is not None for worker in once.values())
    assert place(wishes(count), fleet, once) == once


def test_a_worker_without_a_launcher_gets_nothing_and_keeps_what_runs() -> None:
    fleet = [Host("a", {}, 100, starts=False), Host("b", {}, 100)]
    present = {Slot(0): "a", Slot(1): "a"}
    placed = place([Wish(Slot(0), ANY), Wish(Slot(1), ANY, movable=False)], fleet, present)
    assert placed == {Slot(0): "b", Slot(1): "a"}
    assert place(wishes(10), fleet, {}) == {Slot(n): "b" for n in range(10)}


def test_where_no_worker_has_a_launcher_nothing_moves() -> None:
    fleet = [Host("a", {}, 100, starts=False), Host("b", {}, 100, starts=False)]
    present: dict[Slot, str | None] = {Slot(n): "a" for n in range(10)}
    assert place(wishes(10), fleet, present) == present
