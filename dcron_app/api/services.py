"""What the API works with: made once by an entry point, passed to `app.build`."""

from __future__ import annotations

from dataclasses import dataclass, field

from dcron_common.clock import SYSTEM, Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db.connection import Database
from dcron_common.object_store.contract import ObjectStore

DEFAULT_EXECUTABLE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """`timezone` is what jobs get that name none. `max_executable_bytes` counts decoded bytes.
    `only_run_as`: the one OS user that jobs can run as here (embedded mode); None: any.
    `body_seconds`: how long a small body may take to arrive. `large_bodies`: how many above 1 MiB
    may be in hand at once."""

    timezone: str = "UTC"
    max_executable_bytes: int = DEFAULT_EXECUTABLE_BYTES
    only_run_as: str | None = None
    body_seconds: float = 60.0
    large_bodies: int = 2


@dataclass(frozen=True, slots=True)
class Services:
    """The record, the coordination, the files, the time, and the settings."""

    database: Database
    coordinator: Coordinator
    object_store: ObjectStore
    clock: Clock = SYSTEM
    settings: Settings = field(default_factory=Settings)
