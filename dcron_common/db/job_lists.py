"""Lists of jobs: filtered, sorted, searched, page by page.

A page is found by its place (keyset): what the last job of the page before is sorted by, and its
id. So a page costs the same however deep it is, and jobs that come and go meanwhile neither repeat
nor hide others. Two ways, since no index serves every combination:

- Labels and texts that few jobs have: those jobs are looked up first, and then sorted.
- All else: one index is read in the list's order until the page is full (schema/job_lists.py). It
  holds all columns that are filtered by; MariaDB is told to use it, since by its own estimates it
  may sort half of the table instead. Jobs of one name are few, and are read from that index.

Errors: those of connection.Database.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Any

from peewee import SQL, fn

from dcron_common.db.connection import Database
from dcron_common.db.lookups import folded
from dcron_common.db.models import Job, JobLabel, JobText

FEW = 1000  # jobs that are looked up by label and text before they are sorted

_EQUAL = ("name", "status", "type", "owner", "team", "worker", "run_as", "paused")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs a list holds; None: any. `labels`: jobs that have all of these. `text`: is found
    in what the job is called or runs. `removed` None: both kinds."""

    name: str | None = None
    status: str | None = None
    type: str | None = None
    owner: str | None = None
    team: str | None = None
    worker: str | None = None
    run_as: str | None = None
    paused: bool | None = None
    removed: bool | None = None
    labels: tuple[tuple[str, str], ...] = ()
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of a list, by `id`, `name`, `status` or `updated_at`; jobs that are the same by it
    are in the order of their ids. Jobs without a name come first, or last where it descends."""

    column: str = "id"
    descending: bool = False

    @classmethod
    def of(cls, text: str) -> Sort:
        """From a column's name, with a minus sign before it where it descends."""
        return cls(text.removeprefix("-"), text.startswith("-"))

    def __str__(self) -> str:
        return f"-{self.column}" if self.descending else self.column


BY_ID = Sort()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job stands in a list: what it is sorted by (None for the id), and its id."""

    value: str | float | None
    id: int


@dataclass(frozen=True, slots=True)
class Found:
    """A job of a list, and whose it is."""

    place: Place
    owner: str
    team: str | None

    @property
    def id(self) -> int:
        return self.place.id


def find(
    database: Database, wanted: Wanted, sort: Sort, after: Place | None, limit: int
) -> list[Found]:
    """The next `limit` jobs of the list behind `after`."""

    def work() -> list[Found]:
        few = _few(wanted)
        query: Any = page_query(wanted, sort, after, few, hint=database.is_mariadb)
        return [
            Found(Place(None if sort.column == "id" else value, job_id), owner, team)
            for job_id, value, owner, team in query.limit(limit).tuples()
        ]

    return database.read(work)


def page_query(
    wanted: Wanted, sort: Sort, after: Place | None, few: list[int] | None, *, hint: bool
) -> Any:
    """The statement: id, what it is sorted by, owner, team. `few`: the only jobs that can be in
    the list, where that is known. `hint`: name the index to MariaDB."""
    job = Job.alias("job")
    key = getattr(job, sort.column)
    query = job.select(job.id, key, job.owner, job.team)
    conditions = [
        getattr(job, name) == getattr(wanted, name)
        for name in _EQUAL
        if getattr(wanted, name) is not None
    ]
    if wanted.removed is not None:
        conditions.append(job.removed_at.is_null(not wanted.removed))
    if few is not None:
        conditions.append(job.id.in_(few))
    else:
        conditions += _has(wanted, job.id)
        if hint:
            index = f"job_by_{'name' if wanted.name is not None else sort.column}"
            query = query.from_(SQL(f"`job` AS `job` FORCE INDEX (`{index}`)"))
    # Where all that are wanted are the same by the sort's column, their order is that of the ids.
    same = sort.column == "id" or (sort.column == "status" and wanted.status is not None)
    if after is not None:
        alike = sort.column == "id" or (same and after.value == wanted.status)
        conditions.append(_later(job, sort, after) if alike else _behind(job, sort, after))
    if conditions:
        query = query.where(reduce(and_, conditions))
    order = [job.id] if same else [key, job.id]
    return query.order_by(*(each.desc() if sort.descending else each for each in order))


def _later(job: Any, sort: Sort, place: Place) -> Any:
    return job.id < place.id if sort.descending else job.id > place.id


def _behind(job: Any, sort: Sort, place: Place) -> Any:
    """In both databases what is null is less than all else."""
    down, key, later = sort.descending, getattr(job, sort.column), _later(job, sort, place)
    if place.value is None:
        # Nothing is less than an empty name. Without an OR MariaDB would not see a range here,
        # and read all that have no name.
        others = key < "" if down else key.is_null(False)
        return (key.is_null() & later) | others
    further = key < place.value if down else key > place.value
    if down and sort.column == "name":
        further |= key.is_null()
    return further | ((key == place.value) & later)


def _few(wanted: Wanted) -> list[int] | None:
    """The jobs that have the labels and the text; None where they are many, or any may be, or a
    name leaves few."""
    if wanted.name is not None or (not wanted.labels and wanted.text is None):
        return None
    query: Any
    if wanted.labels:
        first = JobLabel.alias("label")
        query = first.select(first.job_id).where(_is(first, wanted.labels[0]))
        conditions = _has(wanted, first.job_id)[1:]
    else:
        text = JobText.alias("text")
        query, conditions = text.select(text.job_id), [_contains(text, wanted.text or "")]
    for condition in conditions:
        query = query.where(condition)
    ids = [job_id for (job_id,) in query.limit(FEW + 1).tuples()]
    return ids if len(ids) <= FEW else None


def _has(wanted: Wanted, job_id: Any) -> list[Any]:
    """Conditions on a job: each label in its order, then the text."""
    conditions = []
    for number, pair in enumerate(wanted.labels):
        label = JobLabel.alias(f"label{number}")
        same = (label.job_id == job_id) & _is(label, pair)
        conditions.append(fn.EXISTS(label.select(SQL("1")).where(same)))
    if wanted.text is not None:
        text = JobText.alias("text")
        found = (text.job_id == job_id) & _contains(text, wanted.text)
        conditions.append(fn.EXISTS(text.select(SQL("1")).where(found)))
    return conditions


def _is(label: Any, pair: tuple[str, str]) -> Any:
    return (label.name == pair[0]) & (label.value == pair[1])


def _contains(text: Any, part: str) -> Any:
    """Not LIKE, whose wildcards would have to be escaped."""
    return fn.INSTR(text.text, folded(part)) > 0
