"""GET /jobs/{id}/runs/{run}/output?follow=true: what the reader gets, whatever the worker does."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest

from dcron_app.api import following
from dcron_app.api.app import build
from dcron_app.api.following import hung_up
from dcron_common import paths
from dcron_common.db import chunks, outputs, runs, tokens
from dcron_common.db.chunks import Chunk, Mark
from dcron_common.errors import DatabaseUnavailable
from dcron_common.ids import ulid
from dcron_common.object_store.contract import output_key
from dcron_common.protocol import Follow
from dcron_common.run import RunRecord, RunState, Trigger
from tests.unit.app.api_client import COMMAND, NOW, Api, open_api

RUN = ulid(NOW)
PATH = f"/jobs/1/runs/{RUN}/output?follow=true"
BYTES = bytes(range(256))


class Reader:
    """`steps`: what happens in each pause of the stream, one after the other; then time passes."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.steps: list[Callable[[], object]] = []
        self.pauses = 0
        api.services = replace(api.services, pause=self._pause)
        api.app = build(api.services)

    def _pause(self, seconds: float) -> None:
        self.pauses += 1
        assert self.pauses < 20_000, "it never ends"
        self.api.time[0] += seconds
        if self.steps:
            self.steps.pop(0)()

    def read(self) -> bytes:
        answer = self.api.get(PATH)
        assert (answer.status, answer.headers["Dcron-Output"]) == (200, "followed")
        return answer.body

    def write(self, offset: int, data: bytes, mark: Mark = Mark.DATA) -> None:
        piece = Chunk(RUN, offset, data, mark)
        chunks.append(self.api.services.database, [piece], self.api.time[0], deadline=5.0)

    def end(self, state: RunState = RunState.SUCCEEDED, tail: str | None = None) -> None:
        record(self.api, state, output_tail=tail)


