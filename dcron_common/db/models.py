"""The tables. Instants are epoch seconds (double), minutes are epoch seconds (bigint).

A model is bound to no database at import: `connection.Database` binds them.
"""

from __future__ import annotations

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CharField,
    CompositeKey,
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
    `labels` is a JSON object. `unsettled` is true from the removal until each minute that was due
    before it has its row, and null otherwise.
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
    unsettled = BooleanField(null=True, index=True)
    created_at = DoubleField()
    updated_at = DoubleField()


class JobLabel(_Table):
    """The labels of each job, to find jobs by."""

    name = CharField(max_length=63)
    value = CharField(max_length=255)
    job_id = BigIntegerField(index=True)

    class Meta:
        primary_key = CompositeKey("name", "value", "job_id")


class JobText(_Table):
    """What each job is searched by, and the revision that it was taken from."""

    job_id = BigIntegerField(primary_key=True)
    revision = IntegerField()
    text = CharField(max_length=1024)


class JobRevision(_Table):
    """What was due comes from here (P8): one row for each span of a schedule.

    A span is the minutes from `valid_from` to before `valid_to`; null: it goes on. `placed_on`:
    "one" or "all"; null: it was written by a release that did not note it.
    """

    id = BigAutoField()
    job_id = BigIntegerField()
    revision = IntegerField()
    schedule = CharField(max_length=256)
    timezone = CharField(max_length=64)
    state = CharField(max_length=8)
    valid_from = BigIntegerField()
    valid_to = BigIntegerField(null=True)
    placed_on = CharField(max_length=3, null=True)

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


class OutputChunk(_Table):
    """A piece of what a run wrote while somebody followed it: the bytes from `start` to before
    `stop`. A `mark` other than the empty one has no bytes, and says why none follow."""

    id = BigAutoField()
    run_id = CharField(max_length=26)
    start = BigIntegerField()
    stop = BigIntegerField()
    mark = CharField(max_length=4, default="")
    data = BlobField()
    at = DoubleField()

    class Meta:
        indexes = ((("run_id", "start", "mark"), True),)


class RunHorizon(_Table):
    """Up to this minute runs of the job that were recorded may have been removed (retention)."""

    job_id = BigIntegerField(primary_key=True)
    through = BigIntegerField()


class Retention(_Table):
    """Where retention goes on, and what its last round did: texts by name."""

    name = CharField(max_length=32, primary_key=True)
    value = TextField()
    at = DoubleField()


class Worker(_Table):
    """Every worker that ever registered, so that dead ones show. `labels`: its own; `set_labels`:
    what people lay over them; `ill`: a list. All three are JSON."""

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
    set_labels = TextField(null=True)
    ill = TextField(null=True)
    ticked_through = BigIntegerField(null=True)


class Counter(_Table):
    """Numbers that only rise; one that has fallen tells of a restored backup."""

    name = CharField(max_length=32, primary_key=True)
    count = BigIntegerField()


class User(_Table):
    """Who may call the API. `os_users`: a JSON list; `*` stands for every OS user but root.

    `teams`: a JSON list, null in a row that the release before wrote: then `team` is the only one.
    `password`: an argon2 hash in its own notation, null where the user cannot log in by one.
    `passwords_set`: rises with each that people set; a login that renews the hash sets none.
    """

    name = CharField(max_length=64, primary_key=True)
    role = CharField(max_length=8)
    team = CharField(max_length=64, null=True)
    teams = TextField(null=True)
    os_users = TextField()
    disabled = BooleanField(default=False)
    password = CharField(max_length=255, null=True)
    passwords_set = BigIntegerField(default=0)
    logins = BigIntegerField(default=0)
    last_login_at = DoubleField(null=True)
    tokens_made = BigIntegerField(default=0)
    created_at = DoubleField()


