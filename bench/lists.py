"""`make bench-lists`: pages of 100 from many jobs and very many runs, on one MariaDB server.

The rows are made by `generated`; each page is asked of the API's own application, in this process,
with a token, as a client would. The reference is one SELECT of the same 100 rows by primary key,
in the same run. The bound is BOUND, for the median of each page; what is no page is told only.
At the end, what leader and retention ask of the same rows. Exit code 1 and a word in the last line:
not reached.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from bench import generated
from bench.leaders_work import leaders_work
from bench.list_cases import PAGE, Case, cases
from dcron_app.api.services import Services, Settings
from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.local import LocalEnsemble
from dcron_common.db import migrations, tokens, users
from dcron_common.db.connection import Database
from dcron_common.object_store.directory import DirectoryStore
from dcron_common.sealing.ring import Ring
from tests.servers import mariadb
from tests.servers.mariadb import MariaDBServer
from tests.unit.app.api_client import Api

HEAD = " median     most  by keys  ratio  (milliseconds)"
BOUND = 0.1  # seconds
ROOM = 900  # bytes of disk for a run, with its indexes and while they are made
POOL = "1G"  # of the server's memory for pages
# The load need not survive a crash; pages are read as in production.
OPTIONS = (
    f"--innodb-buffer-pool-size={POOL}",
    "--innodb-log-file-size=512M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
    "--innodb-sort-buffer-size=16M",
    "--transaction-isolation=READ-COMMITTED",
    "--group-concat-max-len=1M",
)


@dataclass(frozen=True, slots=True)
class Told:
    """Seconds of one case; `reference`: the median of reading the same rows by their keys."""

    name: str
    rows: int
    median: float
    most: float
    reference: float | None
    is_page: bool


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench-lists")
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=10_000_000)
    parser.add_argument("--times", type=int, default=9, help="how often each page is asked for")
    parser.add_argument("--folder", type=Path, help="where the server's files go for the time")
    options = parser.parse_args(arguments)
    reason = mariadb.missing() or _no_room(options.folder, options.runs)
    if reason is not None:
        print(f"NOT MEASURED: {reason}")
        return 1
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        MariaDBServer(Path(folder), options=OPTIONS) as server,
    ):
        told = _measured(server, Path(folder), options)
    return _verdict(told)


def _no_room(folder: Path | None, runs: int) -> str | None:
    where = folder or Path(tempfile.gettempdir())
    needed, free = runs * ROOM, shutil.disk_usage(where).free
    if needed < free:
        return None
    return f"{where} has {free >> 20:,} MiB, and needs {needed >> 20:,}; name another by FOLDER="


def _measured(server: MariaDBServer, folder: Path, options: argparse.Namespace) -> list[Told]:
    server.create_database("dcron_bench")
    host, account = f"{server.host}:{server.port}", (server.user, server.password)
    database = Database.mariadb([host], "dcron_bench", *account, ca=None)
    migrations.migrate(database)
    plain = pymysql.connect(
        host=server.host,
        port=server.port,
        database="dcron_bench",
        user=server.user,
        password=server.password,
        autocommit=True,
    )
    with plain:

        def query(statement: str) -> list[tuple[object, ...]]:
            with plain.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall())

        _timed("jobs made", lambda: generated.make_jobs(query, options.jobs))
        _timed("runs made", lambda: generated.make_runs(query, query, options.jobs, options.runs))
        ((size,),) = query(
            "SELECT SUM(data_length + index_length) FROM information_schema.tables"
            " WHERE table_schema = DATABASE()"
        )
        print(
            f"{options.jobs:,} jobs, {options.runs:,} runs: {int(str(size)) >> 20:,} MiB",
            flush=True,
        )
        api = _api(database, folder)
        asked = list(cases(query, options.jobs, options.runs))
        api.get(f"/jobs?limit={PAGE}")  # what a process does once, at its first request
        print(HEAD)
        told = [_one(api, query, case, options.times) for case in asked]
        for what, work in leaders_work(database, api.services.object_store):
            _timed(what, work)
        return told


def _timed(what: str, work: Callable[[], object]) -> None:
    begin = time.perf_counter()
    work()
    print(f"{time.perf_counter() - begin:8.3f} s  {what}", flush=True)


def _api(database: Database, folder: Path) -> Api:
    ensemble = LocalEnsemble()
    session = ensemble.session()
    session.start(1)
    for path in paths.roots():
        session.ensure(path)
    now = float(generated.NOW)
    users.add_user(database, "bench", users.Role.ADMIN, [], ["*"], now, "bench")
    token = tokens.add_token(database, "bench", "bench", None, now, "bench").text
    clock = Clock(wall=lambda: now, boot=time.monotonic)
    store = folder / "objects"
    services = Services(
        database, session, DirectoryStore(store), clock, Settings(), ring=Ring.generate()
    )
    return Api(services, ensemble, session, store, [now], {"admin": token})


def _one(api: Api, query: generated.Query, case: Case, times: int) -> Told:
    taken, reference, shown = [], [], []
    keys: list[int] | None = None
    for _ in range(times):
        begin = time.perf_counter()
        answer = api.get(case.path)
        taken.append(time.perf_counter() - begin)
        if answer.status != 200:
            raise RuntimeError(f"{case.path}: {answer.status} {answer.body[:300]!r}")
        if keys is None:
            shown = json.loads(answer.body)
            keys = _keys(query, case, shown)
        if keys:
            begin = time.perf_counter()
            query(f"SELECT * FROM {case.table} WHERE id IN ({','.join(map(str, keys))})")
            reference.append(time.perf_counter() - begin)
    known = statistics.median(reference) if reference else None
    told = Told(
        case.name, len(shown), statistics.median(taken), max(taken), known, case.table is not None
    )
    print(_line(told), flush=True)
    return told


def _keys(query: generated.Query, case: Case, shown: Any) -> list[int]:
    """The primary keys of the rows that a page shows."""
    if case.table is None or not shown:
        return []
    if case.table == "job":
        return [int(one["id"]) for one in shown]
    ids = ",".join(f"'{one['id']}'" for one in shown)
    rows = query(f"SELECT id FROM run WHERE run_id IN ({ids})")
    return [int(str(row)) for (row,) in rows][:PAGE]


def _line(told: Told) -> str:
    """Milliseconds: median, most, reference, and median by reference."""
    numbers = f"{told.median * 1000:7.1f}  {told.most * 1000:7.1f}"
    if told.reference is None:
        compared = " " * 15
    else:
        compared = f"{told.reference * 1000:8.1f}  {told.median / told.reference:5.1f}"
    return f"{numbers}{compared}  {told.name} [{told.rows}]"


def _verdict(told: Sequence[Told]) -> int:
    told = [one for one in told if one.is_page]
    slow = [one for one in told if one.median > BOUND]
    once = [one for one in told if one.most > BOUND and one not in slow]
    if once:
        names = "; ".join(f"{one.name} {one.most * 1000:.0f} ms" for one in once)
        print(f"at most, not in the median, over {BOUND * 1000:.0f} ms: {names}")
    if slow:
        names = "; ".join(f"{one.name} {one.median * 1000:.0f} ms" for one in slow)
        print(f"NOT REACHED ({BOUND * 1000:.0f} ms): {names}")
        return 1
    print(f"all {len(told)} within {BOUND * 1000:.0f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
