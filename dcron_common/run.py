"""Runs: their states, their keys, and the record that goes into the database.

A run is one attempt at one due minute (or one request). Its state only rises:
running < lost < every result. What was written of a minute of which nobody told counts as little as
`running`: it proves nothing, and whatever became of the minute replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dcron_common.ids import ulid_time

TAIL_BYTES = 8192  # of the end of a run's output, kept in its row


class Trigger(StrEnum):
    CRON = "cron"
    CATCH_UP = "catch_up"
    MANUAL = "manual"
    RETRY = "retry"
    RESUME = "resume"


class RunState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    KILLED = "killed"
    LOST = "lost"
    SKIPPED = "skipped"
    MISSED = "missed"

    @property
    def rank(self) -> int:
        """A record moves only to a state of higher rank."""
        return _RANKS.get(self, 2)

    @property
    def is_loss(self) -> bool:
        """Whether it ended without anybody knowing how."""
        return self is RunState.LOST


_RANKS = {RunState.RUNNING: 0, RunState.LOST: 1}

# What a run's end makes of its job's status; states that are absent leave it as it is.
FAILING = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST})

MANUAL = "m."  # how the key of a run begins that somebody asked for
CRON = "cron"  # the kind of all others
RESTORED = "restored"  # no run: up to this minute a restored record does not know what became of it


def cron_key(minute: int) -> str:
    """The claim's name for a due minute (epoch seconds, a multiple of 60)."""
    return str(minute)


def manual_key(run_id: str) -> str:
    """The claim's name for a run that was asked for; its first attempt has this very id."""
    return MANUAL + run_id


def key_minute(key: str) -> int | None:
    """The due minute of a claim's name, or None for a manual run."""
    return None if key.startswith(MANUAL) else int(key.partition(".")[0])


def key_of(record: RunRecord) -> str:
    """The claim's name for a recorded run."""
    return cron_key(record.scheduled_at) if record.kind == CRON else record.kind


def scheduled_at(key: str) -> int:
    """The due minute of a run, or the second in which it was asked for (epoch seconds)."""
    minute = key_minute(key)
    return int(ulid_time(key.removeprefix(MANUAL))) if minute is None else minute


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One row of a run. `kind` is "cron" or a manual run's key; `node` is "" unless the worker's
    name is part of the run's identity (jobs on all nodes, isolated launches).

    Times are epoch seconds; `output_tail` is text with invalid bytes replaced.
    """

    run_id: str
    job_id: int
    scheduled_at: int
    attempt: int
    trigger: Trigger
    state: RunState
    kind: str = CRON
    node: str = ""
    worker: str | None = None
    epoch: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    isolated: bool = False
    output_tail: str | None = None
    output_url: str | None = None

    @property
    def is_proven(self) -> bool:
        """False of a due minute of which nobody told: no worker, and no fence that was written."""
        untold = self.state in (RunState.MISSED, RunState.SKIPPED) and self.kind == CRON
        return self.worker is not None or self.epoch > 0 or not untold

    @property
    def rank(self) -> int:
        """A row takes over a record of higher rank only."""
        return self.state.rank if self.is_proven else RunState.RUNNING.rank
