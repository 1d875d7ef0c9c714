"""The virtual address moves, and takes along what its old holder had with itself by it."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from chaos import roles
from tests.system.cluster import CONTROL, Cluster, lab, needs_cluster, needs_lab, wait_for

pytestmark = [needs_cluster, needs_lab]

MOVED = 60.0  # seconds until another host has taken the address
FOUND_OUT = 60.0  # seconds; the connections' own probes take 19
AT_ONCE = 24
DATABASE = 3307  # where load balancers pass connections on to the database


def holders(address: str) -> list[str]:
    """The hosts that have the address."""
    return roles.address_holders(lambda host, line: lab("exec", host, line), CONTROL, address)


def from_itself(host: str, address: str) -> set[str]:
    """The API's connections to the database that have the address at both ends, by inode number:
    with a host's own address as their aim, the kernel takes it for their origin, too."""
    line = (
        "ss --no-header --tcp --numeric --extended state established"
        f" src {address} dst {address} dport = :{DATABASE}"
    )
    shown = [each for each in lab("exec", host, line).splitlines() if "dcron-api" in each]
    return {found[1] for each in shown if (found := re.search(r" ino:([0-9]+) ", each))}


def test_no_connection_to_the_database_outlives_the_address_that_it_came_from() -> None:
    """It reaches nobody, and nobody tells it: whoever used it would wait until his time is up."""
    cluster = Cluster()
    address = urlsplit(os.environ["DCRON_URL"]).hostname or ""
    (holder,) = holders(address)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda _: cluster.get("/workers"), range(4 * AT_ONCE)))
    before = from_itself(holder, address)
    assert before, f"the API on {holder} has no connection by its own address"
    lab("exec", holder, "systemctl stop keepalived")
    try:
        wait_for("another host has it", lambda: len(set(holders(address)) - {holder}) == 1, MOVED)
        wait_for(
            f"{holder} has none of its connections of before",
            lambda: not from_itself(holder, address) & before,
            FOUND_OUT,
        )
    finally:
        lab("exec", holder, "systemctl start keepalived")
    assert holder not in holders(address), "a host that comes back takes nothing"
