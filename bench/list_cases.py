"""What `make bench-lists` asks for: every sort, filter and search, at the beginning and deep in."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from bench.generated import DAYS, NOW, Query

SORTS = ("id", "-id", "name", "-name", "status", "-status", "updated_at", "-updated_at")
RARE, COMMON = "app7", "prod"  # labels of a thousandth and of a third of all jobs
PAGE = 100


@dataclass(frozen=True, slots=True)
class Case:
    """A request. `table`: whose rows it shows, as the reference reads them; None: not a list."""

    name: str
    path: str
    table: str | None = "job"


def cursor(*values: object) -> str:
    """A place in a list, as the API writes it into its links."""
    text = json.dumps(list(values), separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def cases(query: Query, jobs: int, runs: int) -> Iterator[Case]:
    """All that is asked. `query`: a statement's rows, to find what stands in the middle."""
    yield from _sorts(query, jobs)
    yield from _filters()
    yield from _searches()
    yield from _runs(query, jobs, runs)


def _sorts(query: Query, jobs: int) -> Iterator[Case]:
    for sort in SORTS:
        yield Case(f"jobs by {sort}", f"/jobs?limit={PAGE}&sort={sort}")
        column, down = sort.removeprefix("-"), " DESC" if sort.startswith("-") else ""
        order = f"{column}{down}, id{down}" if column != "id" else f"id{down}"
        ((value, job_id),) = query(
            f"SELECT {column}, id FROM job ORDER BY {order} LIMIT 1 OFFSET {jobs // 2}"
        )
        place = cursor(sort, None if column == "id" else value, job_id)
        yield Case(
            f"jobs by {sort}, from the middle", f"/jobs?limit={PAGE}&sort={sort}&after={place}"
        )


def _filters() -> Iterator[Case]:
    wanted = {
        "status=error": "a 25th",
        "status=scheduled&sort=name": "most, by name",
        "type=binary": "a 20th",
        "owner=user77": "a 500th",
        "owner=user77&sort=-updated_at": "a 500th, by change",
        "owner=nobody": "none",
        "owner=nobody&sort=name": "none, by name",
        "team=team7": "a 40th",
        "worker=worker042&sort=name": "a 100th, by name",
        "run_as=backup&sort=-updated_at": "a 50th, by change",
        "paused=true": "a 40th",
        "removed=true&sort=-updated_at": "a 33rd, by change",
        "removed=false&sort=name": "most, by name",
        "status=error&type=script&team=team7&sort=name": "few, by name",
        f"label=app={RARE}&sort=name": "a 1000th, by name",
        f"label=env={COMMON}&sort=-updated_at": "a third, by change",
        f"label=env={COMMON}&label=app={RARE}": "a 3000th",
        f"label=env={COMMON}&owner=user77&sort=name": "a 1500th, by name",
        "label=env=none": "none",
    }
    for text, how_many in wanted.items():
        yield Case(f"jobs {text} ({how_many})", f"/jobs?limit={PAGE}&{text}")


def _searches() -> Iterator[Case]:
    wanted = {
        "BACKUP": "a quarter",
        "--shard 61 ": "a 5000th",
        "no such text": "none",
        "task17.sh": "a 500th, by file",
    }
    for text, how_many in wanted.items():
        for sort in ("id", "name", "-updated_at"):
            path = f"/jobs?limit={PAGE}&q={quote(text)}&sort={sort}"
            yield Case(f"jobs q={text} by {sort} ({how_many})", path)
    yield Case("jobs q=backup label=app", f"/jobs?limit={PAGE}&q=backup&label=app={RARE}")


def _runs(query: Query, jobs: int, runs: int) -> Iterator[Case]:
    ((minute, row),) = query(f"SELECT scheduled_at, id FROM run WHERE id = {runs // 2}")
    deep = cursor(minute, row)
    day = f"from={NOW - 40 * 86400}&to={NOW - 39 * 86400}"
    wanted = {
        "": "all",
        f"after={deep}": "all, from the middle",
        day: "of a day, 40 days ago",
        "state=failed": "a 33rd",
        f"state=failed&after={deep}": "a 33rd, from the middle",
        "state=running": "the few that go on",
        "state=lost&state=killed&state=timed_out": "three states",
        "trigger=manual": "a 100th",
        f"trigger=cron&after={deep}": "most, from the middle",
        "worker=worker042": "a 100th",
        f"worker=worker042&state=failed&after={deep}": "a 3000th, from the middle",
        f"worker=worker042&trigger=manual&{day}": "few of a day",
        "worker=worker042&trigger=resume&state=killed": "very few",
        f"job=1&{day}": "a job's, of a day",
        "worker=nobody": "none",
        f"from={NOW - 10 * DAYS * 86400}&to={NOW - 9 * DAYS * 86400}": "none",
    }
    for text, how_many in wanted.items():
        yield Case(
            f"runs {_short(text)} ({how_many})", f"/runs?limit={PAGE}&{text}".rstrip("&"), "run"
        )
    light = jobs // 2
    ((minute, row),) = query(
        "SELECT scheduled_at, id FROM run WHERE job_id = 1"
        " ORDER BY scheduled_at DESC, id DESC LIMIT 1 OFFSET 2000"
    )
    for text, job in (
        ("", 1),
        (f"&after={cursor(minute, row)}", 1),
        ("&state=failed", 1),
        ("&trigger=manual&state=lost", 1),
        ("", light),
        ("&state=lost", light),
    ):
        what = "with many runs" if job == 1 else "with few"
        yield Case(
            f"a job's runs {_short(text)} ({what})", f"/jobs/{job}/runs?limit={PAGE}{text}", "run"
        )
    yield Case("a job's ledger of a day, 1,440 minutes", f"/jobs/1/ledger?to={NOW}", None)
    yield Case("one job", f"/jobs/{light}", None)


def _short(text: str) -> str:
    """Without places and instants, which nobody reads."""
    parts = [part for part in text.split("&") if part]
    kept = [part for part in parts if not part.startswith(("after=", "from=", "to="))]
    return "&".join(kept) or "-"
