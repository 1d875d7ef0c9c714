"""What the API works with: made once by an entry point, passed to `app.build`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dcron_app.passwords import Passwords
from dcron_common.clock import SYSTEM, Clock
from dcron_common.coordinator.contract import Coordinator
from dcron_common.db.connection import Database
from dcron_common.object_store.contract import ObjectStore
from dcron_common.sealing.ring import Ring

DEFAULT_EXECUTABLE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """`timezone` is what jobs get that name none. `max_executable_bytes` counts decoded bytes.
    `only_run_as`: the one OS user that jobs can run as here (embedded mode); None: any.
    `body_seconds`: how long a small body may take to arrive. `large_bodies`: how many above 1 MiB
    may be in hand at once. `session_seconds`: how long a login lasts. `followers`: how many may
    follow a run's output at once, half of them as one user, each for `follow_seconds` at most, and
    `quiet_seconds` while nothing comes."""

    timezone: str = "UTC"
    max_executable_bytes: int = DEFAULT_EXECUTABLE_BYTES
    only_run_as: str | None = None
    body_seconds: float = 60.0
    large_bodies: int = 2
    session_seconds: float = 43_200.0
    followers: int = 4
    follow_seconds: float = 3600.0
    quiet_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Services:
    """The record, the coordination, the files, the time, the settings, what encrypts users'
    secrets, and who checks passwords. `pause`: how a request waits, in seconds. `large`: the
    places for large bodies, of all resources together."""

    database: Database
    coordinator: Coordinator
    object_store: ObjectStore
    clock: Clock = SYSTEM
    settings: Settings = field(default_factory=Settings)
    passwords: Passwords = field(default_factory=Passwords)
    ring: Ring = field(kw_only=True)
    pause: Callable[[float], None] = time.sleep
    large: threading.BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        places = threading.BoundedSemaphore(self.settings.large_bodies)
        object.__setattr__(self, "large", places)
