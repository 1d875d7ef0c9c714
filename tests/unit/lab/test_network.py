import pytest

from lab import names, network
from lab.errors import LabError
from lab.state import Lab


def test_the_lowest_network_is_taken_that_no_lab_and_no_route_has() -> None:
    routes = ["10.77.2.0/24", "192.0.2.0/24", "10.77.3.7"]
    assert network.free_index({1}, routes) == 4


def test_a_route_to_all_of_them_leaves_none() -> None:
    with pytest.raises(LabError, match="no free network"):
        network.free_index(set(), ["10.0.0.0/8"])


def test_both_rules_leave_the_labs_own_traffic_alone() -> None:
    text = network.rules(Lab("t", 9, "/f/.lab/t", "/b"))
    rules = [line for line in text.splitlines() if "saddr" in line]
    assert len(rules) == 2
    assert all(f"ip daddr != {names.subnet(9)}" in line for line in rules)
