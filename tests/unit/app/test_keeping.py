"""Which runs of a job have had their time: pure decisions."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dcron_app.manager.keeping import Bounds, Held, Sieve, outputs_of
from dcron_app.manager.view import Known, Name, View
from dcron_common.db.old_runs import OldRun
from dcron_common.paths import Slot
from dcron_common.protocol import Fence
from dcron_common.run import CRON, RESTORED, RunState

M = 1_800_000_000 // 60 * 60
MANUAL = "m.01J00000000000000000000000"
FAR = 10**12  # a mark above everything


def row(number: int, **changes: object) -> OldRun:
    """A run of the minute `number` that took 30 s."""
    minute = M + 60 * number
    made = OldRun(
        number, minute, CRON, "", 1, RunState.SUCCEEDED, f"r{number}", "a", minute + 30.0, False
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's shorthand


def sifted(
    *rows: OldRun,
    bounds: Bounds | None = None,
    mark: int | None = FAR,
    open_: tuple[tuple[str, str], ...] = (),
    later: tuple[str, ...] = (),
    orphaned: bool = False,
) -> list[int]:
    """Ids of those that go; everything is old enough unless `bounds` says otherwise."""
    sieve = Sieve(bounds or Bounds(float(FAR), None), mark, open_, orphaned=orphaned)
    gone = sieve.pass_through(sorted(rows, key=lambda one: one.place))
    return sorted(one.id for one in [*gone, *sieve.rest(later)])


def test_old_runs_go_and_the_newest_closed_minute_stays() -> None:
    assert sifted(row(1), row(2), row(3)) == [1, 2]


def test_all_go_where_a_later_minute_is_kept_elsewhere() -> None:
    assert sifted(row(1), row(2), later=("",)) == [1, 2]


def test_the_newest_minute_stays_with_all_its_attempts() -> None:
    first, second = row(3), replace(row(4), scheduled_at=M + 180, attempt=2)
    assert sifted(row(1), first, second) == [1]


def test_each_node_keeps_its_own_newest_minute() -> None:
    rows = [row(1, node="a"), row(2, node="b"), row(3, node="a"), row(4, node="b")]
    assert sifted(*rows) == [1, 2]
    assert sifted(*rows, later=("a",)) == [1, 2, 3]


def test_a_gap_of_a_restored_record_closes_as_minutes_do() -> None:
    assert sifted(row(1), row(2, kind=RESTORED)) == [1]


def test_runs_that_were_asked_for_all_go() -> None:
    assert sifted(row(1, kind=MANUAL), row(2, kind=MANUAL)) == [1, 2]


def test_what_runs_stays_and_counts_as_its_nodes_newest() -> None:
    assert sifted(row(1), row(2, state=RunState.RUNNING, finished_at=None)) == [1]


@pytest.mark.parametrize("mark", [M + 120, M + 60])
def test_minutes_at_or_above_the_mark_stay(mark: int) -> None:
    rows = [row(number) for number in (1, 2, 3, 4)]
    assert sifted(*rows, mark=mark, later=("",)) == [n for n in (1, 2) if M + 60 * n < mark]


def test_a_run_that_was_asked_for_has_no_mark() -> None:
    assert sifted(row(5, kind=MANUAL), mark=M) == [5]


def test_a_run_whose_claim_is_open_stays() -> None:
    claims = ((str(M + 60), ""), (MANUAL, ""))
    rows = [row(1), row(2, kind=MANUAL), row(3)]
    assert sifted(*rows, open_=claims, later=("",)) == [3]


def test_an_isolated_launch_stays_while_its_minute_has_a_claim() -> None:
    rows = [row(1, node="a"), row(2)]
    assert sifted(*rows, open_=((str(M + 60), ""),), later=("", "a")) == [2]


def test_age_counts_from_the_end_number_from_the_minute() -> None:
    late = row(1, finished_at=M + 9_000.0)  # caught up much later
    assert sifted(late, row(2), bounds=Bounds(M + 600.0, None), later=("",)) == [2]
    assert sifted(late, row(2), bounds=Bounds(None, M + 120), later=("",)) == [1]


def test_what_neither_age_nor_number_says_stays() -> None:
    bounds = Bounds(M + 60.0, M + 120)
    assert sifted(row(2), row(3), bounds=bounds, later=("",)) == []


def test_a_job_without_a_row_keeps_only_what_runs() -> None:
    rows = [row(1), row(2), row(3, state=RunState.RUNNING)]
    assert sifted(*rows, orphaned=True) == [1, 2]


def test_a_run_without_an_end_is_as_old_as_its_minute() -> None:
    lost = row(1, state=RunState.LOST, finished_at=None)
    assert sifted(lost, bounds=Bounds(M + 61.0, None), later=("",)) == [1]
    assert sifted(lost, bounds=Bounds(M + 60.0, None), later=("",)) == []


@given(
    st.lists(
        st.tuples(
            st.integers(1, 8),
            st.sampled_from([CRON, RESTORED, MANUAL]),
            st.sampled_from(["", "a", "b"]),
            st.integers(1, 2),
            st.sampled_from([RunState.RUNNING, RunState.LOST, RunState.SUCCEEDED]),
        ),
        unique_by=lambda one: one[:4],
        max_size=30,
    ),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(1, 7),
)
def test_whatever_there_is_and_however_it_is_read_what_is_needed_stays(
    made: list[tuple[int, str, str, int, RunState]], bound: int, mark: int, page: int
) -> None:
    rows = sorted(
        (
            row(minute, kind=kind, node=node, attempt=attempt, state=state, id=number)
            for number, (minute, kind, node, attempt, state) in enumerate(made)
        ),
        key=lambda one: one.place,
    )
    sieve = Sieve(Bounds(None, M + 60 * bound), M + 60 * mark, ())
    read = [one for one in rows if one.scheduled_at < M + 60 * bound]
    gone = []
    for start in range(0, len(read), page):
        gone += sieve.pass_through(read[start : start + page])
    later = {one.node for one in rows if one not in read and one.closes}
    gone += sieve.rest(later)

    kept = [one for one in rows if one not in gone]
    assert len({one.id for one in gone}) == len(gone)
    assert not any(one.state is RunState.RUNNING for one in gone)
    closing = [one for one in rows if one.closes]
    for one in gone:
        assert one.scheduled_at < M + 60 * bound
        assert not one.closes or one.scheduled_at < M + 60 * mark
    for node in {one.node for one in closing}:
        newest = max(one.scheduled_at for one in closing if one.node == node)
        of_it = [one for one in closing if (one.node, one.scheduled_at) == (node, newest)]
        assert [one for one in of_it if one not in kept] == []
    due = [one for one in kept if one.closes and one.state is not RunState.RUNNING]
    for one in due:  # and nothing else stays
        older_than_all = one.scheduled_at < M + 60 * min(bound, mark)
        assert not older_than_all or not any(
            other.node == one.node and other.scheduled_at > one.scheduled_at for other in closing
        )


def test_only_whole_outputs_of_runs_that_were_made_go_with_their_rows() -> None:
    whole = row(1, has_output=True)
    others = [
        row(2),
        row(3, has_output=True, worker=None),
        row(4, has_output=True, state=RunState.MISSED),
    ]
    assert outputs_of([whole, *others]) == [("a", "r1")]


def test_what_is_held_is_the_lowest_mark_and_all_that_is_open() -> None:
    view = View()
    one, two, three = Slot(1, "a"), Slot(1, "b"), Slot(2)
    fence = Fence("I" * 26, 1, "a", 1, "active", M)
    view.fences = {
        one: Known(fence, 0, 0),
        two: Known(replace(fence, mark=M - 60), 0, 0),
        three: Known(replace(fence, active=str(M)), 0, 0),
    }
    view.claims = [Name("a", one, str(M))]
    view.tasks = [Name("b", Slot(3), MANUAL)]
    view.unreadable = {Slot(9)}
    held = Held.of(view)
    assert held.marks == {1: M - 60, 2: M}
    assert held.open == {1: {(str(M), "a")}, 2: {(str(M), "")}, 3: {(MANUAL, "")}}
    assert held.unsure == {9}
