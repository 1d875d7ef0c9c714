"""What a body may take of the server: time, and one of few places if it is large."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.unit.app.api_client import COMMAND, Answer, Api, open_api

MIB = 1024 * 1024
LARGE = {
    "executable": base64.b64encode(b"x" * 2 * MIB).decode(),
    "schedule": "* * * * *",
    "type": "script",
}


class Slow(io.RawIOBase):
    """A body that does something before each piece of it."""

    def __init__(self, data: bytes, before: Callable[[], object]) -> None:
        self._data = io.BytesIO(data)
        self._before = before

    def read(self, size: int = -1) -> bytes:
        self._before()
        return self._data.read(size)


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Api]:
    """An API with one place for large bodies, which have 60 s and one for each 256 KiB."""
    with open_api(tmp_path, max_executable_bytes=4 * MIB, large_bodies=1) as opened:
        yield opened


def send(api: Api, value: object, before: Callable[[], object]) -> Answer:
    body = json.dumps(value).encode()
    return api.call("POST", "/jobs", body, headers={"wsgi.input": Slow(body, before)})


def fail(error: OSError) -> Callable[[], None]:
    def raised() -> None:
        raise error

    return raised


def test_a_large_body_is_refused_while_all_places_are_taken(roomy: Api) -> None:
    meanwhile: list[Answer] = []

    def others() -> None:
        if not meanwhile:
            with ThreadPoolExecutor(1) as pool:
                meanwhile.extend(pool.map(roomy.post, ["/jobs"] * 2, [LARGE, COMMAND]))

    assert send(roomy, LARGE, others).status == 201
    large, small = meanwhile
    assert (large.status, large.headers["Retry-After"]) == (503, "5")
    assert small.status == 201
    assert roomy.post("/jobs", LARGE).status == 201


def test_a_refused_large_body_gives_its_place_back(roomy: Api) -> None:
    assert roomy.post("/jobs", {**LARGE, "type": "nonsense"}).status == 422
    assert send(roomy, LARGE, fail(TimeoutError())).status == 408
    assert roomy.post("/jobs", LARGE).status == 201


def test_what_is_wrong_with_the_frame_is_told_though_no_place_is_free(roomy: Api) -> None:
    meanwhile: list[Answer] = []
    too_long = {"CONTENT_LENGTH": str(8 * MIB)}

    def other() -> None:
        if not meanwhile:
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(roomy.call, "POST", "/jobs", b"{}", headers=too_long)
                meanwhile.append(asked.result())

    send(roomy, LARGE, other)
    assert meanwhile[0].status == 413


def test_a_body_that_takes_too_long_is_408(api: Api) -> None:
    def pass_time() -> None:
        api.time[0] += 61

    before = api.stored()
    answer = send(api, {**COMMAND, "executable": "x" * 64_000, "team": "y" * 9000}, pass_time)
    assert (answer.status, answer.fields) == (408, ["body"])
    assert api.stored() == before


def test_a_large_body_may_take_longer_in_proportion(roomy: Api) -> None:
    pieces = len(json.dumps(LARGE)) // (64 * 1024) + 1

    def pass_time() -> None:
        roomy.time[0] += 68 / pieces

    assert send(roomy, LARGE, pass_time).status == 201


def test_a_silent_client_is_408_and_a_gone_one_is_no_failure_of_the_server(api: Api) -> None:
    assert send(api, COMMAND, fail(TimeoutError())).status == 408
    assert send(api, COMMAND, fail(ConnectionResetError())).status == 400
