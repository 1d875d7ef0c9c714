"""What a worker knows: its assignments, their fences, and the claims it has open.

Owned by the daemon's main thread; nothing here is shared with another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dcron_common.job import Spec
from dcron_common.paths import Slot
from dcron_common.protocol import Claim, Fence
from dcron_common.schedule import Schedule


@dataclass(slots=True)
class Held:
    """One assigned slot. `fence` may be older than the service's; its version then fails."""

    spec: Spec
    schedule: Schedule
    fence: Fence
    fence_version: int


@dataclass(slots=True)
class OpenClaim:
    """A claim of this worker that is not yet in the database as ended.

    `spec` is None for a run found after a restart whose job has been removed meanwhile: it can
    be ended and recorded, never started.
    """

    slot: Slot
    key: str
    path: str
    spec: Spec | None
    claim: Claim
    version: int
    owned: bool  # whether the owner node of this session exists


@dataclass(slots=True)
class Book:
    """The worker's state; `claims` by run id."""

    held: dict[Slot, Held] = field(default_factory=dict)
    claims: dict[str, OpenClaim] = field(default_factory=dict)

    def digests(self) -> set[str]:
        """SHA-256 of the files of open claims; asked from other threads too."""
        specs = [opened.spec for opened in list(self.claims.values())]
        return {spec.sha256 for spec in specs if spec is not None and spec.sha256}
