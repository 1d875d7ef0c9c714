import pytest

from lab import names
from lab.errors import UsageError


def test_each_host_has_its_own_address_apart_from_the_gateway_and_the_virtual_one() -> None:
    hosts = [f"{kind}{number}" for kind in ("ctl", "node") for number in range(1, 10)]
    addresses = {names.address(7, host) for host in hosts}
    assert len(addresses) == len(hosts)
    assert not addresses & {names.gateway(7), names.virtual_address(7)}
    assert names.address(7, "ctl1") == "10.77.7.11"
    assert names.address(7, "node2") == "10.77.7.22"


def test_interface_names_of_the_longest_lab_name_fit_the_kernel() -> None:
    lab = names.check_lab("a" * 9)
    assert len(names.port(lab, "node9")) <= 15
    assert len(names.bridge(lab)) <= 15


@pytest.mark.parametrize("name", ["", "Lab", "1lab", "my-lab", "abcdefghij", "a/b", "..", "a\n"])
def test_a_name_that_cannot_stand_in_an_interface_or_a_path_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="LAB="):
        names.check_lab(name)


@pytest.mark.parametrize("name", ["web1", "ctl0", "ctl10", "ctl", "CTL1", "../x", "ctl1\n"])
def test_a_host_is_a_ctl_or_a_node_with_a_digit(name: str) -> None:
    with pytest.raises(UsageError, match="ctl1 to ctl9"):
        names.check_host(name)


def test_a_list_of_hosts_is_sorted_and_each_stands_once() -> None:
    assert names.parse_hosts("node1, ctl2,ctl1,ctl1") == ["ctl1", "ctl2", "node1"]


def test_an_empty_list_of_hosts_is_refused_with_an_example() -> None:
    with pytest.raises(UsageError, match="for example --hosts"):
        names.parse_hosts(" , ")


def test_every_host_runs_a_worker_and_only_control_hosts_what_the_cluster_rests_on() -> None:
    assert names.groups("node1") == ("dcron_worker",)
    assert {"mysql", "zookeeper", "dcron_worker"} <= set(names.groups("ctl1"))
