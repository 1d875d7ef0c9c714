"""GET /jobs/{id}/runs/{run}/output."""

from __future__ import annotations

import pytest

from dcron_common.db import outputs, runs
from dcron_common.errors import ObjectStoreUnavailable
from dcron_common.object_store.contract import output_key
from dcron_common.object_store.directory import DirectoryStore
from dcron_common.run import TAIL_BYTES, RunRecord, RunState, Trigger
from tests.unit.app.api_client import COMMAND, NOW, Answer, Api

RUN = "01MCC5SH9GHQCQN2QFQ19NSGBB"
LARGE = bytes(range(256)) * 1000


def with_run(api: Api, state: RunState = RunState.SUCCEEDED, **values: object) -> str:
    """A job with a run; the path of the run's output."""
    job = api.post("/jobs", COMMAND).json["id"]
    row = RunRecord(RUN, int(job), int(NOW) // 60 * 60, 1, Trigger.CRON, state, worker="node1")
    fields = {name: getattr(row, name) for name in row.__slots__} | values
    runs.record_runs(api.services.database, [RunRecord(**fields)], NOW)
    return f"/jobs/{job}/runs/{RUN}/output"


def store_whole(api: Api) -> None:
    key = output_key("node1", RUN)
    api.services.object_store.put(key, LARGE)
    assert outputs.set_output(api.services.database, RUN, api.services.object_store.url(key))


def told(answer: Answer) -> tuple[int, str | None, bytes]:
    return answer.status, answer.headers["Dcron-Output"], answer.body


def test_a_small_output_is_answered_whole(api: Api) -> None:
    path = with_run(api, output_tail="all of it ž\n")
    answer = api.get(path)
    assert told(answer) == (200, "whole", "all of it ž\n".encode())
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_large_output_is_answered_from_the_store_byte_by_byte(api: Api) -> None:
    path = with_run(api, output_tail="its end")
    store_whole(api)
    assert told(api.get(path)) == (200, "whole", LARGE)


def test_what_is_not_stored_is_answered_by_its_end_and_said_so(api: Api) -> None:
    path = with_run(api, output_tail="x" * 8192)
    assert told(api.get(path)) == (200, "tail", b"x" * 8192)


def test_an_output_that_left_the_store_is_answered_by_its_end(api: Api) -> None:
    path = with_run(api, output_tail="x" * 8192)
    store_whole(api)
    api.services.object_store.delete(output_key("node1", RUN))
    assert told(api.get(path)) == (200, "tail", b"x" * 8192)


def test_a_run_without_output_is_answered_by_nothing(api: Api) -> None:
    assert told(api.get(with_run(api, output_tail=""))) == (200, "whole", b"")


def test_a_run_whose_output_is_not_recorded_is_not_called_whole(api: Api) -> None:
    assert told(api.get(with_run(api))) == (200, "tail", b"")


@pytest.mark.parametrize("tail", [None, "", "as far as was seen"])
def test_a_lost_run_is_not_called_whole(api: Api, tail: str | None) -> None:
    answer = api.get(with_run(api, RunState.LOST, output_tail=tail))
    assert told(answer) == (200, "tail", (tail or "").encode())


def test_what_a_lost_run_stored_is_answered_whole_since_it_was_stored_after_its_end(
    api: Api,
) -> None:
    path = with_run(api, RunState.LOST, output_tail="its end")
    store_whole(api)
    assert told(api.get(path)) == (200, "whole", LARGE)


def test_a_short_output_of_which_bytes_were_replaced_is_not_called_whole(api: Api) -> None:
    tail = bytes(range(128, 256)).decode(errors="replace")
    assert told(api.get(with_run(api, output_tail=tail)))[:2] == (200, "tail")


@pytest.mark.parametrize(("size", "extent"), [(TAIL_BYTES - 1, "whole"), (TAIL_BYTES, "tail")])
def test_a_tail_that_fills_its_room_may_be_the_end_of_more(
    api: Api, size: int, extent: str
) -> None:
    assert told(api.get(with_run(api, output_tail="x" * size)))[:2] == (200, extent)


def test_a_run_that_goes_on_is_answered_by_409(api: Api) -> None:
    answer = api.get(with_run(api, RunState.RUNNING))
    assert answer.status == 409 and "when it has ended" in answer.json["detail"]


def test_an_address_that_a_row_claims_is_not_followed(api: Api) -> None:
    api.services.object_store.put("executables/" + "a" * 64, b"another's file")
    address = api.services.object_store.url("executables/" + "a" * 64)
    path = with_run(api, output_tail="its end", output_url=address)
    assert told(api.get(path)) == (200, "whole", b"its end")


@pytest.mark.parametrize(
    "path", [f"/jobs/99/runs/{RUN}/output", "/jobs/1/runs/nothing/output", f"/jobs/1/runs/{RUN}/x"]
)
def test_what_is_not_there_is_404(api: Api, path: str) -> None:
    with_run(api)
    assert api.get(path).status == 404


def test_a_run_of_another_job_is_404(api: Api) -> None:
    with_run(api)
    other = api.post("/jobs", COMMAND).json["id"]
    assert api.get(f"/jobs/{other}/runs/{RUN}/output").status == 404


def test_without_a_token_it_is_401(api: Api) -> None:
    assert api.get(with_run(api), user=None).status == 401


def test_the_store_away_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    path = with_run(api)
    store_whole(api)

    def away(store: DirectoryStore, key: str) -> None:
        raise ObjectStoreUnavailable(key)

    monkeypatch.setattr(DirectoryStore, "stream", away)
    answer = api.get(path)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


def test_a_run_shows_where_its_output_lies(api: Api) -> None:
    path = with_run(api)
    store_whole(api)
    (run,) = api.get(path.rpartition("/runs/")[0] + "/runs").json
    assert run["output_url"].endswith(f"/outputs/node1/{RUN}")
