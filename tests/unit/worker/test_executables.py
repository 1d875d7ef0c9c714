"""The cache of executables: fetched once, checked, within its quota."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dcron_common.clock import Clock
from dcron_common.errors import FileUnavailable, LaunchError, ObjectStoreUnavailable
from dcron_common.job import JobType, Spec
from dcron_common.object_store.contract import executable_key
from dcron_common.object_store.directory import DirectoryStore
from dcron_worker.executables import KEEP_SECONDS, Executables


class Counting(DirectoryStore):
    """A slow store that counts how often it is asked."""

    asked = 0
    away = False

    def stream(self, key: str) -> Iterator[bytes]:
        self.asked += 1
        if self.away:
            raise ObjectStoreUnavailable("no answer")
        time.sleep(0.05)
        yield from super().stream(key)


@dataclass
class Node:
    """A worker's cache beside its store."""

    store: Counting
    folder: Path
    now: float = 1000.0
    at_use: Callable[[], object] = lambda: None  # just before a file's use is noted

    def wall(self) -> float:
        self.at_use()
        return self.now

    def cache(self, quota: int = 1_000_000, in_use: tuple[str, ...] = ()) -> Executables:
        clock = Clock(wall=self.wall, boot=lambda: self.now)
        return Executables(
            self.store, self.folder, quota_bytes=quota, in_use=lambda: in_use, clock=clock
        )

    def spec(self, data: bytes) -> Spec:
        digest = hashlib.sha256(data).hexdigest()
        self.store.put(executable_key(digest), data)
        return spec(executable_key(digest), digest)


def spec(key: str, digest: str | None) -> Spec:
    return Spec(
        job_id=1,
        incarnation="i",
        revision=1,
        type=JobType.SCRIPT,
        executable=key,
        schedule="* * * * *",
        timezone="UTC",
        effective_from=0,
        sha256=digest,
    )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(Counting(tmp_path / "objects"), tmp_path / "cache")


def test_a_file_is_fetched_once_and_may_be_executed(node: Node) -> None:
    cache, wanted = node.cache(), node.spec(b"#!/bin/sh\n")
    path = cache.path_for(wanted)
    assert path == cache.path_for(wanted)
    assert path.read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o555
    assert node.store.asked == 1


def test_many_threads_fetch_one_file_once(node: Node) -> None:
    cache, wanted = node.cache(), node.spec(b"x")
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.path_for(wanted))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert node.store.asked == 1


def test_a_restarted_daemon_finds_its_cache(node: Node) -> None:
    wanted = node.spec(b"x")
    node.cache().path_for(wanted)
    node.cache().path_for(wanted)
    assert node.store.asked == 1


def test_a_changed_file_is_thrown_away_and_fetched_again(node: Node) -> None:
    cache, wanted = node.cache(), node.spec(b"good")
    path = cache.path_for(wanted)
    path.chmod(0o755)
    path.write_bytes(b"evil")
    assert cache.path_for(wanted).read_bytes() == b"good"
    path.unlink()
    path.symlink_to("/bin/true")
    assert cache.path_for(wanted).read_bytes() == b"good"
    assert not path.is_symlink()


def test_an_object_of_other_bytes_is_never_run(node: Node) -> None:
    digest = hashlib.sha256(b"good").hexdigest()
    node.store.put(executable_key(digest), b"evil")
    with pytest.raises(LaunchError, match="SHA-256"):
        node.cache().path_for(spec(executable_key(digest), digest))
    assert list(node.folder.iterdir()) == []


def test_a_missing_object_is_a_reason(node: Node) -> None:
    with pytest.raises(LaunchError, match="post the job again"):
        node.cache().path_for(spec(executable_key("a" * 64), "a" * 64))


def test_a_store_that_does_not_answer_may_be_asked_again(node: Node) -> None:
    wanted = node.spec(b"good")
    cache = node.cache()
    node.store.away = True
    with pytest.raises(FileUnavailable, match="no answer"):
        cache.path_for(wanted)
    node.store.away = False
    path = cache.path_for(wanted)
    node.store.away = True
    assert cache.path_for(wanted) == path, "what is cached needs no store"


@pytest.mark.parametrize("digest", [None, "", "a" * 63, "../" + "a" * 61, "A" * 64, "a" * 63 + "/"])
def test_a_hostile_digest_is_refused(node: Node, digest: str | None) -> None:
    with pytest.raises(LaunchError, match="has no file"):
        node.cache().path_for(spec("executables/x", digest))


def test_what_was_longest_not_used_goes_first(node: Node) -> None:
    cache = node.cache(quota=250)
    specs = [node.spec(bytes([number]) * 100) for number in range(3)]
    paths = []
    for wanted in (*specs[:2], specs[0]):
        paths.append(cache.path_for(wanted))
        node.now += KEEP_SECONDS + 1
    cache.path_for(specs[2])
    assert (paths[0].exists(), paths[1].exists()) == (True, False)


def test_what_is_in_use_or_was_just_asked_for_stays(node: Node) -> None:
    first, second, third = (node.spec(bytes([number]) * 100) for number in range(3))
    cache = node.cache(quota=50, in_use=(first.sha256 or "",))
    paths = [cache.path_for(first)]
    node.now += KEEP_SECONDS + 1
    paths += [cache.path_for(second), cache.path_for(third)]
    assert all(path.exists() for path in paths)
    node.now += KEEP_SECONDS + 1
    cache.path_for(third)
    assert [path.exists() for path in paths] == [True, False, True]


def test_a_file_that_goes_away_meanwhile_fails_its_launch_only(node: Node) -> None:
    cache, wanted = node.cache(), node.spec(b"x")
    path = cache.path_for(wanted)
    node.at_use = path.unlink
    with pytest.raises(LaunchError, match="cannot be used"):
        cache.path_for(wanted)
    node.at_use = lambda: None
    assert cache.path_for(wanted).read_bytes() == b"x"


def test_what_cannot_be_thrown_away_fails_the_launch(node: Node) -> None:
    cache, wanted = node.cache(), node.spec(b"x")
    (node.folder / str(wanted.sha256) / "below").mkdir(parents=True)
    with pytest.raises(LaunchError, match="cannot be used"):
        cache.path_for(wanted)


def test_what_cannot_be_read_or_removed_hinders_no_eviction(node: Node) -> None:
    cache = node.cache(quota=150)
    (node.folder / ("a" * 64)).symlink_to("nowhere")
    stuck = node.folder / ("b" * 64)
    (stuck / "below").mkdir(parents=True)
    os.utime(stuck, (0, 0))
    old, new = node.spec(b"o" * 5000), node.spec(b"n" * 100)
    path = cache.path_for(old)
    node.now += KEEP_SECONDS + 1
    assert cache.path_for(new).exists()
    assert not path.exists()
    assert stuck.is_dir()


def test_the_leftover_of_a_crash_goes(node: Node) -> None:
    node.cache()
    (node.folder / ".fetch-abc.part").write_bytes(b"half")
    node.cache()
    assert list(node.folder.iterdir()) == []
