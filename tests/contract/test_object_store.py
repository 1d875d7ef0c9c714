"""What every object store promises: asked of a directory and of a real S3 server (Swift)."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from dcron_common.errors import ObjectNotFound, ObjectStoreError, ObjectStoreUnavailable
from dcron_common.object_store import ObjectStore, executable_key, open_object_store
from dcron_common.settings import ObjectStoreConfig
from tests.servers.s3 import S3Server, free_port, missing


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with S3Server(tmp_path_factory.mktemp("swift")) as server:
        boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            region_name=server.region,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        ).create_bucket(Bucket="dcron")
        yield server


def settings(server: S3Server, **other: str) -> ObjectStoreConfig:
    values = {
        "endpoint": server.endpoint,
        "bucket": "dcron",
        "access_key": server.access_key,
        "secret_key": server.secret_key,
    } | other
    return ObjectStoreConfig("s3", **values)  # type: ignore[arg-type]  # all of these are texts


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        return open_object_store(ObjectStoreConfig("directory", path=tmp_path / "objects"))
    return open_object_store(settings(request.getfixturevalue("s3_server")))


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 5_000_000])
def test_what_was_put_comes_back(store: ObjectStore, size: int) -> None:
    data = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
    store.put(f"sizes/{size}", data[:size], "text/plain")
    assert store.get(f"sizes/{size}") == data[:size]
    assert store.size(f"sizes/{size}") == size


def test_a_file_is_put_whole(store: ObjectStore, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789abcdef" * 200_000)
    with path.open("rb") as file:
        store.put("files/a", file)
    assert store.get("files/a") == path.read_bytes()


def test_a_second_put_replaces_the_first(store: ObjectStore) -> None:
    store.put("twice/a", b"one, and longer")
    store.put("twice/a", b"two")
    assert store.get("twice/a") == b"two"


def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    assert store.exists("no/such") is False
    for ask in (store.get, store.size, lambda key: list(store.stream(key))):
        with pytest.raises(ObjectNotFound):
            ask("no/such")


def test_delete_removes_and_may_be_repeated(store: ObjectStore) -> None:
    store.put("gone/a", b"x")
    assert store.exists("gone/a") is True
    store.delete("gone/a")
    store.delete("gone/a")
    assert store.exists("gone/a") is False


def test_a_list_names_what_is_below_a_prefix_in_the_order_of_bytes(store: ObjectStore) -> None:
    # A dash sorts before the slash, a letter behind it.
    keys = ["listed/b/1", "listed/b-1", "listed/ba", "listed/B", "listed/b/0/x", "listedtoo/a"]
    for key in keys:
        store.put(key, b"x")
    expected = sorted(key for key in keys if key.startswith("listed/"))
    assert [one.key for one in store.listed("listed/")] == expected
    assert [one.key for one in store.listed("listed/b/")] == ["listed/b/0/x", "listed/b/1"]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_list_goes_on_behind_any_key_page_by_page(store: ObjectStore, size: int) -> None:
    keys = sorted(f"paged{size}/{folder}/{name}" for folder in "ab" for name in "xyz")
    for key in keys:
        store.put(key, b"x")
    found: list[str] = []
    while page := store.listed(f"paged{size}/", found[-1] if found else "", size):
        found += [one.key for one in page]
        if len(page) < size:
            break
    assert found == keys
    assert [one.key for one in store.listed(f"paged{size}/", f"paged{size}/a/xx")] == keys[1:]


def test_a_list_of_nothing_is_empty(store: ObjectStore) -> None:
    assert store.listed("nobody/") == []


def test_a_list_tells_when_an_object_was_last_put(store: ObjectStore) -> None:
    before = time.time() - 2  # stores may count in whole seconds
    store.put("aged/a", b"x")
    (first,) = store.listed("aged/")
    assert before < first.modified < time.time() + 2
    while store.listed("aged/")[0].modified == first.modified:  # until the store's clock moves
        assert time.time() < before + 15
        store.put("aged/a", b"x")
    assert store.listed("aged/")[0].modified > first.modified


def test_what_was_removed_is_listed_no_more(store: ObjectStore) -> None:
    store.put("shrinks/a", b"x")
    store.put("shrinks/b", b"x")
    store.delete("shrinks/a")
    assert [one.key for one in store.listed("shrinks/")] == ["shrinks/b"]


def test_a_list_of_what_is_no_prefix_is_refused(store: ObjectStore) -> None:
    with pytest.raises(ObjectStoreError):
        store.listed("../")


def test_a_directory_lists_no_links_and_nothing_that_has_no_keys_name(tmp_path: Path) -> None:
    store = open_object_store(ObjectStoreConfig("directory", path=tmp_path / "objects"))
    store.put("outputs/a", b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("x")
    folder = tmp_path / "objects" / "outputs"
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "secret")
    (folder / ".put-0123").write_text("half")
    (folder / "two words").write_text("x")
    assert [one.key for one in store.listed("outputs/")] == ["outputs/a"]


def test_a_prefix_of_a_key_is_no_object(store: ObjectStore) -> None:
    store.put("prefix/a", b"x")
    assert store.exists("prefix") is False


def test_stream_comes_in_pieces(store: ObjectStore) -> None:
    store.put("large/a", b"x" * 1_000_000)
    pieces = list(store.stream("large/a"))
    assert len(pieces) > 1
    assert sum(map(len, pieces)) == 1_000_000


def test_fetch_makes_a_checked_file_and_leaves_nothing_else(
    store: ObjectStore, tmp_path: Path
) -> None:
    data = b"#!/bin/sh\necho hello\n" * 10_000
    digest = hashlib.sha256(data).hexdigest()
    store.put(executable_key(digest), data)
    folder = tmp_path / "fetched"
    folder.mkdir()
    store.fetch(executable_key(digest), folder / "file", digest)
    assert (folder / "file").read_bytes() == data
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_fetch_of_other_bytes_than_promised_leaves_no_file(
    store: ObjectStore, tmp_path: Path
) -> None:
    store.put("swapped/a", b"evil")
    folder = tmp_path / "fetched"
    folder.mkdir()
    (folder / "file").write_bytes(b"old")
    with pytest.raises(ObjectStoreError, match="SHA-256"):
        store.fetch("swapped/a", folder / "file", hashlib.sha256(b"good").hexdigest())
    assert (folder / "file").read_bytes() == b"old"
    assert len(list(folder.iterdir())) == 1


def test_fetch_of_nothing_leaves_no_file(store: ObjectStore, tmp_path: Path) -> None:
    folder = tmp_path / "fetched"
    folder.mkdir()
    with pytest.raises(ObjectNotFound):
        store.fetch("no/such", folder / "file", None)
    assert list(folder.iterdir()) == []


def test_fetch_into_a_missing_folder_is_unavailable(store: ObjectStore, tmp_path: Path) -> None:
    store.put("here/a", b"x")
    with pytest.raises(ObjectStoreUnavailable, match="No such file"):
        store.fetch("here/a", tmp_path / "none" / "file", None)


@pytest.mark.parametrize(
    "key",
    ["", "/", "a//b", "/etc/passwd", "../a", "a/../b", "a/..", ".", ".hidden", "a/.b", "a\x00b",
     "a\nb", "a b", "ä", "a\\b", "a/", "-a", "%2e%2e/a", "a" * 201, "a/" * 300 + "a"],
)  # fmt: skip
def test_a_hostile_key_is_refused_by_every_method(
    store: ObjectStore, tmp_path: Path, key: str
) -> None:
    calls = (
        lambda: store.put(key, b"x"),
        lambda: store.get(key),
        lambda: list(store.stream(key)),
        lambda: store.size(key),
        lambda: store.exists(key),
        lambda: store.delete(key),
        lambda: store.url(key),
        lambda: store.fetch(key, tmp_path / "file", None),
    )
    for call in calls:
        with pytest.raises(ObjectStoreError, match="no key"):
            call()


def test_many_threads_may_use_one_store(store: ObjectStore) -> None:
    failed: list[Exception] = []

    def work(number: int) -> None:
        try:
            for _ in range(5):
                store.put(f"threads/{number}", bytes([number]) * 1000)
                assert store.get(f"threads/{number}") == bytes([number]) * 1000
        except Exception as error:  # noqa: BLE001  # carried to the test's thread
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_reader_never_sees_half_a_write(store: ObjectStore) -> None:
    store.put("half/a", b"0" * 300_000)
    stop = threading.Event()

    def write() -> None:
        for turn in range(20):
            store.put("half/a", str(turn % 10).encode() * 300_000)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        data = store.get("half/a")
        assert len(data) == 300_000
        assert len(set(data)) == 1
    writer.join()


def test_url_ends_with_the_key(store: ObjectStore) -> None:
    assert store.url("executables/abc").endswith("/executables/abc")
    assert store.url("executables/abc").startswith(("http://", "file:///"))


def test_a_healthy_store_is_ready(store: ObjectStore) -> None:
    store.ready()
    store.put("ready/a", b"x")
    assert store.get("ready/a") == b"x"


def test_a_missing_bucket_is_unavailable_with_the_remedy(s3_server: S3Server) -> None:
    store = open_object_store(settings(s3_server, bucket="another"))
    for call in (store.ready, lambda: store.exists("a"), lambda: store.put("a", b"x")):
        with pytest.raises(ObjectStoreUnavailable, match="create the bucket"):
            call()


def test_a_wrong_secret_is_unavailable_with_the_remedy(s3_server: S3Server) -> None:
    store = open_object_store(settings(s3_server, secret_key="b" * 20))
    for call in (store.ready, lambda: store.get("a"), lambda: store.put("a", b"x")):
        with pytest.raises(ObjectStoreUnavailable, match="check object_store"):
            call()


def test_credentials_of_the_environment_are_not_used(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong:user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    store = open_object_store(settings(s3_server))
    store.put("own/a", b"x")
    assert store.get("own/a") == b"x"


def test_no_server_is_unavailable_and_soon() -> None:
    store = open_object_store(
        ObjectStoreConfig(
            "s3",
            endpoint=f"http://127.0.0.1:{free_port()}",
            bucket="dcron",
            access_key="app:s3",
            secret_key="b" * 20,
        )
    )
    with pytest.raises(ObjectStoreUnavailable):
        store.ready()


def test_a_stopped_server_is_unavailable_and_its_objects_come_back(s3_server: S3Server) -> None:
    store = open_object_store(settings(s3_server))
    store.put("kept/a", b"x")
    s3_server.stop()
    try:
        with pytest.raises(ObjectStoreUnavailable):
            store.get("kept/a")
    finally:
        s3_server.start()
    assert store.get("kept/a") == b"x"


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_object_store(ObjectStoreConfig("directory", path=tmp_path / "file" / "objects"))
    with pytest.raises(ObjectStoreUnavailable, match="cannot be written"):
        store.ready()


def test_a_directory_does_not_follow_a_link_out_of_it(tmp_path: Path) -> None:
    store = open_object_store(ObjectStoreConfig("directory", path=tmp_path / "objects"))
    store.put("a", b"x")
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "objects" / "b").symlink_to(tmp_path / "outside")
    with pytest.raises(ObjectStoreError):
        store.get("b")


def test_a_directory_is_not_written_through_a_link_in_it(tmp_path: Path) -> None:
    store = open_object_store(ObjectStoreConfig("directory", path=tmp_path / "objects"))
    store.put("outputs/a", b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "objects" / "outputs" / "node1").symlink_to(outside)
    with pytest.raises(ObjectStoreError):
        store.put("outputs/node1/run", b"planted")
    assert list(outside.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_what_root_puts_into_a_directory_belongs_to_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    store = open_object_store(ObjectStoreConfig("directory", path=folder))
    store.put("outputs/node1/run", b"x")
    made = [folder / "outputs", folder / "outputs/node1", folder / "outputs/node1/run"]
    assert [path.stat().st_uid for path in made] == [65534] * 3
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700, 0o700, 0o600]
