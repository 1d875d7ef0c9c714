"""The rule that guards the API's port, by the kernel: one network namespace is the control node,
another all other hosts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.rendered import HOSTS, ROLES, render

TEMPLATE = ROLES / "dcron_app" / "templates" / "firewall.nft.j2"
SERVER = """
import socket
sockets = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
           for port in (30000, 22)]
print("listening", flush=True)
input()
"""
CLIENT = """
import socket, sys
source, target, port = sys.argv[1:]
try:
    socket.create_connection((target, int(port)), timeout=2, source_address=(source, 0))
except TimeoutError:
    print("dropped")
else:
    print("connected")
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


class Network:
    """Namespace `node` has the address of ctl1, with a server on ports 30000 and 22; namespace
    `others` has those of all other hosts."""

    def __init__(self) -> None:
        self.node, self.others = (f"dcron-{os.getpid()}-{side}" for side in ("node", "others"))

    def make(self) -> None:
        for namespace in (self.node, self.others):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        peer = ["peer", "name", "eth0", "netns", self.others]
        ip("-n", self.node, "link", "add", "eth0", "type", "veth", *peer)
        for name, address in HOSTS.items():
            namespace = self.node if name == "ctl1" else self.others
            ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        for namespace, address in ((self.node, "fd00::11"), (self.others, "fd00::21")):
            ip("-n", namespace, "addr", "add", f"{address}/64", "dev", "eth0", "nodad")
            ip("-n", namespace, "link", "set", "eth0", "up")

    def remove(self) -> None:
        for namespace in (self.node, self.others):
            subprocess.run(["ip", "netns", "del", namespace], capture_output=True)

    def command(self, namespace: str, script: str, *arguments: str) -> list[str]:
        return ["ip", "netns", "exec", namespace, sys.executable, "-c", script, *arguments]

    def connect(self, source: str, target: str = HOSTS["ctl1"], port: int = 30000) -> str:
        own = source in (HOSTS["ctl1"], "127.0.0.1")
        command = self.command(self.node if own else self.others, CLIENT, source, target, str(port))
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def load(self, rules: Path) -> None:
        command = ["ip", "netns", "exec", self.node, "nft", "--file", str(rules)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def network() -> Iterator[Network]:
    if os.getuid() != 0 or shutil.which("nft") is None or shutil.which("ip") is None:
        pytest.skip("needs root, and the packages nftables and iproute2")
    network = Network()
    try:
        network.make()
        with subprocess.Popen(
            network.command(network.node, SERVER), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            assert server.stdout.readline() == b"listening\n"
            yield network
            server.stdin.close()
    finally:
        network.remove()


def test_only_load_balancers_and_the_host_itself_reach_the_api(
    network: Network, tmp_path: Path
) -> None:
    rules = tmp_path / "api.nft"
    rules.write_text(render(tmp_path, [TEMPLATE])[0])
    assert network.connect(HOSTS["node1"]) == "connected"
    assert network.connect("fd00::21", "fd00::11") == "connected"
    for _ in range(2):  # loading the rules again replaces them
        network.load(rules)
    assert network.connect(HOSTS["ctl2"]) == "connected"
    assert network.connect(HOSTS["ctl1"]) == "connected"
    assert network.connect("127.0.0.1", "127.0.0.1") == "connected"
    assert network.connect(HOSTS["node1"]) == "dropped"
    assert network.connect("fd00::21", "fd00::11") == "dropped"
    assert network.connect(HOSTS["node1"], port=22) == "connected"


def test_addresses_of_both_families_may_be_named(network: Network, tmp_path: Path) -> None:
    rules = tmp_path / "api.nft"
    sources = ["fd00::21", HOSTS["node1"]]
    rules.write_text(render(tmp_path, [TEMPLATE], dcron_app_firewall_sources=sources)[0])
    network.load(rules)
    assert network.connect("fd00::21", "fd00::11") == "connected"
    assert network.connect(HOSTS["node1"]) == "connected"
    assert network.connect(HOSTS["ctl2"]) == "dropped"
