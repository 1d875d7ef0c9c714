"""A real HAProxy with the API's part of the configuration that roles/haproxy makes.

It needs Debian's package haproxy (tests/servers/packages.txt), and no root. Left out of what the
role renders: another user and root folder, the log's socket, what load balancers tell each other,
and the backends of the database and the object store.
"""

from __future__ import annotations

import re
import shutil
import socket
import ssl
from pathlib import Path

from tests.integration.rendered import HOSTS, ROLES, render
from tests.servers.certificates import Authority
from tests.servers.process import end, free_port, launch, wait_until_ready

TEMPLATES = ROLES / "haproxy" / "templates"
_OF_THE_HOST = re.compile(r"^ +(log /dev/log|chroot|user|group|stats socket|localpeer) .*\n", re.M)
_PEERS = re.compile(r"^peers dcron\n(?:[ #].*\n)+", re.M)


def _program() -> str | None:
    return shutil.which("haproxy", path="/usr/sbin:/usr/bin")  # often not on a user's own path


def missing() -> str | None:
    """Why it cannot be started here; None if it can."""
    if _program() is None:
        return "haproxy is not installed (tests/servers/packages.txt)"
    return None


class HAProxyServer:
    """In front of an API on loopback at `api_port`, whose certificate `authority` has issued in the
    name of ctl1. Clients reach it at `port` with TLS, as `balancer`."""

    def __init__(
        self, folder: Path, authority: Authority, api_port: int, **variables: object
    ) -> None:
        self._folder = folder
        self._authority = authority
        self.port = free_port()
        self._log = folder / "haproxy.log"
        given = {
            "haproxy_bind_address": "127.0.0.1",
            "haproxy_https_port": self.port,
            "haproxy_http_port": 0,
            "haproxy_alive_port": free_port(),
            "haproxy_api_port": api_port,
            "haproxy_api_hosts": ["ctl1"],
            "haproxy_database_hosts": [],
            "haproxy_s3_hosts": [],
            "haproxy_virtual_address": "127.0.0.1",
            "haproxy_max_connections": 200,
            "__haproxy_tls_dir": str(folder / "tls"),
            "ansible_managed": "made by a test",
        }
        config, service = render(
            folder,
            [TEMPLATES / "haproxy.cfg.j2", TEMPLATES / "too_large.lua.j2"],
            **{**given, **variables},
        )
        (folder / "too_large.lua").write_text(service)
        self._config = folder / "haproxy.cfg"
        self._config.write_text(self._for_a_test(config))

    def _for_a_test(self, text: str) -> str:
        text = _PEERS.sub("", _OF_THE_HOST.sub("", text))
        text = text.replace(f"{HOSTS['ctl1']}:", "127.0.0.1:")
        text = text.replace("/etc/haproxy/too_large.lua", str(self._folder / "too_large.lua"))
        return text.replace("ca-base /etc/dcron", f"ca-base {self._authority.folder}")

    def start(self) -> None:
        """Return when it passes requests on."""
        tls = self._folder / "tls"
        tls.mkdir(exist_ok=True)
        certificate = self._authority.issue("balancer")
        shutil.copy(certificate.certificate, tls / "dcron.crt")
        shutil.copy(certificate.key, tls / "dcron.key")
        self._process = launch([str(_program()), "-db", "-f", str(self._config)], self._log)
        wait_until_ready(self._process, self._passes_on, self._log, 30)

    def _passes_on(self) -> bool:
        try:
            with self.connect() as connection:
                connection.sendall(b"GET /health/ready HTTP/1.1\r\nHost: dcron\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def connect(self, port: int | None = None) -> ssl.SSLSocket:
        """A connection with TLS on which nothing was said yet; it waits 10 s for an answer.
        `port`: the API's own, to go past the load balancer."""
        context = ssl.create_default_context(cafile=str(self._authority.ca))
        plain = socket.create_connection(("127.0.0.1", port or self.port), timeout=10)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    def stop(self) -> None:
        end(self._process)
