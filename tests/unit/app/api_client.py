"""The API as its callers see it: a WSGI client over SQLite, a directory, a local ensemble."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from wsgiref.headers import Headers
from wsgiref.util import setup_testing_defaults

from argon2 import PasswordHasher

from dcron_app.api.app import build
from dcron_app.api.services import Services, Settings
from dcron_app.passwords import Passwords
from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.db import tokens, users
from dcron_common.db.connection import Database
from dcron_common.db.models import Audit, Job, JobRevision
from dcron_common.object_store.directory import DirectoryStore
from dcron_common.sealing.ring import Ring
from tests.migrated import migrated_sqlite

NOW = 1_800_000_030.0  # 2027-01-15T08:00:30Z
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
COMMAND = {"executable": "ls -la", "schedule": "5 * * * *", "type": "command"}


@dataclass
class Answer:
    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def fields(self) -> list[str]:
        return [error["field"] for error in self.json["errors"]]


@dataclass
class Api:
    """`api.get(path)`, `api.post(path, value)`; `token` stands for a user, None for nobody."""

    services: Services
    ensemble: LocalEnsemble
    coordinator: LocalCoordinator
    folder: Path
    time: list[float]
    tokens: dict[str, str]
    app: Any = field(init=False)

    def __post_init__(self) -> None:
        self.app = build(self.services)

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        user: str | None = "admin",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        parts = urlsplit(path)
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
            "QUERY_STRING": parts.query,
            "wsgi.input": io.BytesIO(body or b""),
        }
        if body is not None:
            environ |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}
        if user is not None:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens.get(user, user)}"
        for name, value in (headers or {}).items():
            environ[name] = value
        environ = {name: value for name, value in environ.items() if value is not None}
        setup_testing_defaults(environ)
        seen: list[Any] = []
        pieces = self.app(environ, lambda status, headers, *rest: seen.append((status, headers)))
        data = b"".join(pieces)
        if hasattr(pieces, "close"):
            pieces.close()  # as every server does
        status, sent = seen[0]
        return Answer(int(status.split()[0]), Headers(sent), data)

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.call("DELETE", path, **more)

    def post(self, path: str, value: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, json.dumps(value).encode(), **more)

    def put(self, path: str, value: Any = None, **more: Any) -> Answer:
        return self.call("PUT", path, json.dumps(value).encode(), **more)

    def patch(self, path: str, value: Any, **more: Any) -> Answer:
        return self.call("PATCH", path, json.dumps(value).encode(), **more)

    def stored(self) -> dict[str, Any]:
        """Everything that a request could leave behind."""
        database = self.services.database
        return {
            "jobs": database.read(lambda: Job.select().count()),
            "revisions": database.read(lambda: JobRevision.select().count()),
            "audit": database.read(lambda: Audit.select().count()),
            "files": sorted(str(path) for path in self.folder.rglob("*") if path.is_file()),
            "inbox": self.coordinator.children(paths.INBOX),
        }


@cache
def _record() -> tuple[bytes, dict[str, str]]:
    """The database of each test as it begins, and the tokens: made once, since all steps of the
    schema take longer than most tests."""
    opened = {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "dcron.db"
        database = migrated_sqlite(path)
        for name, os_users in (
            ("admin", ["root", "*"]),
            ("operator", ["dcron-job"]),
            ("viewer", []),
        ):
            users.add_user(database, name, users.Role(name), [], os_users, NOW, "test")
            opened[name] = tokens.add_token(database, name, "test", None, NOW, "test").text
        database.close()
        return path.read_bytes(), opened


@contextmanager
def open_api(tmp_path: Path, **settings: Any) -> Iterator[Api]:
    """An API with the users admin (also root), operator and viewer."""
    record, opened = _record()
    (tmp_path / "dcron.db").write_bytes(record)
    database = Database.sqlite(tmp_path / "dcron.db")
    ensemble = LocalEnsemble()
    coordinator = ensemble.session()
    coordinator.start(1.0)
    for root in paths.roots():
        coordinator.ensure(root)
    time = [NOW]
    folder = tmp_path / "objects"
    services = Services(
        database,
        coordinator,
        DirectoryStore(folder),
        Clock(wall=lambda: time[0], boot=lambda: time[0]),
        Settings(**{"max_executable_bytes": 4096, **settings}),
        Passwords(QUICK),
        ring=Ring.generate(),
    )
    try:
        yield Api(services, ensemble, coordinator, folder, time, opened)
    finally:
        coordinator.stop()
        ensemble.close()
        database.close()
