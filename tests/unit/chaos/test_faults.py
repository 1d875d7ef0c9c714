"""What is broken is drawn, and stays within what the cluster promises to survive."""

from __future__ import annotations

import random

import pytest

from chaos.faults import CONTROL, HOSTS, MAKERS, Plan, draw


def drawn(seed: int) -> list[list[Plan]]:
    rng = random.Random(seed)  # noqa: S311  # a draw, no secret
    return [draw(rng, led=["ctl2"]) for _ in range(200)]


def test_a_seed_draws_the_same_again() -> None:
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_two_at_a_time_take_a_minority_of_the_control_hosts_and_no_host_twice() -> None:
    pairs = [plans for seed in range(20) for plans in drawn(seed) if len(plans) == 2]
    assert len(pairs) > 200
    for one, other in pairs:
        hosts = [*one.hosts, *other.hosts]
        assert len(hosts) == len(set(hosts)), (one, other)
        assert len(set(hosts) & set(CONTROL)) <= 1, (one, other)


def test_who_leads_is_aimed_at() -> None:
    single = [plans[0].hosts[0] for plans in drawn(3) if len(plans[0].hosts) == 1]
    assert single.count("ctl2") > 2 * max(single.count("ctl1"), single.count("ctl3")) * 0.8
    assert set(single) == set(HOSTS)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_kind_can_be_asked_for_and_what_lasts_is_mended(kind: str) -> None:
    rng = random.Random(5)  # noqa: S311  # a draw, no secret
    for plan in draw(rng, [kind]):
        assert plan.breaks
        assert plan.mends or plan.kind.startswith(("kill dcron", "restart"))
        assert set(plan.hosts) <= set(HOSTS)
