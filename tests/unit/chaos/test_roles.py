"""What the hosts show of the servers below, read by the chaos run."""

from __future__ import annotations

import pytest

from chaos.roles import whole

HOSTS = ("ctl1", "ctl2", "ctl3")
MEMBER = "wsrep_cluster_size\t3\nwsrep_local_state_comment\tSynced\n"


def test_all_is_whole_when_each_database_is_synced_and_each_zookeeper_has_a_peer() -> None:
    assert whole(lambda host, command: MEMBER if "mariadb" in command else "2\n", HOSTS)


@pytest.mark.parametrize(
    ("status", "peers"),
    [
        ("", "2\n"),  # it cannot be asked
        (MEMBER.replace("3", "2"), "2\n"),
        (MEMBER.replace("Synced", "Joined"), "2\n"),
        (MEMBER.replace("Synced", "Joining: receiving State Transfer"), "2\n"),
        (MEMBER, "0\n"),
        (MEMBER, ""),
    ],
)
def test_one_host_that_lacks_something_is_enough(status: str, peers: str) -> None:
    def ask(host: str, command: str) -> str:
        if host != "ctl2":
            return MEMBER if "mariadb" in command else "1\n"
        return status if "mariadb" in command else peers

    assert not whole(ask, HOSTS)
