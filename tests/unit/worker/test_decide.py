"""Which due minutes a worker claims."""

from dataclasses import replace

from dcron_common.job import CatchUp, Concurrency, JobType, Spec
from dcron_common.protocol import Fence
from dcron_common.run import RunState
from dcron_common.schedule import parse
from dcron_worker.decide import AT_ONCE, Decision, decide

M = 1_800_000_000 // 60 * 60
SPEC = Spec(7, "I", 1, JobType.COMMAND, "true", "* * * * *", "UTC", effective_from=M)
FENCE = Fence("I", 1, "w1", 1, "active", M - 60)


def ask(spec: Spec = SPEC, fence: Fence = FENCE, now: float = M + 2) -> Decision | None:
    return decide(spec, parse(spec.schedule, spec.timezone), fence, "w1", now)


def test_the_due_minute_is_launched() -> None:
    assert ask() == Decision(M, (), None)


def test_p2_nothing_is_claimed_twice() -> None:
    assert ask(fence=replace(FENCE, mark=M)) is None


def test_p2_nothing_is_claimed_before_the_first_minute() -> None:
    assert ask(fence=replace(FENCE, mark=M - 600), now=M - 1) is None


def test_p2_only_the_holder_claims() -> None:
    assert ask(fence=replace(FENCE, holder="w2")) is None


def test_p2_a_paused_or_removed_job_is_not_claimed() -> None:
    assert ask(fence=replace(FENCE, state="paused")) is None
    assert ask(fence=replace(FENCE, state="removed")) is None


def test_p2_an_older_copy_of_the_job_is_not_launched() -> None:
    assert ask(fence=replace(FENCE, revision=2)) is None


def test_p8_minutes_passed_over_are_closed_with_the_newest() -> None:
    decision = ask(now=M + 185)
    assert decision is not None
    assert decision.minute == M + 180
    assert decision.passed_over == (M, M + 60, M + 120)
    assert decision.outcome is None
    assert decision.passed_reason


def test_a_minute_past_its_deadline_is_missed_with_the_reason() -> None:
    spec = replace(SPEC, schedule="@at 2027-01-15T08:00:00Z", starting_deadline_seconds=600)
    decision = ask(spec, now=M + 601)
    assert decision is not None
    assert decision.outcome is RunState.MISSED
    assert "600 s" in (decision.reason or "")


def test_without_catch_up_a_late_minute_is_missed() -> None:
    spec = replace(SPEC, schedule="@at 2027-01-15T08:00:00Z", catch_up=CatchUp.NONE)
    late = ask(spec, now=M + 121)
    assert late is not None
    assert late.outcome is RunState.MISSED
    on_time = ask(spec, now=M + 119)
    assert on_time is not None
    assert on_time.outcome is None


def test_p11_a_run_beside_an_active_one_is_skipped() -> None:
    decision = ask(fence=replace(FENCE, active=str(M - 60)))
    assert decision is not None
    assert decision.outcome is RunState.SKIPPED


def test_p11_overlap_is_launched_where_it_is_allowed() -> None:
    spec = replace(SPEC, concurrency=Concurrency.ALLOW)
    decision = ask(spec, replace(FENCE, active=str(M - 60)))
    assert decision is not None
    assert decision.outcome is None


def test_p8_a_long_outage_is_closed_from_its_oldest_minutes_on() -> None:
    closed: list[int] = []
    fence = FENCE
    while (decision := ask(fence=fence, now=M + 300 * 60 + 5)) and decision.outcome is not None:
        assert (decision.outcome, decision.more) == (RunState.MISSED, True)
        assert decision.reason == decision.passed_reason
        assert len(decision.passed_over) == AT_ONCE - 1
        closed += [*decision.passed_over, decision.minute]
        fence = replace(fence, mark=decision.minute)
    assert closed == [M + 60 * n for n in range(300)]
    assert decision == Decision(M + 300 * 60, (), None)


def test_p8_what_a_long_outage_left_is_closed_although_a_run_is_active() -> None:
    decision = ask(fence=replace(FENCE, active=str(M - 60)), now=M + 300 * 60)
    assert decision is not None
    assert (decision.minute, decision.outcome) == (M + 60 * (AT_ONCE - 1), RunState.MISSED)


def test_catching_up_all_after_a_long_outage_begins_with_the_oldest() -> None:
    spec = replace(SPEC, catch_up=CatchUp.ALL, starting_deadline_seconds=86_400)
    decision = ask(spec, now=M + 300 * 60)
    assert decision == Decision(M, (), None, more=True)


ALL = replace(SPEC, catch_up=CatchUp.ALL)


def test_catching_up_all_begins_with_the_oldest_that_may_start() -> None:
    decision = ask(ALL, now=M + 725)
    assert decision is not None
    assert decision.minute == M + 180
    assert decision.passed_over == (M, M + 60, M + 120)
    assert decision.more
    assert "within 600 s" in (decision.passed_reason or "")


def test_catching_up_all_waits_for_the_run_before() -> None:
    busy = replace(FENCE, active=str(M - 60))
    assert ask(ALL, busy, now=M + 185) is None
    on_time = ask(ALL, busy, now=M + 2)
    assert on_time is not None
    assert on_time.outcome is RunState.SKIPPED


def test_catching_up_all_goes_on_beside_others_where_overlap_is_allowed() -> None:
    spec = replace(ALL, concurrency=Concurrency.ALLOW)
    decision = ask(spec, replace(FENCE, active=None), now=M + 185)
    assert decision is not None
    assert (decision.minute, decision.outcome, decision.more) == (M, None, True)


def test_a_replacing_minute_waits_for_the_end_of_what_it_replaces() -> None:
    spec = replace(SPEC, concurrency=Concurrency.REPLACE)
    decision = ask(spec, replace(FENCE, active=str(M - 60)))
    assert decision is not None
    assert (decision.outcome, decision.replaces) == (None, str(M - 60))