def record(api: Api, state: RunState, **values: object) -> None:
    row = RunRecord(RUN, 1, int(NOW) // 60 * 60, 1, Trigger.CRON, state, worker="node1")
    runs.record_runs(api.services.database, [replace(row, **values)], NOW)  # type: ignore[arg-type]


def register(api: Api) -> None:
    api.coordinator.ensure(paths.follows("node1"))
    api.coordinator.ensure(paths.worker("node1"))
    api.coordinator.create(paths.registration("node1"), ephemeral=True)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Of a run that goes on on a worker that is there."""
    with open_api(tmp_path, followers=1, follow_seconds=900.0, quiet_seconds=300.0) as api:
        api.post("/jobs", COMMAND)
        record(api, RunState.RUNNING)
        register(api)
        yield Reader(api)


def test_bytes_arrive_unchanged_until_the_worker_says_that_it_was_all(reader: Reader) -> None:
    reader.write(0, BYTES)
    reader.steps = [
        lambda: None,
        lambda: reader.write(256, BYTES),
        lambda: reader.write(512, b"", Mark.END),
    ]
    assert reader.read() == BYTES + BYTES


def test_what_overlaps_is_shown_once_and_what_is_missing_is_said(reader: Reader) -> None:
    reader.write(0, b"abcd")
    reader.write(2, b"cdef")
    reader.write(100, b"xyz")
    reader.write(103, b"", Mark.END)
    assert reader.read() == b"abcdef\n[dcron: 94 bytes are left out here]\nxyz"


def test_a_long_backlog_comes_in_order(reader: Reader) -> None:
    for number in range(50):
        reader.write(number * 4, b"%04d" % number)
    reader.write(200, b"", Mark.END)
    assert reader.read() == b"".join(b"%04d" % number for number in range(50))


def test_too_much_ends_with_its_reason(reader: Reader) -> None:
    reader.write(0, b"abc")
    reader.write(3, b"", Mark.FULL)
    assert b"[dcron: 3 bytes were followed, and no more are" in reader.read()


def test_a_run_that_is_over_is_answered_as_without_following(reader: Reader) -> None:
    reader.end(tail="all of it\n")
    answer = reader.api.get(PATH)
    assert (answer.headers["Dcron-Output"], answer.body) == ("whole", b"all of it\n")
    assert reader.api.coordinator.children(paths.follows("node1")) == []


def test_without_a_word_of_the_worker_the_end_comes_from_the_row(reader: Reader) -> None:
    reader.steps = [lambda: reader.end(tail="short\n")]
    assert reader.read() == b"short\n"


def test_the_rest_comes_from_the_object_store_where_the_whole_lies_there(reader: Reader) -> None:
    def end() -> None:
        reader.end(tail="its end")
        store = reader.api.services.object_store
        store.put(output_key("node1", RUN), BYTES)
        outputs.set_output(reader.api.services.database, RUN, "file:///there")

    reader.write(0, BYTES[:100])
    reader.steps = [end]
    assert reader.read() == BYTES


def test_a_rest_that_nobody_has_is_said(reader: Reader) -> None:
    reader.write(0, b"the beginning")
    reader.steps = [lambda: reader.end(RunState.LOST, tail="the end")]
    read = reader.read()
    assert read.startswith(b"the beginning\n[dcron: the rest did not come")


def test_the_wish_stands_below_the_workers_name_and_is_renewed(reader: Reader) -> None:
    seen: list[float] = []

    def look() -> None:
        node = reader.api.coordinator.get(paths.follow("node1", RUN))
        seen.append(Follow.decode(node.data).until - reader.api.time[0])

    reader.steps = [*[look] * 60, lambda: reader.write(0, b"", Mark.END)]
    assert reader.read() == b""
    assert len(seen) == 60 and min(seen) >= 15.0 and max(seen) <= 30.0


def test_a_wish_that_its_worker_took_back_is_made_again(reader: Reader) -> None:
    path = paths.follow("node1", RUN)
    idle: list[Callable[[], object]] = [lambda: None] * 25
    reader.steps = [
        lambda: reader.api.coordinator.delete(path),
        *idle,
        lambda: reader.api.coordinator.get(path),
        lambda: reader.write(0, b"", Mark.END),
    ]
    assert reader.read() == b""


def test_a_worker_that_is_away_is_503_with_the_reason(reader: Reader) -> None:
    reader.api.coordinator.delete(paths.registration("node1"))
    answer = reader.api.get(PATH)
    assert answer.status == 503
    assert "worker node1, which has the run, is away" in answer.json["detail"]


def test_only_so_many_follow_and_a_place_is_given_back(reader: Reader) -> None:
    answers = []
    reader.steps = [
        lambda: answers.append(reader.api.get(PATH)),
        lambda: reader.write(0, b"", Mark.END),
    ]
    assert reader.read() == b""
    assert answers[0].status == 503 and answers[0].headers["Retry-After"]
    assert "1 readers follow outputs" in answers[0].json["detail"]
    assert reader.read() == b"", "the place is free again"


def test_one_user_follows_half_of_them_at_most(tmp_path: Path) -> None:
    with open_api(tmp_path, followers=4) as api:
        api.post("/jobs", COMMAND)
        record(api, RunState.RUNNING)
        register(api)
        reader, answers = Reader(api), []

        def follow(user: str) -> None:
            answers.append((user, api.get(PATH, user=user)))

        reader.steps = [
            lambda: follow("admin"),  # within it, in its first pause:
            lambda: [follow(user) for user in ("admin", "viewer")],
            lambda: reader.write(0, b"", Mark.END),
        ]
        follow("admin")
        told = [(user, answer.status) for user, answer in answers]
        assert told == [("admin", 429), ("viewer", 200), ("admin", 200), ("admin", 200)]
        refused = answers[0][1]
        assert "the user admin follows 2 outputs" in refused.json["detail"]
        assert refused.headers["Retry-After"]
        follow("admin")
        assert answers[-1][1].status == 200, "the places are free again"


def test_a_place_is_given_back_when_nothing_could_be_asked_or_was_read(reader: Reader) -> None:
    reader.api.coordinator.delete(paths.registration("node1"))
    for _ in range(2):
        assert "is away" in reader.api.get(PATH).json["detail"]
    reader.api.coordinator.create(paths.registration("node1"))
    for _ in range(2):
        answer = reader.api.call("HEAD", PATH)
        assert (answer.status, answer.body) == (200, b"")


def test_with_the_database_away_it_ends_and_says_so(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[Chunk]:
        raise DatabaseUnavailable("gone")

    reader.write(0, b"so far")
    reader.steps = [lambda: monkeypatch.setattr(following.chunks, "chunks_from", away)]
    read = reader.read()
    assert read.startswith(b"so far\n[dcron: following stops at byte 6, since the database")


def test_a_reader_goes_on_at_the_byte_where_it_was_stopped(reader: Reader) -> None:
    reader.write(0, b"abcdef")
    assert reader.read().endswith(
        b"abcdef\n[dcron: following stops at byte 6, since nothing came for 300 s]\n"
    )
    reader.write(6, b"ghi")
    reader.write(9, b"", Mark.END)
    for position, rest in (("0", b"abcdefghi"), ("6", b"ghi"), ("8", b"i"), ("9", b"")):
        answer = reader.api.get(f"{PATH}&from={position}")
        assert (answer.status, answer.body) == (200, rest)


def test_a_reader_goes_on_though_the_run_has_ended_meanwhile(reader: Reader) -> None:
    reader.write(0, b"abcdef")
    reader.end(tail="abcdefghi")
    reader.api.coordinator.delete(paths.registration("node1"))  # nobody is there to be asked
    answer = reader.api.get(f"{PATH}&from=6")
    assert (answer.headers["Dcron-Output"], answer.body) == ("followed", b"ghi")


@pytest.mark.parametrize("query", ["from=6", "follow=false&from=6", "follow=true&from=-1"])
def test_a_byte_to_begin_at_is_for_what_is_followed(reader: Reader, query: str) -> None:
    answer = reader.api.get(f"{PATH.partition('?')[0]}?{query}")
    assert (answer.status, answer.fields) == (422, ["from"])


def test_with_the_coordination_away_it_ends_when_the_wish_has_passed(reader: Reader) -> None:
    coordinator, ensemble = reader.api.coordinator, reader.api.ensemble
    reader.steps = [lambda: ensemble.disconnect(coordinator)]
    assert b"since the coordination service does not answer" in reader.read()
    assert 30.0 <= reader.api.time[0] - NOW <= 45.0


def test_a_token_that_is_revoked_meanwhile_reads_no_further(reader: Reader) -> None:
    def revoke() -> None:
        database = reader.api.services.database
        (token,) = [one for one in tokens.list_tokens(database) if one.user == "admin"]
        tokens.revoke_token(database, token.id, reader.api.time[0], "test")

    reader.steps = [revoke]
    assert b"since the token holds no more" in reader.read()
    assert reader.api.time[0] - NOW <= 11.0


def test_silence_and_length_are_bounded(reader: Reader) -> None:
    assert b"since nothing came for 300 s" in reader.read()
    begun = reader.api.time[0]
    reader.steps = [lambda n=n: reader.write(n, b"x") for n in range(5000)]  # type: ignore[misc]
    assert b"since it has lasted 900 s" in reader.read()
    assert reader.api.time[0] - begun <= 901.0


def test_a_client_that_has_hung_up_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        assert not hung_up(ours) and not hung_up(None)
        theirs.close()
        assert hung_up(ours)
    assert hung_up(ours)


def test_of_a_run_that_goes_on_only_following_shows_the_output(reader: Reader) -> None:
    answer = reader.api.get(PATH.replace("true", "false"))
    assert answer.status == 409 and "follow=true" in answer.json["detail"]


def test_the_query_is_read_strictly(reader: Reader) -> None:
    assert reader.api.get(PATH.replace("true", "yes")).fields == ["follow"]


def test_the_headers_do_not_wait_for_the_jobs_first_byte(reader: Reader) -> None:
    seen: list[str] = []
    environ: dict[str, object] = {
        "PATH_INFO": PATH.partition("?")[0],
        "QUERY_STRING": "follow=true",
        "HTTP_AUTHORIZATION": f"Bearer {reader.api.tokens['viewer']}",
    }
    setup_testing_defaults(environ)
    pieces = reader.api.app(environ, lambda status, headers, *rest: seen.append(status))
    try:
        assert next(iter(pieces)) == b""
        assert seen == ["200 OK"] and reader.pauses == 0
    finally:
        pieces.close()
