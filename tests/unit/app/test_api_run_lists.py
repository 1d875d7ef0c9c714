"""GET /runs and /jobs/{id}/runs."""

from __future__ import annotations

import re

import pytest

from dcron_common.db import runs
from dcron_common.ids import ulid
from dcron_common.run import RunRecord, RunState, Trigger
from tests.unit.app.api_client import COMMAND, NOW, Answer, Api

MINUTE = int(NOW) // 60 * 60


def record(api: Api, *rows: RunRecord) -> None:
    runs.record_runs(api.services.database, rows, NOW)


def run(number: int, job: int = 1, **values: object) -> RunRecord:
    fields: dict[str, object] = {
        "run_id": ulid(NOW + number),
        "job_id": job,
        "scheduled_at": MINUTE + 60 * number,
        "attempt": 1,
        "trigger": Trigger.CRON,
        "state": RunState.SUCCEEDED,
        "worker": "node1",
    }
    return RunRecord(**{**fields, **values})  # type: ignore[arg-type]  # a test's shorthand


def minutes(answer: Answer) -> list[int]:
    """The runs of an answer by the number that `run` was given."""
    assert answer.status == 200, answer.body
    shown = [one["scheduled_at"] for one in answer.json]
    return [int(text[11:13]) * 60 + int(text[14:16]) - 8 * 60 for text in shown]


def following(answer: Answer) -> str | None:
    found = re.fullmatch(r'<(.+)>; rel="next"', answer.headers["Link"] or "")
    return found[1] if found else None


@pytest.fixture
def mixed(api: Api) -> Api:
    """Twelve runs of two jobs, in all states that matter here."""
    for _ in range(2):
        api.post("/jobs", COMMAND)
    record(api, *(run(number) for number in range(6)))
    record(api, run(6, state=RunState.FAILED), run(7, state=RunState.RUNNING, worker="node2"))
    record(api, run(8, 2, trigger=Trigger.RETRY), run(9, 2, state=RunState.LOST))
    record(api, run(10, 2, state=RunState.MISSED, worker=None), run(11, 2, worker="node2"))
    return api


def test_all_runs_come_newest_first(mixed: Api) -> None:
    assert minutes(mixed.get("/runs")) == list(range(11, -1, -1))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("job=2", [11, 10, 9, 8]),
        ("state=failed", [6]),
        ("state=failed&state=lost&state=running", [9, 7, 6]),
        ("worker=node2", [11, 7]),
        ("worker=node2&state=running", [7]),
        ("trigger=retry", [8]),
        ("trigger=retry&worker=node2", []),
        ("trigger=cron&worker=node2&job=1", [7]),
        (f"from={MINUTE + 180}&to={MINUTE + 360}", [6, 5, 4]),
        ("from=2027-01-15T08:10:00Z", [11]),
        ("job=2&state=succeeded&trigger=cron", [11]),
        ("job=3", []),
    ],
)
def test_filters_narrow_the_list(mixed: Api, query: str, expected: list[int]) -> None:
    assert minutes(mixed.get(f"/runs?{query}")) == expected


def test_a_job_has_the_same_filters(mixed: Api) -> None:
    assert minutes(mixed.get("/jobs/1/runs?state=failed&worker=node1")) == [6]
    assert minutes(mixed.get("/jobs/2/runs")) == [11, 10, 9, 8]
    assert mixed.get("/jobs/9/runs").status == 404


@pytest.mark.parametrize(
    "path", ["/runs?limit=5", "/jobs/1/runs?limit=3&state=succeeded&to=2030-01-01T00:00:00Z"]
)
def test_pages_follow_each_other_without_gaps_or_repetition(mixed: Api, path: str) -> None:
    whole = minutes(mixed.get(path.replace("limit=5", "limit=100").replace("limit=3", "limit=100")))
    found: list[int] = []
    page: str | None = path
    while page is not None:
        answer = mixed.get(page)
        found += minutes(answer)
        page = following(answer)
    assert found == whole and len(whole) > 5


def test_new_runs_do_not_move_the_next_page(mixed: Api) -> None:
    page = following(first := mixed.get("/runs?limit=6"))
    assert page is not None and minutes(first) == [11, 10, 9, 8, 7, 6]
    record(mixed, run(12), run(13))
    assert minutes(mixed.get(page)) == [5, 4, 3, 2, 1, 0]


def test_attempts_at_one_minute_are_split_by_a_page_without_loss(api: Api) -> None:
    api.post("/jobs", COMMAND)
    record(api, *(run(0, attempt=n, run_id=ulid(NOW + n)) for n in range(1, 6)))
    answer = api.get("/runs?limit=2")
    attempts = [one["attempt"] for one in answer.json]
    while (page := following(answer)) is not None:
        answer = api.get(page)
        attempts += [one["attempt"] for one in answer.json]
    assert attempts == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=done", "state[0]"),
        ("trigger=me", "trigger"),
        ("worker=a/b", "worker"),
        ("job=one", "job"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("from=yesterday", "from"),
        (f"from={MINUTE + 60}&to={MINUTE}", "from"),
        ("since=1", "since"),
        ("after=AAAA", "after"),
        ("after=WzEsMiwzXQ", "after"),
        ("after=Wy0xLDJd", "after"),
        ("after=WzEsIDJd", "after"),
        ("after=%C3%A4", "after"),
        ("colour=red", "colour"),
    ],
)
def test_what_no_list_is_asked_by_is_refused_by_name(api: Api, query: str, field: str) -> None:
    answer = api.get(f"/runs?{query}")
    assert (answer.status, answer.fields) == (422, [field])


def test_the_job_of_a_path_is_not_given_twice(api: Api) -> None:
    api.post("/jobs", COMMAND)
    assert api.get("/jobs/1/runs?job=2").fields == ["job"]