class Token(_Table):
    """A bearer token's SHA-256: the token itself is shown once and never stored.

    `kind`: `login` is a session, `token` anything else. `replaced_by`: the id of the token that
    came of its rotation. `parent`: the id of the token whose revocation ends this one, too
    (`lineage`); null: there is none. `made`: rises with each write that hangs a token on this one.
    """

    id = BigAutoField()
    digest = CharField(max_length=64, unique=True)
    user = CharField(max_length=64, index=True)
    name = CharField(max_length=64)
    kind = CharField(max_length=8, default="token")
    scope = CharField(max_length=8, default="admin")
    created_at = DoubleField()
    expires_at = DoubleField(null=True)
    revoked_at = DoubleField(null=True)
    last_used_at = DoubleField(null=True)
    replaced_by = BigIntegerField(null=True)
    parent = BigIntegerField(null=True)
    made = BigIntegerField(default=0)

    class Meta:
        indexes = (
            (("parent", "revoked_at"), False),
            (("user", "kind", "revoked_at", "expires_at"), False),
            (("expires_at",), False),
            (("revoked_at",), False),
        )


class LoginBucket(_Table):
    """How often somebody failed to log in: until `empty_at` something of it counts. `subject`: a
    digest of who."""

    subject = CharField(max_length=64, primary_key=True)
    empty_at = DoubleField(index=True)


class LoginPlace(_Table):
    """A network from which a user has logged in, and when last."""

    user = CharField(max_length=64)
    network = CharField(max_length=64)
    at = DoubleField(index=True)

    class Meta:
        primary_key = CompositeKey("user", "network")


class LoginWindow(_Table):
    """How the release before counts who failed to log in; this one only removes what is over."""

    subject = CharField(max_length=64)
    opened_at = BigIntegerField(index=True)
    attempts = IntegerField()

    class Meta:
        primary_key = CompositeKey("subject", "opened_at")


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


class Secret(_Table):
    """A user's secret. `value` is encrypted by the control nodes' key ring; `version` (a ULID) is
    new with each value."""

    name = CharField(max_length=64, primary_key=True)
    owner = CharField(max_length=64)
    team = CharField(max_length=64, null=True)
    revision = IntegerField()
    version = CharField(max_length=26)
    value = TextField()
    created_at = DoubleField()
    updated_at = DoubleField()


class JobSecret(_Table):
    """A live job names a secret; by a foreign key that secret stays as long."""

    job_id = BigIntegerField()
    secret = CharField(max_length=64, index=True)

    class Meta:
        primary_key = CompositeKey("job_id", "secret")


class SealedSecret(_Table):
    """A secret's value for one worker, which alone opens it."""

    worker = CharField(max_length=64)
    secret = CharField(max_length=64)
    version = CharField(max_length=26)
    public_key = CharField(max_length=64)
    sealed = TextField()

    class Meta:
        primary_key = CompositeKey("worker", "secret")


class Idempotency(_Table):
    """Keys by which users repeat a POST: what became of the first. `incarnation`: of the request in
    hand, and of the job that it makes; `job_id`: once that is made; `answer`: once anything else is
    done. `at`: since when it is in hand, or its last renewal."""

    id = BigAutoField()
    user = CharField(max_length=64)
    key = CharField(max_length=255)
    digest = CharField(max_length=64)
    incarnation = CharField(max_length=26)
    job_id = BigIntegerField(null=True)
    answer = TextField(null=True)
    at = DoubleField(index=True)

    class Meta:
        indexes = ((("user", "key"), True),)


class SchemaVersion(_Table):
    """Which steps of the migrations were taken."""

    version = IntegerField(primary_key=True)
    applied_at = DoubleField()
    description = CharField(max_length=128)


TABLES = (
    *(Job, JobLabel, JobText, JobRevision, Run, OutputChunk, RunHorizon, Retention, Worker),
    *(User, Token, LoginBucket, LoginPlace, LoginWindow, Audit),
    *(Idempotency, Secret, JobSecret, SealedSecret),
    SchemaVersion,
)
