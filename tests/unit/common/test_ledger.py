"""Due against done."""

from hypothesis import given
from hypothesis import strategies as st

from dcron_common.history import Span, due
from dcron_common.ledger import SETTLING, Entry, Place, Standing, ledger
from dcron_common.run import RunRecord, RunState, Trigger

M = 1_800_000_000 // 60 * 60
EVERY = Span("* * * * *", "UTC", "active", M + 60)


def run(minute: int, state: RunState = RunState.SUCCEEDED, **changes: object) -> RunRecord:
    values = {"attempt": 1, "trigger": Trigger.CRON, "worker": "a", **changes}
    return RunRecord(f"r{minute}", 1, minute, state=state, **values)


def ask(
    *runs: RunRecord, spans: tuple[Span, ...] = (EVERY,), now: float = M + 10_000
) -> list[Entry]:
    return list(ledger(spans, runs, M, M + 180, now, deadline=600))


def test_a_run_accounts_for_its_minute() -> None:
    found = ask(*(run(M + 60 * n) for n in (1, 2, 3)))
    assert [(one.scheduled_at, one.outcome) for one in found] == [
        (M + 60, RunState.SUCCEEDED),
        (M + 120, RunState.SUCCEEDED),
        (M + 180, RunState.SUCCEEDED),
    ]


def test_the_newest_attempt_tells_and_all_are_counted() -> None:
    first = run(M + 60, RunState.FAILED, reason="exit code 1")
    (entry, *_) = ask(first, run(M + 60, attempt=2))
    assert (entry.outcome, entry.attempts, entry.reason) == (RunState.SUCCEEDED, 2, None)


def test_a_reason_stands_beside_what_did_not_run() -> None:
    (entry, *_) = ask(run(M + 60, RunState.MISSED, reason="nobody was there"))
    assert (entry.outcome, entry.reason) == (RunState.MISSED, "nobody was there")


def test_a_minute_without_a_row_is_pending_and_then_unaccounted() -> None:
    soon, late = M + 60 + 600 + SETTLING - 1, M + 60 + 600 + SETTLING
    assert ask(now=soon)[0].outcome is Standing.PENDING
    assert ask(now=late)[0].outcome is Standing.UNACCOUNTED


def test_manual_runs_are_no_minutes() -> None:
    assert ask(run(M + 90, kind="m.01ARZ3NDEKTSV4RRFFQ69G5FAV"))[0].attempts == 0


def test_what_nobody_could_have_gives_way_to_a_worker_that_came_back() -> None:
    nobody, late = run(M + 60, RunState.MISSED, worker=None), run(M + 60, node="a")
    assert [one.outcome for one in ask(nobody, late)[:2]] == [
        RunState.SUCCEEDED,
        Standing.UNACCOUNTED,
    ]
    assert ask(nobody)[0].outcome is RunState.MISSED


def test_a_job_on_all_has_an_entry_for_each_node() -> None:
    found = ask(run(M + 60, node="a"), run(M + 60, RunState.FAILED, node="b", worker="b"))
    assert [(one.worker, one.outcome) for one in found[:2]] == [
        ("a", RunState.SUCCEEDED),
        ("b", RunState.FAILED),
    ]


