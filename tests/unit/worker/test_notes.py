"""What was decided without a claim stays on disk until it is recorded."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dcron_common.run import RunRecord, RunState, Trigger
from dcron_worker.notes import Notes
from dcron_worker.runner import lines


def row(run_id: str, state: RunState = RunState.SKIPPED) -> RunRecord:
    return RunRecord(run_id, 1, 60, 1, Trigger.CRON, state, node="a", reason="été", isolated=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unclaimed"


def test_the_next_life_reads_what_was_noted_and_is_told_once(path: Path) -> None:
    Notes(path).put([row("a"), row("b", RunState.RUNNING)])
    notes = Notes(path)
    assert notes.left() == [row("a"), row("b", RunState.RUNNING)]
    assert notes.left() == []


def test_what_is_noted_again_replaces_what_was_noted(path: Path) -> None:
    Notes(path).put([row("a", RunState.RUNNING), row("b")])
    Notes(path).put([row("a", RunState.KILLED)])
    found = {one.run_id: one.state for one in Notes(path).left()}
    assert found == {"a": RunState.KILLED, "b": RunState.SKIPPED}


def test_what_was_dropped_is_not_left_and_nothing_leaves_an_empty_file(path: Path) -> None:
    notes = Notes(path)
    notes.put([row("a"), row("b")])
    notes.drop(["a", "of another"])
    assert [one.run_id for one in Notes(path).left()] == ["b"]
    notes.drop(["b"])
    assert path.stat().st_size == 0


def test_a_later_life_drops_what_an_earlier_one_noted(path: Path) -> None:
    Notes(path).put([row("a")])
    Notes(path).drop(["a"])
    assert Notes(path).left() == []


def test_notes_that_find_no_room_are_not_there_in_part(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes(path)
    notes.put([row("a")])

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) * 2 // 3])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(lines, "write_all", full)
        notes.put([row("b"), row("c"), row("d")])
    notes.put([row("e")])
    assert [one.run_id for one in Notes(path).left()] == ["a", "e"]


def test_a_line_that_cannot_be_read_hides_no_other(path: Path) -> None:
    Notes(path).put([row("a")])
    with path.open("ab") as file:
        file.write(b'\n{"row":{"run_id":"torn","tri')
        file.write(lines.encode({"row": {"run_id": "odd", "trigger": "x", "state": "skipped"}}))
    Notes(path).put([replace(row("b"), reason=None)])
    assert [one.run_id for one in Notes(path).left()] == ["a", "b"]


def test_only_the_worker_reads_its_notes(path: Path) -> None:
    Notes(path)
    assert path.stat().st_mode & 0o777 == 0o600
