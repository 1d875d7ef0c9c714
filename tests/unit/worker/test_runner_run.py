"""When a run is ended by force, to the second: by its timeout, its lease, and both (P4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dcron_common import timing
from dcron_worker.runner.model import Launch, Started
from dcron_worker.runner.procfs import Process
from dcron_worker.runner.run import Exit, Run

LEASE_FAR = 1000.0


@dataclass
class Tree:
    """Processes that do not listen to TERM; `killed` are the times of KILL, by `now`. `unseen`: how
    many looks find nobody."""

    now: float = 0.0
    unseen: int = 0
    asked: list[float] = field(default_factory=list)
    killed: list[float] = field(default_factory=list)

    def members(self) -> list[Process]:
        self.unseen -= 1
        return [] if self.killed or self.unseen >= 0 else [Process(1, 1, 1, 1, "S", 1)]

    def terminate(self) -> None:
        self.asked.append(self.now)

    def kill(self) -> int:
        members = self.members()
        self.killed.append(self.now)
        return len(members)


@dataclass
class Guarded:
    """A run that began at 0, and whose lease passes at `lease`."""

    run: Run
    tree: Tree
    lease: float = LEASE_FAR

    def until(self, end: float) -> None:
        """The launcher looks four times a second."""
        while self.tree.now < end:
            self.tree.now = min(end, self.tree.now + 0.25)
            self.run.guard(self.tree.now, self.lease)

    def exits(self, at: float, code: int | None = None, signal: int | None = None) -> None:
        self.until(at)
        self.run.exited(Exit(code, signal), at)


def guarded(folder: Path, timeout: float = 60.0, grace: float = 10.0, **changes: Any) -> Guarded:
    tree = Tree()
    launch = Launch(
        "run", 1, "0", 1, 1, ("true",), {}, None, None, timeout, grace, **changes
    )  # fmt: skip
    (folder / "output").touch()
    run = Run(
        launch, Started("run", 1, 0.0), 0.0, tree, None, folder / "output",
        vacant=lambda run: not run.tree.members(),
    )  # fmt: skip
    return Guarded(run, tree)


def test_a_run_over_its_timeout_has_its_grace_after_its_main_process_too(tmp_path: Path) -> None:
    found = guarded(tmp_path)
    found.exits(60.25, signal=15)
    found.until(69.75)
    assert (found.tree.asked, found.tree.killed) == ([60.0], [])
    found.until(70.0)
    assert found.tree.killed == [70.0]


@pytest.mark.parametrize("passes", [60.25, 60.5, 68.0])
def test_p4_what_a_run_left_behind_is_killed_within_k_of_the_lease(
    tmp_path: Path, passes: float
) -> None:
    """The main process went by the timeout; the rest had ten seconds, until the lease passed."""
    found = guarded(tmp_path)
    found.lease = passes
    found.exits(60.25, signal=15)
    found.until(80.0)
    assert found.tree.killed[0] == passes + 1.0 <= passes + timing.KILL
    ended = found.run.result(80.0)
    assert (ended.state, ended.reason) == ("timed_out", "timeout of 60 s")


def test_p4_a_run_that_is_not_leased_keeps_its_grace(tmp_path: Path) -> None:
    found = guarded(tmp_path, leased=False)
    found.lease = 60.5
    found.exits(60.25, signal=15)
    found.until(80.0)
    assert found.tree.killed[0] == 70.0


def test_p4_a_lease_that_passes_after_a_good_end_leaves_the_result(tmp_path: Path) -> None:
    found = guarded(tmp_path)
    found.lease = 10.25
    found.exits(10.0, code=0)
    found.until(12.0)
    assert found.tree.killed[0] == 11.0
    ended = found.run.result(12.0)
    assert (ended.state, ended.exit_code) == ("succeeded", 0)
    assert ended.reason == "1 processes left behind had to be killed"


def test_p4_what_is_left_is_not_asked_again_at_each_look(tmp_path: Path) -> None:
    found = guarded(tmp_path)
    found.lease = 60.5
    found.exits(60.25, signal=15)
    found.until(61.25)
    assert (found.tree.asked, found.tree.killed) == ([60.0], [])


def test_what_a_look_did_not_see_at_first_is_ended_all_the_same(tmp_path: Path) -> None:
    found = guarded(tmp_path)
    found.tree.unseen = 1
    found.exits(10.0, code=0)
    assert not found.run.over()
    found.until(12.0)
    assert (found.tree.asked, found.tree.killed[0]) == ([10.25], 11.25)


def test_what_is_left_and_writes_too_much_is_killed_at_once(tmp_path: Path) -> None:
    found = guarded(tmp_path, output_bytes=5)
    found.exits(60.25, signal=15)
    (tmp_path / "output").write_text("too much")
    found.until(60.5)
    assert found.tree.killed == [60.5]
