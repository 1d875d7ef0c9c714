"""What the local coordinator keeps on disk; what it promises in general is in tests/contract."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dcron_common.coordinator.contract import APP, Check, Create, Delete, Set
from dcron_common.coordinator.local import LocalCoordinator, LocalEnsemble
from dcron_common.errors import (
    BadVersion,
    ConnectionLost,
    CoordinatorError,
    NoAuth,
    TransactionFailed,
)


@contextmanager
def opened(path: Path) -> Iterator[LocalCoordinator]:
    ensemble = LocalEnsemble(path)
    try:
        session = ensemble.session()
        session.start(0)
        yield session
    finally:
        ensemble.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "coordinator.sqlite"


def test_nodes_and_their_versions_survive_a_restart(state: Path) -> None:
    with opened(state) as session:
        session.ensure("/a/b")
        session.set("/a/b", b"1")
        before = [session.get("/a"), session.get("/a/b")]
    with opened(state) as session:
        assert [session.get("/a"), session.get("/a/b")] == before
        assert session.set("/a/b", b"2", version=1).version == 2


def test_ephemeral_nodes_do_not_survive_a_restart(state: Path) -> None:
    with opened(state) as session:
        session.commit([Create("/a"), Create("/a/e", ephemeral=True), Create("/a/p")])
    with opened(state) as session:
        assert session.children("/a") == ["p"]


def test_deleted_nodes_stay_deleted(state: Path) -> None:
    with opened(state) as session:
        session.commit([Create("/a"), Create("/b"), Delete("/a")])
        session.delete("/b")
    with opened(state) as session:
        assert session.children("/") == []


def test_a_persistent_node_made_again_as_ephemeral_is_gone_after_a_restart(state: Path) -> None:
    with opened(state) as session:
        session.create("/a", b"old")
        session.commit([Delete("/a"), Create("/a", ephemeral=True)])
    with opened(state) as session:
        assert session.exists("/a") is None


def test_sequence_numbers_and_zxids_go_on_after_a_restart(state: Path) -> None:
    with opened(state) as session:
        session.create("/n-", sequence=True)
        session.delete("/n-0000000000")
        last = session.create("/n-", sequence=True, ephemeral=True)
        zxid, number = session.get(last).stat.created_zxid, session.session_id
    with opened(state) as session:
        path = session.create("/n-", sequence=True)
        assert path == "/n-0000000002"
        assert session.get(path).stat.created_zxid > zxid
        assert session.session_id != number


def test_access_lists_survive_a_restart(state: Path) -> None:
    with opened(state) as session:
        session.create("/a", access=((APP, "rwcda"), ("node1", "r")))
        session.create("/b")
    ensemble = LocalEnsemble(state)
    worker = ensemble.session("node1")
    worker.start(0)
    assert worker.get("/a").data == b""
    with pytest.raises(NoAuth):
        worker.get("/b")
    ensemble.close()


def test_the_version_of_an_access_list_survives_a_restart(state: Path) -> None:
    with opened(state) as session:
        session.create("/a")
        session.set_access("/a", ((APP, "rwcda"),))
    with opened(state) as session:
        with pytest.raises(BadVersion):
            session.set_access("/a", ((APP, "rwcda"),), version=0)
        session.set_access("/a", ((APP, "rwcda"),), version=1)
        assert session.get("/a").stat.access_version == 2


def test_a_file_without_versions_of_access_lists_is_taken_over(state: Path) -> None:
    with opened(state) as session:
        session.create("/a", b"kept", access=((APP, "rwcda"),))
    with sqlite3.connect(state) as db:
        db.execute("ALTER TABLE node DROP COLUMN access_version")
    db.close()
    for opening in range(2):
        with opened(state) as session:
            assert session.get("/a").data == b"kept"
            session.set_access("/a", ((APP, "rwcda"),), version=opening)


def test_a_failed_transaction_leaves_nothing_on_disk(state: Path) -> None:
    with opened(state) as session:
        session.create("/a", b"kept")
        with pytest.raises(TransactionFailed):
            session.commit([Set("/a", b"lost"), Create("/b"), Check("/a", 7)])
    with opened(state) as session:
        assert session.children("/") == ["a"]
        assert session.get("/a").data == b"kept"


def test_what_was_acknowledged_survives_a_killed_process(state: Path) -> None:
    program = f"""
import os, pathlib
from dcron_common.coordinator.local import LocalEnsemble
session = LocalEnsemble(pathlib.Path({str(state)!r})).session()
session.start(0)
for number in range(20):
    session.create(f"/{{number:02}}", b"x")
os.kill(os.getpid(), 9)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == -9, ended.stderr
    with opened(state) as session:
        assert session.children("/") == [f"{number:02}" for number in range(20)]


def test_a_write_that_the_disk_refuses_is_not_done(state: Path) -> None:
    ensemble = LocalEnsemble(state)
    session = ensemble.session()
    session.start(0)
    session.create("/a", b"kept")
    assert ensemble._store is not None
    ensemble._store._db.execute("PRAGMA query_only=ON")
    with pytest.raises(CoordinatorError, match="cannot be written"):
        session.commit([Set("/a", b"lost"), Create("/b")])
    assert (session.children("/"), session.get("/a").data) == (["a"], b"kept")
    ensemble._store._db.execute("PRAGMA query_only=OFF")
    session.commit([Set("/a", b"changed", 0), Create("/b")])
    ensemble.close()
    with opened(state) as session:
        assert session.get("/a").data == b"changed"


def test_writes_of_ephemeral_nodes_alone_do_not_touch_the_disk(state: Path) -> None:
    ensemble = LocalEnsemble(state)
    session = ensemble.session()
    session.start(0)
    session.create("/beat", ephemeral=True)
    assert ensemble._store is not None
    before = ensemble._store._db.total_changes
    for _ in range(3):
        session.set("/beat", b"now")
    assert ensemble._store._db.total_changes == before
    ensemble.close()


def test_a_second_process_on_the_same_state_is_refused(state: Path) -> None:
    with opened(state), pytest.raises(CoordinatorError, match="another dcron"):
        LocalEnsemble(state)


def test_a_file_that_is_no_state_is_refused(state: Path) -> None:
    state.write_bytes(b"something else " * 100)
    with pytest.raises(CoordinatorError, match="no state of dcron's"):
        LocalEnsemble(state)


def test_the_file_is_a_plain_sqlite_database_in_wal_mode(state: Path) -> None:
    with opened(state) as session:
        session.create("/a", b"x")
    with sqlite3.connect(state) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("SELECT data FROM node WHERE path = '/a'").fetchone() == (b"x",)


def test_after_its_close_the_ensemble_says_lost() -> None:
    ensemble = LocalEnsemble()
    session = ensemble.session()
    session.start(0)
    ensemble.close()
    with pytest.raises(ConnectionLost):
        session.exists("/")
    with pytest.raises(ConnectionLost):
        ensemble.session().start(0)
    session.stop()


def test_a_watch_that_fails_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    ensemble = LocalEnsemble()
    session = ensemble.session()
    session.start(0)
    told: list[str] = []

    def fails() -> None:
        raise ValueError("a defect")

    session.watch_children("/", fails)
    session.watch_children("/", lambda: told.append("woken"))
    ensemble.close()
    assert told == ["woken"]
    assert "a defect" in caplog.text
