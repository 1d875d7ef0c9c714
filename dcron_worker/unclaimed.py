"""What this worker launched, or closed, without a claim (P9): no fence tells it, and whatever is
decided here about its jobs has to see it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dcron_common.paths import Slot
from dcron_common.protocol import Fence


@dataclass(slots=True)
class Run:
    """An isolated launch that the launcher may still know. `told`: its end is in the record."""

    job_id: int
    key: str
    epoch: int
    alive: bool = True
    told: bool = False


@dataclass(slots=True)
class Unclaimed:
    """`runs` by run id. `marks`: by job, the highest minute that was launched or closed so and of
    which the fence does not know yet; `since`: the mark from which that began. It lasts as long
    as the daemon; `isolation` fills it, and lets go of marks by `flushed`."""

    runs: dict[str, Run] = field(default_factory=dict)
    marks: dict[int, int] = field(default_factory=dict)
    since: dict[int, int] = field(default_factory=dict)

    def reach(self, job_id: int, since: int, through: int) -> None:
        """Minutes after `since` and through `through` were launched, or closed."""
        self.since[job_id] = min(since, self.since.get(job_id, since))
        self.marks[job_id] = max(through, self.marks.get(job_id, through))

    def flushed(self, job_id: int) -> None:
        """The fence knows of them now, or will never."""
        self.marks.pop(job_id, None)
        self.since.pop(job_id, None)

    def reached(self, job_id: int, minute: int) -> bool:
        """Whether the minute is one of those."""
        return job_id in self.marks and self.since[job_id] < minute <= self.marks[job_id]

    def alive(self, job_id: int, of: str | None = None) -> str | None:
        """The key of a run that is not over, the newest; None if there is none. `of`: of runs of
        this key only."""
        keys = [
            run.key
            for run in self.runs.values()
            if run.job_id == job_id and run.alive and of in (None, run.key)
        ]
        return keys[-1] if keys else None

    def seen(self, slot: Slot, fence: Fence) -> Fence:
        """The fence as decisions have to see it."""
        mark = max(fence.mark, self.marks.get(slot.job_id, 0))
        return replace(fence, mark=mark, active=self.alive(slot.job_id) or fence.active)
