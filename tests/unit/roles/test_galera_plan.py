"""Who may form the Galera cluster."""

import importlib.util
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[3] / "roles/mysql/filter_plugins/galera_plan.py"
spec = importlib.util.spec_from_file_location("galera_plan", FILE)
assert spec and spec.loader
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

NEVER = "00000000-0000-0000-0000-000000000000"
HISTORY = "11111111-1111-1111-1111-111111111111"
OTHER = "22222222-2222-2222-2222-222222222222"
HOSTS = ["a", "b", "c"]


def member(**known: Any) -> dict[str, Any]:
    """A member that was installed and never ran, unless told otherwise."""
    return {
        "primary": False,
        "stuck": False,
        "waiting": False,
        "joined": False,
        "databases": [],
        "uuid": NEVER,
        "seqno": -1,
        "safe_to_bootstrap": False,
    } | known


def stopped(seqno: int, uuid: str = HISTORY, safe: bool = False) -> dict[str, Any]:
    return member(joined=True, uuid=uuid, seqno=seqno, safe_to_bootstrap=safe, databases=["dcron"])


def plan(*seen: dict[str, Any], recover: bool = False) -> tuple[str, str]:
    answer = module.galera_plan(dict(zip(HOSTS, seen, strict=False)), HOSTS, "dcron", recover)
    assert answer["reason"]
    return answer["action"], answer["node"]


def test_a_fresh_cluster_is_formed_by_the_first_member() -> None:
    assert plan(member(), member(), member()) == ("bootstrap", "a")


def test_a_lone_server_that_becomes_three_keeps_its_database() -> None:
    assert plan(member(), member(databases=["dcron"]), member()) == ("bootstrap", "b")


def test_two_servers_with_a_database_each_are_a_choice_for_a_person() -> None:
    assert plan(member(databases=["dcron"]), member(databases=["dcron"]), member())[0] == "refuse"


def test_nobody_bootstraps_while_a_member_is_primary() -> None:
    assert plan(stopped(9, safe=True), member(primary=True, joined=True), member()) == ("join", "")


def test_a_primary_seen_alone_is_enough_to_join() -> None:
    assert plan(member(primary=True, joined=True)) == ("join", "")


def test_a_member_that_was_not_looked_at_forbids_to_bootstrap() -> None:
    assert plan(stopped(5), stopped(5, safe=True))[0] == "refuse"


def test_the_member_that_left_last_forms_the_cluster() -> None:
    assert plan(stopped(28), stopped(30, safe=True), stopped(29)) == ("bootstrap", "b")


def test_after_a_power_cut_the_highest_position_forms_the_cluster() -> None:
    assert plan(stopped(28), stopped(30), stopped(31)) == ("bootstrap", "c")


def test_an_unknown_position_is_a_choice_for_a_person() -> None:
    assert plan(stopped(28), stopped(-1), stopped(31))[0] == "refuse"


def test_two_histories_are_a_choice_for_a_person() -> None:
    assert plan(stopped(28), stopped(30, uuid=OTHER), stopped(31))[0] == "refuse"


def test_two_members_that_claim_to_have_left_last_are_a_choice_for_a_person() -> None:
    assert plan(stopped(28, safe=True), stopped(30, safe=True), stopped(31))[0] == "refuse"


def test_a_member_that_lost_its_disk_does_not_count() -> None:
    assert plan(member(), stopped(30), stopped(29)) == ("bootstrap", "b")


def test_members_that_wait_in_vain_are_halted_and_read() -> None:
    assert plan(member(waiting=True), member(waiting=True), stopped(4)) == ("halt", "")


def test_members_that_run_without_a_majority_are_left_alone_unless_asked() -> None:
    seen = member(stuck=True, joined=True), member(stuck=True, joined=True), stopped(4)
    assert plan(*seen)[0] == "refuse"
    assert plan(*seen, recover=True) == ("halt", "")


def test_somebody_elses_databases_are_not_touched() -> None:
    assert plan(member(databases=["shop"]), member(), member())[0] == "refuse"


def test_databases_beside_ours_in_a_cluster_of_ours_are_accepted() -> None:
    ours = stopped(3) | {"databases": ["dcron", "reports"]}
    assert plan(ours, stopped(2), stopped(1)) == ("bootstrap", "a")


def test_one_member_needs_no_galera() -> None:
    assert module.galera_plan({"a": member()}, ["a"], "dcron")["action"] == "single"
