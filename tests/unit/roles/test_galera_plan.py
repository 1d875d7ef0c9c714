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
        "joining": False,
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


def primary(committed: int, uuid: str = HISTORY) -> dict[str, Any]:
    return member(primary=True, joined=True, uuid=uuid, committed=committed, databases=["dcron"])


def answer(*seen: dict[str, Any], **more: Any) -> dict[str, str]:
    found: dict[str, str] = module.galera_plan(
        dict(zip(HOSTS, seen, strict=False)), HOSTS, "dcron", **more
    )
    assert found["reason"]
    return found


def plan(*seen: dict[str, Any], **more: Any) -> tuple[str, str]:
    found = answer(*seen, **more)
    return found["action"], found["node"]


def losable(*seen: dict[str, Any], without: tuple[str, ...] = ()) -> list[str]:
    hosts: list[str] = module.galera_losable(dict(zip(HOSTS, seen, strict=False)), without)
    return hosts


def test_a_fresh_cluster_is_formed_by_the_first_member() -> None:
    assert plan(member(), member(), member()) == ("bootstrap", "a")


def test_a_lone_server_that_becomes_three_keeps_its_database() -> None:
    assert plan(member(), member(databases=["dcron"]), member()) == ("bootstrap", "b")


def test_two_servers_with_a_database_each_are_a_choice_for_a_person() -> None:
    assert plan(member(databases=["dcron"]), member(databases=["dcron"]), member())[0] == "refuse"


def test_nobody_bootstraps_while_a_member_is_primary() -> None:
    assert plan(stopped(9, safe=True), member(primary=True, joined=True), member()) == ("join", "")


def test_nobody_bootstraps_while_a_member_joins_those_that_serve() -> None:
    assert plan(stopped(9, safe=True), member(joining=True, joined=True), stopped(8)) == (
        "join",
        "",
    )


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


def test_one_that_left_last_does_not_outvote_another_history() -> None:
    found = answer(stopped(10, safe=True), stopped(5, uuid=OTHER), stopped(5, uuid=OTHER))
    assert found["action"] == "refuse"
    assert "different histories" in found["reason"]
    assert f"b {OTHER}:5" in found["reason"]


def test_another_history_that_is_given_up_has_no_say() -> None:
    seen = stopped(10, safe=True), stopped(5), stopped(99, uuid=OTHER)
    assert plan(*seen, recover=True, without=["c"]) == ("bootstrap", "a")


def test_two_members_that_claim_to_have_left_last_are_a_choice_for_a_person() -> None:
    assert plan(stopped(28, safe=True), stopped(30, safe=True), stopped(31))[0] == "refuse"


def test_one_that_left_last_but_is_behind_another_is_a_choice_for_a_person() -> None:
    assert plan(stopped(28), stopped(30, safe=True), stopped(31))[0] == "refuse"


def test_of_equal_positions_the_one_that_left_last_forms_the_cluster() -> None:
    assert plan(stopped(30), stopped(30, safe=True), stopped(30)) == ("bootstrap", "b")


def test_a_refusal_names_whose_data_would_be_given_up() -> None:
    unread = answer(stopped(28), stopped(-1), stopped(31), recover=True)
    assert "recover_without=b" in unread["reason"]
    unseen = answer(stopped(28), stopped(29), recover=True)
    assert "recover_without=c" in unseen["reason"]


def test_a_member_that_is_given_up_has_no_say() -> None:
    assert plan(stopped(28), stopped(29), recover=True, without=["c"]) == ("bootstrap", "b")
    seen = stopped(28), stopped(29), stopped(99, safe=True)
    assert plan(*seen, recover=True, without=["c"]) == ("bootstrap", "b")
    seen = stopped(28), stopped(29), member(stuck=True, joined=True)
    assert plan(*seen, recover=True, without=["c"]) == ("bootstrap", "b")


def test_neither_all_members_nor_one_that_serves_nor_a_stranger_can_be_given_up() -> None:
    seen = primary(5), stopped(5), stopped(5)
    assert "leave it out" in answer(*seen, without=["a"])["reason"]
    assert "has to keep" in answer(*seen, without=["a", "b", "c"])["reason"]
    assert "members are" in answer(*seen, without=["d"])["reason"]


def test_a_member_at_or_behind_the_cluster_may_be_made_anew() -> None:
    assert losable(primary(30), stopped(30), stopped(12)) == ["b", "c"]


def test_a_member_ahead_of_the_cluster_may_not_be_made_anew() -> None:
    assert losable(primary(30), stopped(31)) == []


def test_a_member_of_another_history_or_of_unknown_position_may_not_be_made_anew() -> None:
    assert losable(primary(30), stopped(2, uuid=OTHER), stopped(-1)) == []


def test_a_member_without_data_may_be_made_anew() -> None:
    assert losable(primary(30), member()) == ["b"]


def test_a_member_that_is_given_up_may_be_made_anew() -> None:
    assert losable(primary(30), stopped(31), without=("b",)) == ["b"]


def test_nobody_is_made_anew_where_nobody_serves() -> None:
    assert losable(stopped(3), stopped(2), without=("b",)) == []


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
    assert module.galera_plan({}, ["a"], "dcron")["action"] == "refuse"
