"""A load balancer in front of HAProxy that says by the PROXY protocol whose connection it passes
on: a real HAProxy by the role's configuration, and the API's log, which tells who a client is.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers import haproxy
from tests.servers.api import ApiServer
from tests.servers.certificates import Authority
from tests.servers.haproxy import HAProxyServer

BALANCER, STRANGER = "127.0.0.2", "127.0.0.3"  # loopback has them all
CLIENT = "203.0.113.7"
SAYS = f"PROXY TCP4 {CLIENT} 192.0.2.100 50000 443\r\n".encode()


@dataclass
class Front:
    port: int
    ca: Path
    log: Path

    def ask(self, source: str, path: str, first: bytes = SAYS) -> bytes:
        """What is answered to who connects from `source` and says `first` before its TLS."""
        context = ssl.create_default_context(cafile=str(self.ca))
        here = ("127.0.0.1", self.port)
        with socket.create_connection(here, timeout=5, source_address=(source, 0)) as plain:
            plain.sendall(first)
            try:
                with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
                    ask = f"GET {path} HTTP/1.1\r\nHost: dcron\r\nConnection: close\r\n\r\n"
                    connection.sendall(ask.encode())
                    return connection.recv(64)
            except OSError:
                return b""

    def peer(self, path: str) -> str:
        (line,) = (one for one in self.log.read_text().splitlines() if f"path='{path}'" in one)
        return line.partition("peer=")[2].split()[0]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    reason = haproxy.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("front")
    authority = Authority(folder)
    api = ApiServer.small(folder, authority)
    named = [BALANCER, "198.51.100.0/24"]
    balancer = HAProxyServer(folder, authority, api.port, haproxy_proxy_protocol_from=named)
    with api.serving():
        balancer.start()  # asked from an address that is not named, so without a word before TLS
        try:
            yield Front(balancer.port, authority.ca, api.log)
        finally:
            balancer.stop()


def test_the_address_is_what_a_named_load_balancer_says(front: Front) -> None:
    assert front.ask(BALANCER, "/said").startswith(b"HTTP/1.1 401 ")
    assert front.peer("/said") == CLIENT


def test_nobody_else_says_where_it_comes_from(front: Front) -> None:
    assert front.ask(STRANGER, "/claimed") == b""
    assert "/claimed" not in front.log.read_text()
    assert front.ask(STRANGER, "/plain", b"").startswith(b"HTTP/1.1 401 ")
    assert front.peer("/plain") == STRANGER


def test_a_named_load_balancer_has_to_say_it(front: Front) -> None:
    assert front.ask(BALANCER, "/unsaid", b"") == b""
    assert "/unsaid" not in front.log.read_text()
