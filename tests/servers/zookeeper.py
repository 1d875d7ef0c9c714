"""A real ZooKeeper server for tests: Debian's jars, one process, loopback only, TLS and plain.

It needs java and Debian's package libzookeeper-java (tests/servers/packages.txt), and no root.

    with ZooKeeperServer(folder) as server:
        KazooClient(f"127.0.0.1:{server.plain_port}")
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.certificates import Authority, Certificate
from tests.servers.process import end, free_port, launch, wait_until_ready

_JARS = Path("/usr/share/java")
# Debian's zookeeper.jar does not name all that it needs: netty's codec, and any logger.
_CLASSPATH = [
    "zookeeper.jar",
    "slf4j-simple.jar",
    "netty-codec.jar",
    "netty-resolver.jar",
    "netty-transport-native-unix-common.jar",
]
_START_SECONDS = 120


def missing() -> str | None:
    """Why no server can be had on this machine, or None."""
    if shutil.which("java") is None:
        return "java is not installed (tests/servers/packages.txt)"
    lacking = [name for name in _CLASSPATH if not (_JARS / name).exists()]
    if lacking:
        return f"Debian's libzookeeper-java is not installed: no {', '.join(lacking)} in {_JARS}"
    return None


@dataclass
class ZooKeeperServer:
    """Start with `with`. `issue` gives clients a certificate; `stop` and `start` keep the data."""

    folder: Path
    plain_port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.folder / "data").mkdir()
        self._authority = Authority(self.folder)
        self._configure()

    @property
    def ca(self) -> Path:
        return self._authority.ca

    def issue(self, common_name: str) -> Certificate:
        """A client's certificate; the subject is its identity in access lists."""
        return self._authority.issue(common_name, address=None)

    def start(self) -> None:
        log = self.folder / "zookeeper.log"
        self._process = launch(
            [
                "java",
                *("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                *("-cp", ":".join(str(_JARS / name) for name in _CLASSPATH)),
                "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                str(self.folder / "zoo.cfg"),
            ],
            log,
        )
        wait_until_ready(self._process, self._answers, log, _START_SECONDS)

    def stop(self) -> None:
        if self._process is not None:
            end(self._process)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _configure(self) -> None:
        server = self._authority.issue("zookeeper")
        lines = [
            "tickTime=500",  # so that sessions may be as short as a second
            "maxSessionTimeout=30000",
            f"dataDir={self.folder / 'data'}",
            f"clientPort={self.plain_port}",
            "clientPortAddress=127.0.0.1",
            f"secureClientPort={self.tls_port}",
            "secureClientPortAddress=127.0.0.1",
            "maxClientCnxns=0",
            "admin.enableServer=false",
            "4lw.commands.whitelist=ruok",
            "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
            "authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider",
            "ssl.clientAuth=need",
            "ssl.keyStore.type=PEM",
            f"ssl.keyStore.location={server.joined}",
            "ssl.trustStore.type=PEM",
            f"ssl.trustStore.location={self.ca}",
        ]
        (self.folder / "zoo.cfg").write_text("\n".join(lines) + "\n")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.plain_port), timeout=2) as client:
                client.sendall(b"ruok")
                answered = client.recv(4) == b"imok"
            with socket.create_connection(("127.0.0.1", self.tls_port), timeout=2):
                return answered
        except OSError:
            return False
