"""What answers look like. These describe, they do not check each answer: a test holds them against
what `serialize` makes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from dcron_app.api.fields import PlacementFields
from dcron_common.run import RunState, Trigger

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Shape(BaseModel):
    """All keys are always there."""

    model_config = ConfigDict(
        extra="forbid", json_schema_serialization_defaults_required=True, use_enum_values=True
    )


class FieldError(Shape):
    """A field of the request, and what is wrong with it."""

    field: str
    message: str


class ProblemShape(Shape):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError]


class RunShape(Shape):
    """One attempt at a due minute, or one run that was asked for."""

    id: str
    job_id: str
    scheduled_at: Instant
    attempt: int
    trigger: Trigger
    state: RunState
    worker: str | None
    started_at: Instant | None
    finished_at: Instant | None
    exit_code: int | None
    signal: int | None
    reason: str | None
    isolated: bool
    output_tail: str | None
    output_url: str | None


class LimitShape(BaseModel):
    """Bounds of one run; those that the job does not set are absent."""

    model_config = ConfigDict(extra="forbid")
    memory_bytes: int = 0
    cpu_percent: int = 0
    processes: int = 0
    output_bytes: int = 0


class JobShape(Shape):
    """A job, as it is now."""

    id: str
    status: Literal["scheduled", "finished", "error"]
    executable: str
    schedule: str
    type: Literal["command", "script", "binary"]
    name: str | None
    labels: dict[str, str]
    owner: str
    team: str | None
    timezone: str
    filename: str | None
    sha256: str | None
    arguments: list[str]
    environment: dict[str, str]
    working_directory: str | None
    secrets: list[str]
    run_as: str
    concurrency: Literal["allow", "forbid", "replace"]
    timeout_seconds: int
    retries: int
    retry_delay_seconds: int
    starting_deadline_seconds: int
    catch_up: Literal["all", "latest", "none"]
    on_worker_loss: Literal["rerun", "fail"]
    on_isolation: Literal["skip", "run"]
    placement: PlacementFields
    limits: LimitShape
    paused: bool
    revision: int
    worker: str | None
    created_at: Instant
    updated_at: Instant
    next_run_at: Instant | None
    last_run: RunShape | None


PlannedJobShape = create_model(
    "PlannedJobShape",
    __base__=JobShape,
    __doc__="A job as it would be; its `id` is null where it would be a new one.",
    id=(str | None, ...),
)


class FailedJob(Shape):
    """A job that could not be changed, why, and the status that it alone would be answered with."""

    id: str
    status: int
    reason: str


class BulkShape(Shape):
    """What became of many jobs, by their ids. `unchanged`: they were so already."""

    changed: list[str]
    unchanged: list[str]
    failed: list[FailedJob]


class AskedRun(Shape):
    """A run that a worker was asked for."""

    run_id: str
    worker: str


class FailedAsk(Shape):
    """A worker that could not be asked."""

    worker: str
    reason: str


class AskedShape(Shape):
    """What was asked of workers; the first run by itself too, since most jobs have one."""

    run_id: str
    job_id: str
    asked_at: Instant
    runs: list[AskedRun]
    failed: list[FailedAsk]


class EntryShape(Shape):
    """A due minute, and what became of it: its newest attempt's state, `pending`,
    `unaccounted`, or `expired` where retention has removed its row. Of a job on all workers there
    is one for each that had its place."""

    scheduled_at: Instant
    outcome: str
    attempts: int
    reason: str | None
    run_id: str | None
    worker: str | None


class ScheduleShape(Shape):
    """What an expression means, and when it fires next: ISO 8601 with the zone's offset."""

    description: str
    next: list[str]


class WorkerShape(Shape):
    """A worker that registered and was not forgotten. `labels`: what placement goes by, that is
    `own_labels`, of the node's configuration, with `set_labels` laid over them. `clock_offset`:
    seconds. `ill`: what is wrong there by its own word. `ticked_through`: up to which minute it has
    looked at what is due. `jobs`: how many it holds; `running`: how many runs go on."""

    name: str
    state: Literal["online", "offline"]
    drained: bool
    address: str
    labels: dict[str, str]
    own_labels: dict[str, str]
    set_labels: dict[str, str]
    capacity: int
    version: str
    clock_offset: float | None
    ill: list[str]
    ticked_through: Instant | None
    first_seen: Instant
    last_seen: Instant
    jobs: int
    running: int


class WorkerCounts(Shape):
    """Numbers of workers. `isolated`: offline, while the record has runs of theirs that go on."""

    online: int
    offline: int
    drained: int
    ill: int
    isolated: int


class QueueShape(Shape):
    """What waits: changes for the leader, runs for workers to take; `claims`: runs that are not
    wholly closed, those that go on among them."""

    inbox: int
    tasks: int
    claims: int


class JournalShape(Shape):
    """Ends of runs that the record does not have yet. `looked_at`: of so many claims, which are
    all or the first thousand."""

    waiting: int
    looked_at: int


class TroubleShape(Shape):
    """What is wrong now, and what to do about it."""

    what: str
    remedy: str


class RetentionShape(Shape):
    """The last round of retention: when it ended, and what it removed. `strays`: outputs that no
    run names; `files`: executables; `tokens`: those that were over; `whole`: nothing was left for
    the next round."""

    at: Instant
    runs: int
    outputs: int
    strays: int
    jobs: int
    files: int
    tokens: int
    whole: bool


class ClusterShape(Shape):
    """The cluster at a glance. Null: that part does not answer. `leader`: the control node whose
    manager leads; `lateness_seconds`: how long after a minute's begin the slowest worker has not
    looked at what is due in it; `isolated`: names; `retention`: null before its first round."""

    leader: str | None
    epoch: int | None
    workers: WorkerCounts | None
    queue: QueueShape | None
    lateness_seconds: float | None
    isolated: list[str]
    journals: JournalShape | None
    retention: RetentionShape | None
    database: Literal["ok", "ill"]
    coordinator: Literal["ok", "ill"]
    object_store: Literal["ok", "ill"]
    problems: list[TroubleShape]


class SecretShape(Shape):
    """A secret, without its value. `jobs`: how many live jobs name it."""

    name: str
    owner: str
    team: str | None
    revision: int
    created_at: Instant
    updated_at: Instant
    jobs: int


class LiveShape(Shape):
    """This process answers."""

    status: Literal["live"]


class ReadyShape(Shape):
    """Which dependencies are well: `ok` or `ill`."""

    status: Literal["ready", "degraded", "unready"]
    database: Literal["ok", "ill"]
    coordinator: Literal["ok", "ill"]
    object_store: Literal["ok", "ill"]


# Whose answers come with an ETag; that of a user stands in `accounts`.
TAGGED = ("JobShape", "PlannedJobShape", "WorkerShape", "SecretShape", "UserShape")

Document = dict[str, Any]  # OpenAPI's own shape is its own affair
