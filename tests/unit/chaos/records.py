"""Records of a run for the judge: one without fault, to be spoiled."""

from __future__ import annotations

from dataclasses import replace

from chaos.model import Details, Final, How, Job, Launch, Record, Row

BEGIN = 1_800_000_000 // 60 * 60
M = BEGIN + 120
HOSTS = ("a", "b")
STANDS = How(1, "active", "* * * * *", "UTC")


def job(**changes: object) -> Job:
    made = Job("quick", "* * * * *", id="1", sent=BEGIN + 50, acknowledged=BEGIN + 51)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def launch(minute: int = M, attempt: int = 1, host: str = "a", **changes: object) -> Launch:
    start = minute + 1.5 + 10 * (attempt - 1)
    made = Launch(
        "1", minute, attempt, 1, f"r{minute}.{attempt}", host, start, start + 2, start + 2
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def row(minute: int = M, attempt: int = 1, state: str = "succeeded", **changes: object) -> Row:
    over = minute + 4.0 + 10 * (attempt - 1)
    values = {"worker": "a", "reason": None, "finished": over, **changes}
    return Row(f"r{minute}.{attempt}", "1", minute, attempt, state, **values)


def healthy() -> Record:
    """A job that is due three times and runs three times."""
    minutes = (BEGIN + 60, M, M + 60)
    return Record(
        seed=1,
        begin=BEGIN,
        end=M + 60,
        hosts=HOSTS,
        jobs=[job()],
        launches=[launch(minute) for minute in minutes],
        rows=[row(minute) for minute in minutes],
        final=Final(
            crontabs={"a": {"1"}, "b": set()},
            holders={"1": "a"},
            fences={"1": "a"},
            assignments={"a": {"1"}, "b": set()},
        ),
    )


def whole(record: Record, stands: How = STANDS) -> Details:
    """How the job stands in the end, as a record of today has it: the same everywhere."""
    final = record.final
    record.final.details = Details(
        jobs={"1": stands},
        fences={slot: How(stands.revision, stands.state) for slot in final.fences},
        assignments={
            host: {slot: [stands] for slot in slots} for host, slots in final.assignments.items()
        },
        lines={
            host: {job: [stands.schedule or ""] for job in jobs}
            for host, jobs in final.crontabs.items()
        },
        zones=dict.fromkeys(HOSTS, "Etc/UTC"),
    )
    return record.final.details


def told_when_over(record: Record) -> Record:
    """Its rows are written when their processes are over, however late those were made."""
    seen = {one.run: one.seen + 0.5 for one in record.launches}
    record.rows = [
        replace(one, finished=max(one.finished or 0.0, seen.get(one.run, 0.0)))
        for one in record.rows
    ]
    return record


def on_all(*hosts: str) -> Record:
    """A job on all that is due three times, and ran on these hosts each time."""
    record = healthy()
    record.jobs[0].everywhere = True
    minutes = (BEGIN + 60, M, M + 60)
    record.launches = [
        launch(one, host=host, run=f"{one}{host}") for one in minutes for host in hosts
    ]
    record.rows = [
        replace(row(one, worker=host), run=f"{one}{host}") for one in minutes for host in hosts
    ]
    record.final = Final(
        crontabs={host: {"1"} for host in HOSTS},
        holders={"1": None},
        fences={f"1@{host}": host for host in HOSTS},
        assignments={host: {f"1@{host}"} for host in HOSTS},
    )
    return record


def without_launch(record: Record) -> None:
    """The second minute has a row only."""
    record.launches = [one for one in record.launches if one.minute != M]


def instead(record: Record, made: Row) -> None:
    """`made` stands where the second minute's launch and row stood."""
    without_launch(record)
    record.rows = [one for one in record.rows if one.minute != M]
    record.rows.append(made)
