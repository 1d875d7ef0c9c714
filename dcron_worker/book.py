"""What a worker knows: its assignments, their fences, and the claims it has open.

Owned by the daemon's main thread; other threads only read single values of it.
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
    """A claim below this worker's name.

    `spec` is None for a run found after a restart whose job stands here no more: it can be ended
    and recorded, never started.
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

    worker: str
    held: dict[Slot, Held] = field(default_factory=dict)
    claims: dict[str, OpenClaim] = field(default_factory=dict)

    def mine(self, slot: Slot) -> Held | None:
        """The slot, if this worker is its holder by the fence as it is known here."""
        held = self.held.get(slot)
        return held if held is not None and held.fence.holder == self.worker else None

    def may_start(self, slot: Slot) -> Held | None:
        """The slot, if this worker is its holder and it is neither paused nor removed."""
        held = self.mine(slot)
        return held if held is not None and held.fence.state == "active" else None

    def doubtful(self) -> list[Slot]:
        """Slots whose fence may say by now what it did not when it was read: that a run elsewhere
        is over, or that this worker is the holder after all. Nothing else would read it again."""
        here = {(opened.slot, opened.key) for opened in list(self.claims.values())}
        return [
            slot
            for slot, held in self.held.items()
            if held.fence.holder != self.worker
            or (held.fence.active is not None and (slot, held.fence.active) not in here)
        ]

    def digests(self) -> set[str]:
        """SHA-256 of the files of open claims; asked from other threads too."""
        specs = [opened.spec for opened in list(self.claims.values())]
        return {spec.sha256 for spec in specs if spec is not None and spec.sha256}
