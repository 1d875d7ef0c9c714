from lab import partition
from lab.state import Host, Lab

HOSTS = ["ctl1", "ctl2", "ctl3", "node1"]


def test_hosts_that_are_cut_together_still_see_each_other() -> None:
    cuts = partition.resolve([["off", "ctl1", "ctl2"]], HOSTS)
    assert ("ctl1", "ctl3") in cuts.whole
    assert ("node1", "ctl2") in cuts.whole
    assert ("ctl1", "ctl2") not in cuts.whole
    assert cuts.away == {"ctl1", "ctl2"}


def test_hosts_that_are_cut_one_after_the_other_do_not_see_each_other() -> None:
    cuts = partition.resolve([["off", "ctl1"], ["off", "ctl2"]], HOSTS)
    assert ("ctl1", "ctl2") in cuts.whole


def test_a_one_way_cut_has_one_direction_and_leaves_arp() -> None:
    lab = Lab("t", 1, "/f", "/b", {h: Host() for h in HOSTS}, [["one-way", "ctl1", "ctl2"]])
    drops = [line.strip() for line in partition.rules(lab).splitlines() if "drop" in line]
    assert drops == ['iifname "t-ctl1" oifname "t-ctl2" ether type ip drop']


def test_a_cut_off_holder_of_the_virtual_address_is_not_reached_at_it() -> None:
    lab = Lab("t", 1, "/f", "/b", {h: Host() for h in HOSTS}, [["off", "ctl1"]])
    rules = partition.rules(lab)
    assert 'iifname "t-ctl1" arp saddr ip 10.77.1.100 drop' in rules
    assert 'oifname "t-ctl1" ip daddr 10.77.1.100 drop' in rules


def test_a_healed_lab_drops_nothing() -> None:
    assert "drop" not in partition.rules(Lab("t", 1, "/f", "/b", {h: Host() for h in HOSTS}))
