"""The API as a control node runs it: `dcron-app`, gunicorn with TLS. Its ZooKeeper is away."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dcron_common.sealing.ring import Ring
from tests.servers.certificates import Authority
from tests.servers.process import end, free_port, launch, wait_until_ready

CONFIG = """
[cluster]
[api]
listen = "127.0.0.1:{port}"
tls_certificate = "{certificate}"
tls_key = "{key}"
processes = 1
body_seconds = 2
{api}
[database]
{database}
[zookeeper]
hosts = ["127.0.0.1:1"]
certificate = "{certificate}"
key = "{key}"
ca = "{ca}"
[object_store]
kind = "directory"
path = "{folder}/objects"
[secrets]
keys_file = "{folder}/secrets.keys"
[log]
"""


@dataclass
class ApiServer:
    """`run` does a command of `dcron-app` and ends; `serving` serves at `port` while it lasts."""

    config: Path
    port: int
    ca: Path
    log: Path

    @classmethod
    def made(cls, folder: Path, authority: Authority, name: str, api: str, database: str) -> Self:
        """With a certificate of this name, keys, and a configuration in `folder`. `api` and
        `database`: lines of these sections."""
        certificate = authority.issue(name)
        made = cls(folder / "app.toml", free_port(), authority.ca, folder / "api.log")
        Ring.read_or_make(folder / "secrets.keys")
        made.config.write_text(
            CONFIG.format(
                port=made.port,
                certificate=certificate.certificate,
                key=certificate.key,
                ca=authority.ca,
                folder=folder,
                api=api,
                database=database,
            )
        )
        return made

    @classmethod
    def small(cls, folder: Path, authority: Authority) -> Self:
        """Named ctl1, with four threads, on a migrated SQLite database in `folder`."""
        database = f'kind = "sqlite"\npath = "{folder}/dcron.db"'
        made = cls.made(folder, authority, "ctl1", "threads = 4", database)
        migrated = made.run("migrate")
        assert migrated.returncode == 0, migrated.stderr
        return made

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = self._command(*arguments)
        return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)

    @contextmanager
    def serving(self) -> Iterator[None]:
        process = launch(self._command("serve"), self.log)
        try:
            wait_until_ready(process, self.listens, self.log, 30)
            yield
        finally:
            end(process)

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "dcron_app.main", "--config", str(self.config), *arguments]
