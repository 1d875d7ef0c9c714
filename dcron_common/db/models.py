"""The tables. Instants are epoch seconds (double), minutes are epoch seconds (bigint).

A model is bound to no database at import: `connection.Database` binds them.
"""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    DatabaseProxy,
    DoubleField,
    IntegerField,
    Model,
    TextField,
)

proxy = DatabaseProxy()


class _Table(Model):
    class Meta:
        database = proxy
        legacy_table_names = False


class Job(_Table):
    """The newest revision of each job. `spec` is the JSON of what has no column of its own.

    `live_name` is `name` until the job is removed, then null: the name is free again.
    `labels` is a JSON object.
    """

    id = BigAutoField()
    incarnation = CharField(max_length=26, unique=True)
    name = CharField(max_length=128, null=True)
    live_name = CharField(max_length=128, null=True, unique=True)
    labels = TextField(default="{}")
    type = CharField(max_length=8)
    executable = TextField()
    sha256 = CharField(max_length=64, null=True)
    filename = CharField(max_length=128, null=True)
    schedule = CharField(max_length=256)
    timezone = CharField(max_length=64)
    owner = CharField(max_length=64, index=True)
    team = CharField(max_length=64, null=True)
    run_as = CharField(max_length=32)
    spec = TextField()
    paused = BooleanField(default=False)
    revision = IntegerField(default=1)
    effective_from = BigIntegerField()
    status = CharField(max_length=9, default="scheduled")
    last_scheduled_at = BigIntegerField(default=0)
    last_attempt = IntegerField(default=0)
    worker = CharField(max_length=64, null=True)
    removed_at = DoubleField(null=True, index=True)
    created_at = DoubleField()
    updated_at = DoubleField()


class JobRevision(_Table):
    """What was due comes from here (P8): one row for each span of a schedule.

    A span is the minutes from `valid_from` to before `valid_to`; null: it goes on.
    """

    id = BigAutoField()
    job_id = BigIntegerField()
    revision = IntegerField()
    schedule = CharField(max_length=256)
    timezone = CharField(max_length=64)
    state = CharField(max_length=8)
    valid_from = BigIntegerField()
    valid_to = BigIntegerField(null=True)

    class Meta:
        indexes = ((("job_id", "revision"), True),)


class Run(_Table):
    """One attempt. Written by workers, or by the leader for those who cannot."""

    id = BigAutoField()
    run_id = CharField(max_length=26, index=True)
    job_id = BigIntegerField()
    scheduled_at = BigIntegerField()
    kind = CharField(max_length=32, default="cron")
    node = CharField(max_length=64, default="")
    attempt = IntegerField(default=1)
    trigger = CharField(max_length=8)
    state = CharField(max_length=9)
    rank = IntegerField(default=0)
    worker = CharField(max_length=64, null=True)
    epoch = IntegerField(default=0)
    started_at = DoubleField(null=True)
    finished_at = DoubleField(null=True)
    exit_code = IntegerField(null=True)
    signal = IntegerField(null=True)
    reason = CharField(max_length=512, null=True)
    isolated = BooleanField(default=False)
    output_tail = TextField(null=True)
    output_url = CharField(max_length=512, null=True)

    class Meta:
        indexes = ((("job_id", "scheduled_at", "kind", "node", "attempt"), True),)


class Worker(_Table):
    """Every worker that ever registered, so that dead ones show."""

    name = CharField(max_length=64, primary_key=True)
    state = CharField(max_length=8)
    drained = BooleanField(default=False)
    address = CharField(max_length=64)
    boot_id = CharField(max_length=36)
    labels = TextField()
    capacity = IntegerField()
    version = CharField(max_length=32)
    clock_offset = DoubleField(null=True)
    first_seen = DoubleField()
    last_seen = DoubleField()


class User(_Table):
    """Who may call the API. `os_users`: a JSON list; `*` stands for every OS user but root."""

    name = CharField(max_length=64, primary_key=True)
    role = CharField(max_length=8)
    team = CharField(max_length=64, null=True)
    os_users = TextField()
    disabled = BooleanField(default=False)
    created_at = DoubleField()


class Token(_Table):
    """A bearer token's SHA-256: the token itself is shown once and never stored."""

    id = BigAutoField()
    digest = CharField(max_length=64, unique=True)
    user = CharField(max_length=64, index=True)
    name = CharField(max_length=64)
    created_at = DoubleField()
    expires_at = DoubleField(null=True)
    revoked_at = DoubleField(null=True)
    last_used_at = DoubleField(null=True)


class Audit(_Table):
    """Who did what to which object. Rows are only ever added."""

    id = BigAutoField()
    at = DoubleField(index=True)
    user = CharField(max_length=64)
    action = CharField(max_length=32)
    object_type = CharField(max_length=16)
    object_id = CharField(max_length=64)
    before = TextField(null=True)
    after = TextField(null=True)


class SchemaVersion(_Table):
    """Which steps of the migrations were taken."""

    version = IntegerField(primary_key=True)
    applied_at = DoubleField()
    description = CharField(max_length=128)


TABLES = (Job, JobRevision, Run, Worker, User, Token, Audit, SchemaVersion)
