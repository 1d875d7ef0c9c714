"""Lists of runs, and pieces of output, on both databases; by which index MariaDB reads them."""

from __future__ import annotations

import pytest

from dcron_common.db import chunks, run_lists, runs
from dcron_common.db.chunks import CHUNK_BYTES, Chunk, Copied, Mark
from dcron_common.db.connection import Database
from dcron_common.db.models import OutputChunk, proxy
from dcron_common.db.run_lists import RunPlace, WantedRuns, find_runs, page_query
from dcron_common.ids import ulid
from dcron_common.run import RunRecord, RunState, Trigger
from tests.contract.records import MINUTE, NOW

BYTES = bytes(range(256))
RUN = ulid(NOW)


def fill(database: Database, count: int = 40) -> None:
    """Runs of five jobs on two workers, every fifth failed and every tenth a retry."""
    rows = [
        RunRecord(
            ulid(NOW + number),
            1 + number % 5,
            MINUTE + number // 4 * 60,
            1 + number,
            Trigger.RETRY if number % 10 == 0 else Trigger.CRON,
            RunState.FAILED if number % 5 == 0 else RunState.SUCCEEDED,
            worker=f"node{number % 2}",
        )
        for number in range(count)
    ]
    runs.record_runs(database, rows, NOW)


ASKED = [
    (WantedRuns(), "run_by_state"),
    (WantedRuns(states=frozenset({RunState.FAILED})), "run_by_state"),
    (WantedRuns(after=MINUTE, until=MINUTE + 300), "run_by_state"),
    (WantedRuns(job_id=3), "run_by_job"),
    (WantedRuns(job_id=1, worker="node0", trigger=Trigger.RETRY), "run_by_job"),
    (WantedRuns(worker="node1"), "run_by_worker"),
    (WantedRuns(worker="node1", trigger=Trigger.CRON), "run_by_worker"),
    (WantedRuns(trigger=Trigger.RETRY), "run_by_trigger"),
    (WantedRuns(trigger=Trigger.RETRY, worker="node0"), "run_by_trigger"),
]


@pytest.mark.parametrize("wanted", [wanted for wanted, _ in ASKED])
def test_pages_make_up_the_list(database: Database, wanted: WantedRuns) -> None:
    fill(database)
    whole = find_runs(database, wanted, None, 1000)
    assert [place for place, _ in whole] == sorted((p for p, _ in whole), reverse=True)
    assert all(_fits(run, wanted) for _, run in whole)
    found: list[tuple[RunPlace, RunRecord]] = []
    place: RunPlace | None = None
    while page := find_runs(database, wanted, place, 3):
        found += page
        place = page[-1][0]
    assert found == whole and whole


def _fits(run: RunRecord, wanted: WantedRuns) -> bool:
    same = [
        getattr(wanted, name) in (None, getattr(run, name))
        for name in ("job_id", "worker", "trigger")
    ]
    after, until = wanted.after or 0, wanted.until or 2**62
    return (
        all(same)
        and after < run.scheduled_at <= until
        and (not wanted.states or run.state in wanted.states)
    )


@pytest.mark.parametrize(("wanted", "index"), ASKED)
@pytest.mark.parametrize("before", [None, RunPlace(MINUTE + 300, 20)])
def test_each_list_is_read_in_the_order_of_one_index(
    mariadb: Database, wanted: WantedRuns, index: str, before: RunPlace | None
) -> None:
    fill(mariadb, 400)
    query = page_query(wanted, RunState.SUCCEEDED, before, hint=True).limit(100)
    statement, values = query.sql()
    (row,) = mariadb.read(
        lambda: list(proxy.execute_sql(f"EXPLAIN {statement}", values))  # type: ignore[no-untyped-call]  # peewee
    )
    assert (row[5], row[4] is not None) == (index, True), row
    assert "filesort" not in row[-1] and "Using index" in row[-1], row


def test_runs_that_go_on_are_counted_by_worker(database: Database) -> None:
    rows = [
        RunRecord(ulid(NOW + n), n, MINUTE, 1, Trigger.CRON, state, worker=worker)
        for n, (state, worker) in enumerate(
            [(RunState.RUNNING, "a"), (RunState.RUNNING, "a"), (RunState.LOST, "b")]
        )
    ]
    runs.record_runs(database, rows, NOW)
    assert run_lists.running_by_worker(database) == {"a": 2}


def test_pieces_come_back_byte_by_byte_and_once(database: Database) -> None:
    pieces = [Chunk(RUN, 0, BYTES), Chunk(RUN, 256, BYTES), Chunk(RUN, 512, b"", Mark.END)]
    for _ in range(2):
        chunks.append(database, pieces, NOW, deadline=5.0)
    assert chunks.chunks_from(database, RUN, 0, 10) == pieces
    assert chunks.chunks_from(database, RUN, 300, 10) == pieces[1:]
    assert chunks.chunks_from(database, RUN, 512, 10) == pieces[2:]
    assert chunks.chunks_from(database, RUN, 0, 1) == pieces[:1]
    assert chunks.chunks_from(database, "B" * 26, 0, 10) == []
    assert chunks.copied(database, RUN, deadline=5.0) == Copied(512, 512)
    assert chunks.copied(database, "B" * 26, deadline=5.0) == Copied(0, 0)


def test_a_piece_is_as_long_as_it_may_be(database: Database) -> None:
    whole = BYTES * (CHUNK_BYTES // 256)
    chunks.append(database, [Chunk(RUN, 0, whole)], NOW, deadline=5.0)
    (found,) = chunks.chunks_from(database, RUN, CHUNK_BYTES - 1, 10)
    assert found.data == whole


def test_old_pieces_go_in_batches_and_new_ones_stay(database: Database) -> None:
    for number in range(5):
        chunks.append(database, [Chunk(RUN, number, b"x")], NOW, deadline=5.0)
    chunks.append(database, [Chunk("B" * 26, 0, b"x")], NOW + 100, deadline=5.0)

    def drop() -> int:
        return chunks.drop_old(database, NOW + 601, ended=600.0, any_run=3600.0, most=3)

    assert (drop(), drop(), drop()) == (3, 2, 0)
    assert database.read(lambda: OutputChunk.select().count()) == 1