def test_only_active_spans_are_due_each_within_its_bounds() -> None:
    spans = (
        Span("* * * * *", "UTC", "active", M + 60, M + 120),
        Span("* * * * *", "UTC", "paused", M + 120, M + 180),
        Span("*/2 * * * *", "UTC", "active", M + 180),
    )
    found = due(spans, M, M + 360)
    assert found[0] == M + 60
    assert all(minute >= M + 180 and minute // 60 % 2 == 0 for minute in found[1:])


@given(st.integers(0, 30), st.integers(0, 30))
def test_any_split_of_a_time_gives_the_same_minutes(first: int, second: int) -> None:
    middle, end = M + 60 * first, M + 60 * (first + second)
    assert due([EVERY], M, middle) + due([EVERY], middle, end) == due([EVERY], M, end)


def test_a_minute_that_was_launched_on_a_node_cut_off_is_not_missed() -> None:
    alone = run(M + 60, node="a", isolated=True)
    found = ask(alone, run(M + 60, RunState.MISSED, worker="b", reason="too late"))
    assert [(one.worker, one.outcome) for one in found[:1]] == [("a", RunState.SUCCEEDED)]
    assert found[1].scheduled_at == M + 120


def test_a_minute_that_ran_twice_shows_twice() -> None:
    found = ask(run(M + 60, worker="b"), run(M + 60, node="a", isolated=True))
    assert [one.worker for one in found if one.scheduled_at == M + 60] == ["b", "a"]


def test_a_minute_whose_row_was_removed_is_expired_and_later_ones_are_not() -> None:
    found = ledger((EVERY,), [run(M + 120)], M, M + 180, M + 10_000, 600, removed_through=M + 120)
    assert [one.outcome for one in found] == [
        Standing.EXPIRED,
        RunState.SUCCEEDED,
        Standing.UNACCOUNTED,
    ]


ON_ALL = Span("* * * * *", "UTC", "active", M + 60, on="all")
ON_ONE = Span("* * * * *", "UTC", "active", M + 60, on="one")


def of_b(*minutes: tuple[int, int]) -> list[RunRecord]:
    """Rows of worker b: (minute, epoch)."""
    return [run(M + 60 * n, node="b", worker="b", epoch=epoch) for n, epoch in minutes]


def missing(
    *runs: RunRecord, on: Span = ON_ALL, now: float = M + 10_000, **places: Place
) -> list[tuple[int, str | None, object]]:
    """The minutes without a row, who owes it, and how that is called; worker a has told all."""
    of_a = [run(M + 60 * n, node="a", epoch=1) for n in (1, 2, 3)]
    found = ledger([on], [*of_a, *runs], M, M + 180, now, 600, places=places)
    return [
        ((one.scheduled_at - M) // 60, one.worker, one.outcome)
        for one in found
        if isinstance(one.outcome, Standing)
    ]


def test_of_a_job_on_all_a_minute_between_two_rows_of_one_epoch_is_owed_by_that_worker() -> None:
    late = (2, "b", Standing.UNACCOUNTED)
    assert missing(*of_b((1, 4), (3, 4))) == [late]
    assert missing(*of_b((1, 4), (3, 4)), now=M + 200) == [(2, "b", Standing.PENDING)]


def test_a_worker_that_had_no_place_between_two_epochs_owes_nothing_of_it() -> None:
    assert missing(*of_b((1, 4), (3, 6))) == []


def test_an_open_place_owes_all_that_comes_after_its_mark() -> None:
    late = [(n, "b", Standing.UNACCOUNTED) for n in (2, 3)]
    assert missing(b=Place(4, M + 60)) == late
    assert missing(*of_b((1, 4)), b=Place(4, M + 180)) == late
    assert missing(b=Place(4, M + 180)) == []


def test_a_worker_owes_nothing_of_minutes_that_were_due_on_one() -> None:
    assert missing(*of_b((1, 4), (3, 4)), on=ON_ONE, b=Place(4, M)) == []


def test_a_later_attempt_and_a_launch_that_was_cut_off_do_not_say_who_had_the_place() -> None:
    retry = run(M + 60, RunState.FAILED, node="b", worker="b", epoch=6, attempt=2)
    alone = run(M + 60, node="b", worker="b", epoch=6, isolated=True)
    last = of_b((3, 6))
    assert [one for one in missing(retry, *last) if one[0] == 2] == []
    assert [one for one in missing(alone, *last) if one[0] == 2] == []


def test_what_the_leader_said_of_a_job_that_stood_nowhere_speaks_for_every_worker() -> None:
    nobody = [run(M + 60 * n, RunState.MISSED, worker=None) for n in (1, 2, 3)]
    found = ledger([ON_ALL], nobody, M, M + 180, M + 10_000, 600, places={"b": Place(4, M)})
    assert [one.outcome for one in found] == [RunState.MISSED] * 3


def test_each_worker_that_owes_a_minute_without_any_row_is_named() -> None:
    places = {"a": Place(1, M), "b": Place(4, M + 120)}
    found = list(ledger([ON_ALL], [], M, M + 180, M + 10_000, 600, places=places))
    assert [one.worker for one in found if one.scheduled_at == M + 60] == ["a"]
    assert [one.worker for one in found if one.scheduled_at == M + 180] == ["a", "b"]


def test_a_restored_backup_leaves_a_gap_on_the_worker_that_it_names_only() -> None:
    gap = run(M + 120, RunState.LOST, kind="restored", node="b", worker=None, reason="not known")
    first, last = of_b((1, 4), (3, 4))
    of_a = [run(M + 60, node="a", epoch=1), run(M + 180, node="a", epoch=1)]
    found = ledger([ON_ALL], [*of_a, first, last, gap], M, M + 180, M + 10_000, 600)
    second = [one for one in found if one.scheduled_at == M + 120]
    assert [(one.worker, one.outcome) for one in second] == [
        ("a", Standing.UNACCOUNTED),
        ("b", RunState.LOST),
    ]


def test_of_a_job_on_all_a_minute_whose_rows_were_removed_is_expired_once() -> None:
    rows = of_b((1, 4), (3, 4))
    found = ledger([ON_ALL], rows, M, M + 180, M + 10_000, 600, removed_through=M + 120)
    second = [one for one in found if one.scheduled_at == M + 120]
    assert [(one.worker, one.outcome) for one in second] == [(None, Standing.EXPIRED)]
