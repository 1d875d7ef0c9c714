"""Due against done."""

from hypothesis import given
from hypothesis import strategies as st

from dcron_common.history import Span, due
from dcron_common.ledger import SETTLING, Entry, Standing, ledger
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
