"""What a worker knows: its assignments, their fences, and the claims it has open.

Owned by the daemon's main thread; other threads only read single values of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dcron_common.job import Spec
from dcron_common.paths import Edition, Slot
from dcron_common.protocol import Claim, Fence
from dcron_common.run import key_minute
from dcron_common.schedule import Schedule
from dcron_worker.unclaimed import Unclaimed


@dataclass(slots=True)
class Held:
    """One assigned slot. `fence` may be older than the service's; its version then fails.
    `edition`: which one `spec` is."""

    spec: Spec
    schedule: Schedule
    fence: Fence
    fence_version: int
    edition: Edition


@dataclass(slots=True)
class OpenClaim:
    """A claim below this worker's name.

    `path` is empty for a launch without a claim (`isolation`), which stands in no book. `spec` is
    None for a run found after a restart whose job stands here no more: it can be ended and
    recorded, never started.
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
    """The worker's state; `claims` by run id. `doubted`: paths of claims that the next look has
    to read, since a transaction about them failed or was not answered. `unbegun`: ids of runs that
    this daemon has sent a claim for, and begun nothing of: whatever became of the claim, they have
    no process (P3)."""

    worker: str
    held: dict[Slot, Held] = field(default_factory=dict)
    claims: dict[str, OpenClaim] = field(default_factory=dict)
    doubted: set[str] = field(default_factory=set)
    unbegun: set[str] = field(default_factory=set)
    unclaimed: Unclaimed = field(default_factory=Unclaimed)

    def doubt(self, opened: OpenClaim) -> None:
        """What is known of the claim may not be what stands in the service."""
        self.doubted.add(opened.path)

    def mine(self, slot: Slot) -> Held | None:
        """The slot, if this worker is its holder by the fence as it is known here."""
        held = self.held.get(slot)
        return held if held is not None and held.fence.holder == self.worker else None

    def may_start(self, slot: Slot, key: str) -> Held | None:
        """The slot, if this worker is its holder, knows the revision that the fence asks for
        (P15), and the job is not removed; nor paused, unless somebody asked for this run."""
        held = self.mine(slot)
        if held is None or held.fence.revision != held.spec.revision:
            return None
        asked_for = key_minute(key) is None
        open_ = ("active", "paused") if asked_for else ("active",)
        return held if held.fence.state in open_ else None

    def find(self, slot: Slot, key: str) -> OpenClaim | None:
        """The claim of a slot's run, if it is here."""
        for opened in self.claims.values():
            if (opened.slot, opened.key) == (slot, key):
                return opened
        return None

    def doubtful(self, now: float) -> list[Slot]:
        """Slots whose fence may say by now what it did not when it was read: that a run elsewhere
        is over, that this worker is the holder after all, or that a mark beyond `now` (epoch
        seconds) was set back. Nothing else would read it again."""
        here = {(opened.slot, opened.key) for opened in list(self.claims.values())}
        return [
            slot
            for slot, held in self.held.items()
            if held.fence.holder != self.worker
            or held.fence.mark > now
            or (held.fence.active is not None and (slot, held.fence.active) not in here)
        ]

    def secrets(self) -> set[str]:
        """Names of secrets that jobs and runs here name."""
        specs = [held.spec for held in self.held.values()]
        specs += [opened.spec for opened in self.claims.values() if opened.spec is not None]
        return {name for spec in specs for name in spec.secrets}

    def digests(self) -> set[str]:
        """SHA-256 of the files of open claims; asked from other threads too."""
        specs = [opened.spec for opened in list(self.claims.values())]
        return {spec.sha256 for spec in specs if spec is not None and spec.sha256}
