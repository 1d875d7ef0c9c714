"""What is broken is drawn, and stays within what the cluster promises to survive."""

from __future__ import annotations

import random

import pytest

from chaos.faults import CONTROL, HOSTS, MAKERS, Plan, draw
from dcron_common.timing import TICK_SILENCE


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


def test_each_daemon_and_server_is_restarted_killed_and_stopped_in_its_way() -> None:
    drew = {
        (plan.kind, plan.hosts) for seed in range(30) for plans in drawn(seed) for plan in plans
    }
    kinds = {kind for kind, _ in drew}
    servers = {"mariadb", "dcron-zookeeper", "haproxy"}
    daemons = {"dcron-worker", "dcron-launcher", "dcron-manager", "dcron-api"}
    store = {"swift-proxy", "swift-object"}
    assert kinds >= {f"restart {unit}" for unit in servers | daemons | store | {"cron"}}
    assert kinds >= {f"{how} {unit}" for how in ("kill", "stop") for unit in servers | daemons}
    assert kinds >= {"kill cron", "stop cron", "crond stopped", "object store away"}
    for how in ("restart", "kill", "stop"):
        assert {host for kind, (host, *_) in drew if kind == f"{how} cron"} == set(HOSTS)
        assert {host for kind, (host, *_) in drew if kind == f"{how} mariadb"} == set(CONTROL)


def test_a_crond_that_stands_still_goes_on_and_may_be_silent_for_longer_than_is_waited() -> None:
    rng = random.Random(7)  # noqa: S311  # a draw, no secret
    plans = [plan for _ in range(50) for plan in draw(rng, ["crond-still"])]
    assert all(plan.breaks[0][2] == "systemctl kill -s STOP cron" for plan in plans)
    assert all(plan.mends[0][2] == "systemctl kill -s CONT cron" for plan in plans)
    assert any(plan.seconds > TICK_SILENCE for plan in plans)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_every_kind_can_be_asked_for_and_what_lasts_is_mended(kind: str) -> None:
    rng = random.Random(5)  # noqa: S311  # a draw, no secret
    for plan in draw(rng, [kind]):
        assert plan.breaks
        assert plan.mends or plan.kind.startswith(("kill dcron", "restart"))
        assert set(plan.hosts) <= set(HOSTS)
