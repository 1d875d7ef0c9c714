"""A real S3 server for tests: OpenStack Swift with its s3api, on loopback.

One process per server. It needs Debian's package python3-swift (tests/servers/packages.txt), a
folder on a file system with user xattrs, and no root. One replica on one device: the subject is
how a real server answers, not replication.

    with S3Server(folder) as server:
        boto3.client("s3", endpoint_url=server.endpoint, ...)
"""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.process import free_port

# Swift is Debian's, and so it runs in Debian's Python, not in the virtualenv of the tests.
_PYTHON = "/usr/bin/python3"
_START_SECONDS = 120
_SERVE = """
import sys
from swift.common import utils
utils.set_swift_dir(sys.argv[1])
from swift.common import storage_policy
storage_policy.reload_storage_policies()
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(sys.argv[2], sys.argv[3]))
"""
_BUILD = """
import sys
from swift.cli.ringbuilder import main
sys.argv[0] = "swift-ring-builder"
main(sys.argv)
"""
_BACKENDS = ("account", "container", "object")
_PIPELINE = (
    "catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth copy slo dlo "
    "symlink versioned_writes proxy-server"
)
_FILTERS = {
    "catch_errors": "",
    "gatekeeper": "",
    "healthcheck": "",
    "cache": "set memcache_servers = 127.0.0.1:1",  # none: it only caches
    "listing_formats": "",
    "s3api": "location = us-east-1\ncheck_bucket_owner = false\ns3_acl = false",
    "copy": "",
    "slo": "min_segment_size = 1",
    "dlo": "",
    "symlink": "",
    "versioned_writes": "",
}


def missing() -> str | None:
    """Why no server can be had on this machine, or None."""
    probe = subprocess.run([_PYTHON, "-c", "import swift.common.wsgi"], capture_output=True)
    if probe.returncode != 0:
        return "Debian's package python3-swift is not installed (tests/servers/packages.txt)"
    return None


@dataclass
class S3Server:
    """Start with `with`; `endpoint`, `access_key`, `secret_key`, `region` then tell how to ask."""

    folder: Path
    access_key: str = "app:s3"
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    region: str = "us-east-1"
    _ports: dict[str, int] = field(default_factory=dict)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """The URL of the service."""
        return f"http://127.0.0.1:{self._ports['proxy']}"

    def __enter__(self) -> Self:
        self._ports = {name: free_port() for name in (*_BACKENDS, "proxy")}
        (self.folder / "devices" / "d1").mkdir(parents=True, exist_ok=True)
        self._configure()
        try:
            for name in _BACKENDS:
                self._build_ring(name)
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the four servers and wait until all of them are healthy."""
        for name in (*_BACKENDS, "proxy"):
            with (self.folder / f"{name}.log").open("ab") as log:
                config = self.folder / f"{name}.conf"
                self._processes.append(
                    subprocess.Popen(
                        [_PYTHON, "-c", _SERVE, str(self.folder), str(config), f"{name}-server"],
                        stdout=log,
                        stderr=log,
                        stdin=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                )
        deadline = time.monotonic() + _START_SECONDS
        for name, port in self._ports.items():
            while not _healthy(port):
                if time.monotonic() > deadline or any(
                    p.poll() is not None for p in self._processes
                ):
                    text = (self.folder / f"{name}.log").read_text(errors="replace")
                    raise RuntimeError(f"Swift's {name} server did not start:\n{text[-3000:]}")
                time.sleep(0.05)

    def stop(self) -> None:
        """End the servers; `start` brings them back with their data."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _configure(self) -> None:
        (self.folder / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_suffix = test\nswift_hash_path_prefix = test\n"
            "[storage-policy:0]\nname = one\ndefault = yes\n"
        )
        for name in _BACKENDS:
            self._write(
                name,
                f"[pipeline:main]\npipeline = healthcheck {name}-server\n"
                f"[app:{name}-server]\nuse = egg:swift#{name}\n"
                "[filter:healthcheck]\nuse = egg:swift#healthcheck\n",
            )
        filters = "".join(
            f"[filter:{name}]\nuse = egg:swift#"
            f"{'memcache' if name == 'cache' else name}\n{settings}\n"
            for name, settings in _FILTERS.items()
        )
        account, user = self.access_key.split(":")
        self._write(
            "proxy",
            f"[pipeline:main]\npipeline = {_PIPELINE}\n"
            "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
            # A busy machine is no broken server: the default of 0.5 s would turn into a 404.
            "conn_timeout = 10\nnode_timeout = 30\n"
            f"{filters}[filter:tempauth]\nuse = egg:swift#tempauth\n"
            f"user_{account}_{user} = {self.secret_key} .admin\n",
        )

    def _write(self, name: str, body: str) -> None:
        file = self.folder / f"{name}.conf"
        file.touch(mode=0o600)
        file.write_text(
            f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {self._ports[name]}\nworkers = 0\n"
            f"user = {pwd.getpwuid(os.getuid()).pw_name}\nswift_dir = {self.folder}\n"
            f"devices = {self.folder / 'devices'}\nmount_check = false\n"
            f"recon_cache_path = {self.folder}\n{body}"
        )

    def _build_ring(self, name: str) -> None:
        builder = str(self.folder / f"{name}.builder")
        device = f"r1z1-127.0.0.1:{self._ports[name]}/d1"
        for step in (["create", "2", "1", "1"], ["add", device, "1"], ["rebalance"]):
            done = subprocess.run(
                [_PYTHON, "-c", _BUILD, builder, *step], capture_output=True, text=True
            )
            if done.returncode not in (0, 1):  # 1: "nothing more to do", only a warning
                raise RuntimeError(f"ring of {name}: {done.stdout}{done.stderr}")


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
