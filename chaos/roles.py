"""Who leads what at this moment, and whether the servers are whole, as the hosts show it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Ask = Callable[[str, str], str]  # host, shell command; its output

_STATUS = (
    'mariadb --skip-column-names --batch --execute "show status where variable_name in'
    " ('wsrep_cluster_size', 'wsrep_local_state_comment')\""
)
_PEERS = (
    "ss --no-header --tcp --numeric state established '( sport = :2888 or dport = :2888 )' | wc -l"
)
_LEADS = re.compile(r"manager=(\S+) leads with epoch ([0-9]+)")


def zookeeper_leaders(ask: Ask, hosts: Sequence[str]) -> list[str]:
    """Whose ZooKeeper leads: a leader alone listens for followers."""
    listening = "ss --no-header --listening --tcp --numeric 'sport = :2888'"
    return [host for host in hosts if ask(host, listening).strip()]


def manager_leader(ask: Ask, hosts: Sequence[str]) -> str | None:
    """Whose manager leads: of all that ever said so, the one of the highest epoch, which every new
    leader raises. None: none ever said so."""
    line = (
        "journalctl --no-pager --output=cat --unit=dcron-manager"
        " | grep ' leads with epoch ' | tail -n 1"
    )
    said = [_LEADS.search(ask(host, line)) for host in hosts]
    epochs = {int(found[2]): found[1] for found in said if found}
    return epochs[max(epochs)] if epochs else None


def address_holders(ask: Ask, hosts: Sequence[str], address: str) -> list[str]:
    """Who has the virtual address."""
    shown = "ip -oneline -4 address show scope global"
    return [host for host in hosts if f" {address}/" in ask(host, shown)]


def database_writer(ask: Ask, hosts: Sequence[str]) -> str:
    """Whose database the load balancers write to: the one with the most connections."""
    count = "ss --no-header --tcp --numeric state established '( sport = :3306 )' | wc -l"
    return max(hosts, key=lambda host: int(ask(host, count).strip() or 0))


def whole(ask: Ask, hosts: Sequence[str]) -> bool:
    """Whether each database is a synced member of all, and each ZooKeeper talks to a peer. What
    comes before that is a fault more at a time, and may take a majority away for good."""
    for host in hosts:
        status = dict(line.split("\t", 1) for line in ask(host, _STATUS).splitlines())
        member = {"wsrep_cluster_size": str(len(hosts)), "wsrep_local_state_comment": "Synced"}
        if status != member or ask(host, _PEERS).strip() in ("", "0"):
            return False
    return True
