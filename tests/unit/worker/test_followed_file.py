"""What of a growing file is copied next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dcron_common.db.chunks import CHUNK_BYTES, Chunk, Copied, Mark
from dcron_worker import followed_file
from dcron_worker.followed_file import BACKLOG, MOST, FollowedFile

RUN = "R" * 26


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "output"


def taken(file: FollowedFile, most: int = 1 << 20) -> list[Chunk]:
    found = file.read(most)
    file.took(found)
    return found


def data(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)


def test_what_a_file_gains_comes_piece_by_piece(path: Path) -> None:
    path.write_bytes(b"one")
    file = FollowedFile(RUN, path)
    assert taken(file) == [Chunk(RUN, 0, b"one")]
    assert taken(file) == []
    with path.open("ab") as more:
        more.write(b"two")
    assert taken(file) == [Chunk(RUN, 3, b"two")]


def test_what_was_not_taken_comes_again(path: Path) -> None:
    path.write_bytes(b"one")
    file = FollowedFile(RUN, path)
    assert file.read(100) == file.read(100) == [Chunk(RUN, 0, b"one")]


def test_a_new_daemon_goes_on_where_the_one_before_came(path: Path) -> None:
    path.write_bytes(b"onetwo")
    file = FollowedFile(RUN, path)
    file.copied = Copied(3, 3)
    assert taken(file) == [Chunk(RUN, 3, b"two")]


def test_a_look_takes_no_more_than_it_may_in_pieces_of_bounded_size(path: Path) -> None:
    path.write_bytes(bytes(CHUNK_BYTES * 4))
    found = taken(FollowedFile(RUN, path), CHUNK_BYTES * 2 + 1)
    assert [len(chunk.data) for chunk in found] == [CHUNK_BYTES, CHUNK_BYTES, 1]


def test_who_is_far_behind_goes_on_near_the_end(path: Path) -> None:
    os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), BACKLOG + 2)
    file = FollowedFile(RUN, path)
    assert taken(file, 10)[0].offset == BACKLOG // 2 + 2


def test_the_end_comes_after_the_last_byte_and_once(path: Path) -> None:
    path.write_bytes(b"onetwo")
    file = FollowedFile(RUN, path)
    file.over = True
    assert [chunk.mark for chunk in taken(file, 3)] == [Mark.DATA]
    assert taken(file, 100) == [Chunk(RUN, 3, b"two"), Chunk(RUN, 6, b"", Mark.END)]
    assert file.done


def test_a_file_that_is_removed_at_its_runs_end_is_still_read_to_its_end(path: Path) -> None:
    path.write_bytes(b"one")
    file = FollowedFile(RUN, path)
    taken(file)
    with path.open("ab") as more:
        more.write(b"last words")
    path.unlink()
    file.over = True
    assert data(taken(file)) == b"last words" and file.done


def test_a_file_that_is_not_there_yet_is_waited_for(path: Path) -> None:
    file = FollowedFile(RUN, path)
    assert taken(file) == [] and not file.done
    path.write_bytes(b"one")
    assert data(taken(file)) == b"one"


def test_of_a_run_that_is_over_without_a_file_nothing_is_said(path: Path) -> None:
    file = FollowedFile(RUN, path)
    file.over = True
    assert taken(file) == [] and file.done


def test_no_more_than_so_much_of_one_run_is_copied(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed_file, "MOST", 10)
    path.write_bytes(bytes(30))
    file = FollowedFile(RUN, path)
    file.copied = Copied(12, 4)  # with a gap: what counts is what lies in the database
    found = taken(file)
    assert [(c.offset, len(c.data), c.mark) for c in found] == [
        (12, 6, Mark.DATA),
        (18, 0, Mark.FULL),
    ]
    assert file.done and MOST > BACKLOG


def test_a_file_that_is_cut_while_it_is_read_ends_where_it_is_cut(path: Path) -> None:
    path.write_bytes(b"onetwo")
    file = FollowedFile(RUN, path)
    taken(file)
    os.truncate(path, 3)
    file.over = True
    assert taken(file) == [Chunk(RUN, 6, b"", Mark.END)]


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_no_launcher_has_made_is_not_read(path: Path, kind: str) -> None:
    if kind == "link":
        path.symlink_to("/etc/hostname")
    else:
        os.mkfifo(path)
    file = FollowedFile(RUN, path)
    with pytest.raises(OSError, match="plain file|symbolic"):
        file.read(10)
    file.give_up()
    assert file.done


def test_giving_up_closes_the_file(path: Path) -> None:
    path.write_bytes(b"one")
    before = len(list(Path("/proc/self/fd").iterdir()))
    file = FollowedFile(RUN, path)
    taken(file)
    file.give_up()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
