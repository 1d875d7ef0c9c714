"""Wishes to follow, heeded: which files are copied, and when that ends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dcron_common import paths
from dcron_common.clock import Clock
from dcron_common.coordinator.contract import shared_with
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.db.chunks import Chunk, Copied, Mark
from dcron_common.errors import ConnectionLost, DatabaseUnavailable
from dcron_common.ids import ulid
from dcron_common.protocol import Follow
from dcron_worker import following
from dcron_worker.following import Following
from dcron_worker.pieces import Pieces

NOW = 1_800_000_000.0
ONE, TWO = ulid(NOW), ulid(NOW + 1)


class Kept(Pieces):
    """Pieces in memory."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.away = False
        self.rests = 0

    def put(self, pieces: Sequence[Chunk]) -> None:
        if self.away:
            raise DatabaseUnavailable("gone")
        self.chunks += pieces

    def copied(self, run_id: str) -> Copied:
        mine = [chunk for chunk in self.chunks if chunk.run_id == run_id]
        stop = max((chunk.stop for chunk in mine), default=0)
        return Copied(stop, sum(len(chunk.data) for chunk in mine))

    def rest(self) -> None:
        self.rests += 1

    def of(self, run_id: str) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks if chunk.run_id == run_id)


class Bench:
    """A worker's following, with a control plane that wishes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.ensemble = LocalEnsemble()
        self.app = self._session(None)
        self.app.ensure(paths.FOLLOWS)
        self.app.ensure(paths.follows("w"), shared_with("w", "rd"))
        self.node = self._session("w")
        self.pieces = Kept()
        self.living = {ONE, TWO}
        self.following = self.build()

    def build(self) -> Following:
        return Following(
            "w",
            self.node,
            pieces=self.pieces,
            output_path=lambda run_id: self.folder / run_id,
            lives=lambda run_id: run_id in self.living,
            clock=Clock(lambda: self.now, lambda: self.now),
        )

    def _session(self, name: str | None) -> LocalCoordinator:
        session = self.ensemble.session(name) if name else self.ensemble.session()
        session.start(1)
        return session

    def wish(self, run_id: str, seconds: float = 30.0) -> None:
        data = Follow(self.now + seconds).encode()
        self.app.create(paths.follow("w", run_id), data, access=shared_with("w", "r"))

    def write(self, run_id: str, data: bytes) -> None:
        with (self.folder / run_id).open("ab") as file:
            file.write(data)

    def look(self, *, known: bool = True) -> bool:
        self.following.heed(known=known)
        return self.following.step()

    @property
    def wishes(self) -> list[str]:
        return self.app.children(paths.follows("w"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.ensemble.close()


def test_without_a_wish_nothing_is_copied_and_nothing_to_be_looked_at(bench: Bench) -> None:
    bench.write(ONE, b"abc")
    assert not bench.look()
    assert bench.pieces.chunks == []


def test_a_wish_has_its_run_copied_while_it_stands(bench: Bench) -> None:
    bench.write(ONE, b"abc")
    bench.write(TWO, b"xyz")
    bench.wish(ONE)
    assert bench.look()
    bench.write(ONE, b"def")
    assert bench.look()
    assert (bench.pieces.of(ONE), bench.pieces.of(TWO)) == (b"abcdef", b"")
    bench.now += 31
    assert not bench.look()
    bench.write(ONE, b"ghi")
    assert not bench.look()
    assert (bench.pieces.of(ONE), bench.wishes) == (b"abcdef", [])


def test_the_end_of_a_run_ends_its_wish_after_the_last_byte(bench: Bench) -> None:
    bench.wish(ONE)
    bench.write(ONE, b"abc")
    bench.look()
    bench.write(ONE, b"def")
    bench.following.ended(ONE)
    bench.following.step()
    assert bench.pieces.of(ONE) == b"abcdef"
    assert bench.pieces.chunks[-1] == Chunk(ONE, 6, b"", Mark.END)
    bench.look()
    assert bench.wishes == []


def test_a_run_that_was_over_before_the_wish_came_is_copied_while_its_file_is_there(
    bench: Bench,
) -> None:
    bench.living.clear()
    bench.write(ONE, b"abc")
    bench.wish(ONE)
    bench.look()
    assert [chunk.mark for chunk in bench.pieces.chunks] == [Mark.DATA, Mark.END]


def test_nothing_is_taken_for_over_while_the_daemon_does_not_know(bench: Bench) -> None:
    bench.living.clear()
    bench.write(ONE, b"abc")
    bench.wish(ONE)
    bench.look(known=False)
    assert [chunk.mark for chunk in bench.pieces.chunks] == [Mark.DATA]


def test_a_daemon_that_is_restarted_goes_on_where_the_last_one_came(bench: Bench) -> None:
    bench.wish(ONE)
    bench.write(ONE, b"abc")
    bench.look()
    bench.following = bench.build()
    bench.write(ONE, b"def")
    bench.look()
    assert [chunk.offset for chunk in bench.pieces.chunks] == [0, 3]


def test_with_the_database_away_it_is_tried_again(bench: Bench) -> None:
    bench.wish(ONE)
    bench.write(ONE, b"abc")
    bench.pieces.away = True
    assert bench.look() and bench.look()
    bench.pieces.away = False
    assert bench.look()
    assert bench.pieces.of(ONE) == b"abc"


def test_one_file_that_cannot_be_read_hinders_no_other(bench: Bench) -> None:
    (bench.folder / ONE).symlink_to("/etc/hostname")
    bench.write(TWO, b"xyz")
    bench.wish(ONE)
    bench.wish(TWO)
    bench.look()
    bench.look()
    assert (bench.pieces.of(ONE), bench.pieces.of(TWO)) == (b"", b"xyz")
    assert bench.wishes == [TWO]


def test_followed_runs_share_what_a_second_may_have(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RATE", 10)
    for run_id in (ONE, TWO):
        bench.write(run_id, bytes(100))
        bench.wish(run_id)
    bench.look()
    assert (len(bench.pieces.of(ONE)), len(bench.pieces.of(TWO))) == (5, 5)


def test_only_so_many_runs_are_followed_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RUNS", 1)
    for run_id in (ONE, TWO):
        bench.write(run_id, b"abc")
        bench.wish(run_id)
    bench.look()
    assert bench.pieces.of(ONE) + bench.pieces.of(TWO) == b"abc"


@pytest.mark.parametrize("name", ["..", "x" * 26, "01mcc5rm00jnnwv6q080srgcb2"])
def test_a_wish_of_no_run_is_dropped(bench: Bench, name: str) -> None:
    if name != "..":  # which no tree takes for a name
        bench.app.create(
            paths.follow("w", name), Follow(NOW + 30).encode(), access=shared_with("w", "r")
        )
    assert not bench.look() and bench.wishes == []


def test_a_wish_that_cannot_be_read_is_dropped(bench: Bench) -> None:
    bench.app.create(paths.follow("w", ONE), b"{}", access=shared_with("w", "r"))
    bench.look()
    assert bench.wishes == []


def test_a_worker_that_has_no_place_for_wishes_goes_on(bench: Bench) -> None:
    bench.app.delete(paths.follows("w"))
    assert not bench.look()


def test_a_lost_connection_is_told_and_rights_that_lack_are_not(bench: Bench) -> None:
    bench.app.create(paths.follow("w", ONE), Follow(NOW + 30).encode())  # of the app alone
    assert not bench.look()
    bench.ensemble.disconnect(bench.node)
    with pytest.raises(ConnectionLost):
        bench.look()


def test_the_thread_copies_by_itself_rests_without_a_wish_and_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PACE", 0.01)
    bench.following.start()
    bench.write(ONE, b"abc")
    bench.wish(ONE)
    bench.following.heed(known=True)
    deadline = time.monotonic() + 60
    while bench.pieces.of(ONE) != b"abc":
        assert time.monotonic() < deadline
    bench.now += 31
    bench.following.heed(known=True)
    while not bench.pieces.rests:
        assert time.monotonic() < deadline
    bench.following.stop(5.0)
    assert not bench.following._thread.is_alive()
