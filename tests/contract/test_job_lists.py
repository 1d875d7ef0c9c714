"""How lists of jobs are found: the same answers from SQLite and a real MariaDB, and by which
indexes MariaDB finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from dcron_common.db import editing, job_lists, jobs, lookups, migrations, run_reads
from dcron_common.db.connection import Database
from dcron_common.db.job_lists import Place, Sort, Wanted, find, page_query
from dcron_common.db.models import Job, JobLabel, JobText, Run
from dcron_common.db.runs import record_runs
from dcron_common.run import RunState
from tests.contract.records import MINUTE, NOW, insert, open_mariadb, run_of
from tests.servers.mariadb import MariaDBServer

MANY = 4000
SORTS = [
    Sort(column, down)
    for column in ("id", "name", "status", "updated_at")
    for down in (False, True)
]


def walk(database: Database, wanted: Wanted, sort: Sort, limit: int) -> list[int]:
    place: Place | None = None
    found: list[int] = []
    while page := find(database, wanted, sort, place, limit):
        found += [one.id for one in page]
        place = page[-1].place
    return found


def texts_of(database: Database) -> dict[int, tuple[int, str]]:
    rows = database.read(lambda: list(JobText.select()))
    return {row.job_id: (row.revision, row.text) for row in rows}


def labels_of(database: Database) -> set[tuple[int, str, str]]:
    rows = database.read(lambda: list(JobLabel.select()))
    return {(row.job_id, row.name, row.value) for row in rows}


# What is found, the same in both databases


@pytest.fixture
def mixed(database: Database) -> Database:
    """Names that differ in case, in blanks and beyond ASCII, and some that are missing."""
    names = ["b", None, "B", "a", "ä", None, "a b", "Zoë", "z\U0001f600"]
    for number, name in enumerate(names):
        insert(database, number, name=name)
    for number in range(1, 10):
        values = {"status": ["error", "scheduled", "finished"][number % 3]}
        values["updated_at"] = NOW + number % 4 / 3
        query = Job.update(values).where(Job.id == number)
        database.transaction(query.execute)
    return database


@pytest.mark.parametrize("sort", SORTS, ids=str)
@pytest.mark.parametrize("limit", [1, 2, 4])
def test_pages_make_up_the_whole_list_in_its_order(mixed: Database, sort: Sort, limit: int) -> None:
    rows = jobs.jobs_after(mixed, 0)

    def key(row: jobs.JobRow) -> Any:
        value = getattr(row, sort.column)
        whole = value.encode() if isinstance(value, str) else value
        return (value is not None, whole if value is not None else 0, row.id)

    expected = [row.id for row in sorted(rows, key=key, reverse=sort.descending)]
    assert walk(mixed, Wanted(), sort, limit) == expected


def test_a_search_knows_no_case_and_no_wildcards(mixed: Database) -> None:
    found = {text: walk(mixed, Wanted(text=text), Sort(), 5) for text in ("ZOË", "a B", "%", "ls")}
    assert found == {"ZOË": [8], "a B": [7], "%": [], "ls": list(range(1, 10))}


def test_labels_and_texts_are_written_with_the_job(database: Database) -> None:
    row = insert(database, 1, name="Old")
    assert labels_of(database) == {(1, "a", "b")}
    assert texts_of(database) == {1: (1, "old\nls -la")}
    wish = jobs.NewJob(replace(jobs.spec_of(row), name="New"), "ann", {"c": "d", "e": ""})
    assert editing.update_job(database, row, wish, NOW, "ann") is not None
    assert labels_of(database) == {(1, "c", "d"), (1, "e", "")}
    assert texts_of(database) == {1: (2, "new\nls -la")}


def test_a_job_that_is_not_made_leaves_no_label(database: Database) -> None:
    def refuse(row: jobs.JobRow) -> None:
        raise ValueError("no")

    new = jobs.NewJob(jobs.spec_of(insert(database)), "ann", {"x": "y"})
    new = replace(new, spec=replace(new.spec, incarnation="B" * 26))
    with pytest.raises(ValueError, match="no"):
        jobs.insert_job(database, new, NOW, "ann", along=refuse)
    assert labels_of(database) == {(1, "a", "b")}


def test_migrating_describes_what_an_older_release_wrote(database: Database, monkeypatch) -> None:
    for number in range(5):
        insert(database, number)
    monkeypatch.setattr(lookups, "_BATCH", 2)

    def forget() -> None:
        JobLabel.delete().where(JobLabel.job_id << [1, 4, 5]).execute()
        JobText.delete().where(JobText.job_id << [1, 4]).execute()
        Job.update(revision=2, labels='{"new": "x"}', name="n5").where(Job.id == 5).execute()

    database.transaction(forget)
    migrations.migrate(database)
    assert labels_of(database) == {(n, "a", "b") for n in (1, 2, 3, 4)} | {(5, "new", "x")}
    assert texts_of(database)[5] == (2, "n5\nls -la")
    assert lookups.catch_up(database) == 0


def test_a_removal_needs_no_new_description(database: Database) -> None:
    insert(database)
    jobs.remove_job(database, 1, NOW, "ann")
    assert lookups.catch_up(database) == 0
    assert walk(database, Wanted(labels=(("a", "b"),), removed=True), Sort(), 5) == [1]


# By which way MariaDB finds it


_GIVEN = ("id", "incarnation", "name", "owner", "updated_at", "live_name")
_REST = ", ".join(
    f"`{field.column_name}`" for field in Job._meta.sorted_fields if field.name not in _GIVEN
)
_FILL = (
    # Nothing in it comes from outside.
    f"""INSERT INTO job (incarnation, name, owner, updated_at, {_REST})
        SELECT lpad(seq, 26, 'x'), if(mod(seq, 3), concat('n', mod(seq * 7919, {MANY})), NULL),
            if(mod(seq, 2), 'ann', 'bob'), seq, {_REST}
        FROM job, seq_2_to_{MANY}""",  # noqa: S608  # a number of our own
    """INSERT INTO job_text
        SELECT id, 1, concat(coalesce(name, ''), ' ls') FROM job WHERE id > 1""",
    "INSERT INTO job_label SELECT 'tier', if(mod(id, 2), 'gold', 'tin'), id FROM job",
    "INSERT INTO job_label SELECT 'rare', 'yes', id FROM job WHERE mod(id, 1000) = 0",
    "ANALYZE TABLE job, job_label, job_text",
)


@pytest.fixture(scope="module")
def filled(mariadb_server: MariaDBServer) -> MariaDBServer:
    """A database of MANY jobs, most of them alike."""
    mariadb_server.create_database("dcron_lists")
    database = open_mariadb(mariadb_server, "dcron_lists")
    migrations.migrate(database)
    insert(database)
    for statement in _FILL:
        database.read(lambda text=statement: database.execute(text))
    database.close()
    return mariadb_server


@pytest.fixture
def full(filled: MariaDBServer) -> Iterator[Database]:
    database = open_mariadb(filled, "dcron_lists")
    yield database
    database.close()


def explained(database: Database, query: Any) -> list[dict[str, Any]]:
    text, values = query.sql()
    cursor = database.read(lambda: database._dialect.execute_sql(f"EXPLAIN {text}", values))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def reads(database: Database, work: Callable[[], object]) -> int:
    """How many rows and index entries the server looked at for it."""

    def count() -> int:
        text = "SHOW SESSION STATUS LIKE %s"
        cursor = database._dialect.execute_sql(text, ("Handler_read%",))
        return sum(int(value) for _, value in cursor.fetchall())

    first, second = database.read(count), database.read(count)
    work()
    return database.read(count) - second - (second - first)  # without what looking itself costs


FILTERS = [
    Wanted(),
    Wanted(status="error"),
    Wanted(owner="ann", paused=False, removed=False),
    Wanted(type="script", team="x", worker="node1", run_as="y"),
    Wanted(labels=(("tier", "gold"),)),
    Wanted(text="ls"),
]


@pytest.mark.parametrize("sort", SORTS, ids=str)
@pytest.mark.parametrize("wanted", FILTERS, ids=range(len(FILTERS)))
def test_every_sort_reads_its_index_only_and_sorts_nothing(full, sort, wanted) -> None:
    place = {"id": None, "name": "n2", "status": "error", "updated_at": 7.0}[sort.column]
    for after in (None, Place(place, MANY // 2)):
        query = page_query(wanted, sort, after, None, hint=True).limit(101)
        lines = explained(full, query)
        for line in lines:
            assert "Using index" in line["Extra"] or line["table"] == "text", line
            assert "filesort" not in line["Extra"], line
            assert "temporary" not in line["Extra"], line
        keys = {line["table"]: line["key"] for line in lines}
        assert keys.pop("job") == f"job_by_{sort.column}"
        assert set(keys.values()) <= {"PRIMARY"}  # labels and texts by the job
        if after is not None:
            assert lines[0]["type"] in ("range", "ref"), lines


@pytest.mark.parametrize("sort", SORTS, ids=str)
def test_a_deep_page_reads_no_more_than_the_first(full: Database, sort: Sort) -> None:
    place: Place | None = None
    costs = []
    for _ in range(MANY // 500):
        after = place
        costs.append(reads(full, lambda after=after: find(full, Wanted(), sort, after, 500)))
        place = find(full, Wanted(), sort, after, 500)[-1].place
    assert max(costs) < 600


@pytest.mark.parametrize("sort", SORTS, ids=str)
@pytest.mark.parametrize("more", [{}, {"removed": False}, {"labels": (("tier", "tin"),)}], ids=str)
def test_a_name_is_found_without_reading_other_jobs(full: Database, sort: Sort, more: Any) -> None:
    row = jobs.get_job(full, 1000)
    assert row is not None and row.name is not None
    wanted, found = Wanted(name=row.name, **more), []
    cost = reads(full, lambda: found.extend(walk(full, wanted, sort, 100)))
    assert found == [1000]
    assert cost < 20


@pytest.mark.parametrize("sort", SORTS, ids=str)
def test_a_rare_label_is_found_without_reading_the_jobs(full: Database, sort: Sort) -> None:
    wanted = Wanted(labels=(("rare", "yes"), ("tier", "tin")))
    found: list[int] = []
    cost = reads(full, lambda: found.extend(walk(full, wanted, sort, 100)))
    assert sorted(found) == [1000, 2000, 3000, 4000]
    assert cost < 100


def test_a_label_that_most_have_is_found_on_the_way(full: Database, monkeypatch) -> None:
    monkeypatch.setattr(job_lists, "FEW", 50)
    wanted = Wanted(labels=(("tier", "gold"),))
    cost = reads(full, lambda: find(full, wanted, Sort("name"), None, 100))
    assert cost < 600
    for sort in SORTS:
        assert sorted(walk(full, wanted, sort, 700)) == list(range(1, MANY + 1, 2))


def test_a_jobs_last_run_is_one_step_however_many_it_has(mariadb: Database) -> None:
    for number in range(20):
        insert(mariadb, number)
    rows = [run_of(1, MINUTE + 60 * n, RunState.SUCCEEDED) for n in range(3000)]
    rows += [
        run_of(n, MINUTE, RunState.FAILED, attempt) for n in range(2, 20) for attempt in (1, 2)
    ]
    for start in range(0, len(rows), 500):
        record_runs(mariadb, rows[start : start + 500], NOW)
    mariadb.read(lambda: mariadb.execute("ANALYZE TABLE run"))
    assert mariadb.read(lambda: Run.select().count()) == 3036
    found: dict[int, Any] = {}
    cost = reads(mariadb, lambda: found.update(run_reads.last_runs(mariadb, list(range(1, 21)))))
    assert cost < 250
    assert found[1].scheduled_at == MINUTE + 60 * 2999
    assert {found[n].attempt for n in range(2, 20)} == {2}
    assert 20 not in found
