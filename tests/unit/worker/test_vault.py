"""What a worker opens: from the database, or from what it has kept while that is away."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from dcron_common.clock import Clock
from dcron_common.db.sealed import Sealed
from dcron_common.errors import DatabaseUnavailable
from dcron_common.run import TAIL_BYTES
from dcron_common.sealing.worker_key import WorkerKey, seal
from dcron_worker.runner.model import Ended
from dcron_worker.sealed_cache import SealedCache
from dcron_worker.vault import AGAIN, WITHHELD, Vault

KEY = WorkerKey.generate()


class Desk:
    """A vault on a database that the test writes, and takes away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: dict[str, Sealed] = {}
        self.away = False
        self.asked = 0
        self.now = 100.0
        self.restart()

    def restart(self) -> None:
        clock = Clock(wall=lambda: self.now, boot=lambda: self.now)
        self.vault = Vault("node1", KEY, SealedCache(self.folder), self._fetch, clock)

    def put(self, name: str, value: str) -> None:
        sealed = seal(KEY.public, "node1", name, value)
        self.rows[name] = Sealed("node1", name, "1", KEY.public, sealed)

    def _fetch(self, names: Sequence[str]) -> Mapping[str, Sealed]:
        self.asked += 1
        if self.away:
            raise DatabaseUnavailable("nobody answers")
        return {name: self.rows[name] for name in names if name in self.rows}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "sealed")
    made.put("A", "alpha-value")
    made.put("B", "beta-value")
    return made


def wrote(tail: str, size: int = 0) -> Ended:
    return Ended("R", "succeeded", 1.0, 2.0, 0, None, None, tail, "", size or len(tail), False)


def test_values_come_by_one_query(desk: Desk) -> None:
    assert desk.vault.values(["A", "B"]) == ({"A": "alpha-value", "B": "beta-value"}, {})
    assert desk.asked == 1


def test_what_is_not_sealed_is_named(desk: Desk) -> None:
    values, lacking = desk.vault.values(["A", "C"])
    assert list(values) == ["A"]
    assert lacking == {"C": "the secret C is not there yet, sealed for this worker"}


def test_with_the_database_away_what_was_kept_serves_and_the_rest_is_named(desk: Desk) -> None:
    desk.vault.values(["A"])
    desk.away = True
    desk.restart()
    values, lacking = desk.vault.values(["A", "B"])
    assert values == {"A": "alpha-value"}
    assert lacking == {"B": "the secret B cannot be fetched: the database does not answer"}


def test_a_database_that_is_away_is_not_asked_for_each_launch(desk: Desk) -> None:
    desk.vault.values(["A"])
    desk.away = True
    for _ in range(3):
        assert desk.vault.values(["A"])[0] == {"A": "alpha-value"}
    assert desk.asked == 2
    desk.now += AGAIN
    desk.away = False
    desk.put("A", "newer-value")
    assert desk.vault.values(["A"])[0] == {"A": "newer-value"}


def test_a_database_that_answers_is_right_about_what_is_gone(desk: Desk) -> None:
    desk.vault.values(["A"])
    del desk.rows["A"]
    assert "A" in desk.vault.values(["A"])[1]


def test_what_was_sealed_for_an_earlier_key_is_not_taken(desk: Desk) -> None:
    sealed = seal(WorkerKey.generate().public, "node1", "A", "alpha-value")
    desk.rows["A"] = Sealed("node1", "A", "1", "", sealed)
    values, lacking = desk.vault.values(["A"])
    assert not values and "another key" in lacking["A"]


def test_what_is_kept_is_sealed_and_private(desk: Desk) -> None:
    desk.vault.values(["A", "B"])
    files = sorted(desk.folder.iterdir())
    assert [file.name for file in files] == ["A", "B"]
    assert stat.S_IMODE(desk.folder.stat().st_mode) == 0o700
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert b"value" not in file.read_bytes()


def test_what_no_job_names_any_more_is_forgotten(desk: Desk) -> None:
    desk.vault.values(["A", "B"])
    desk.vault.retain({"B"})
    assert [file.name for file in desk.folder.iterdir()] == ["B"]
    assert desk.vault.hide(wrote("beta-value"), None).output_tail == "***"
    assert desk.vault.hide(wrote("alpha-value"), None).output_tail == "alpha-value"


def test_values_are_masked_in_what_a_run_wrote(desk: Desk) -> None:
    desk.vault.values(["A"])
    assert desk.vault.hide(wrote("it is alpha-value"), ["A"]).output_tail == "it is ***"
    assert desk.vault.hide(wrote("it is alpha-value"), []).output_tail == "it is alpha-value"


def test_the_value_that_a_run_began_with_is_masked_after_a_change(desk: Desk) -> None:
    desk.vault.values(["A"])
    desk.put("A", "newer-value")
    desk.vault.values(["A"])
    shown = desk.vault.hide(wrote("alpha-value newer-value"), ["A"]).output_tail
    assert shown == "*** ***"


def test_after_a_restart_what_was_kept_tells_what_to_mask(desk: Desk) -> None:
    desk.vault.values(["A"])
    desk.restart()
    desk.away = True
    assert desk.vault.hide(wrote("it is alpha-value"), ["A"]).output_tail == "it is ***"
    assert desk.vault.hide(wrote("it is alpha-value"), None).output_tail == "it is ***"


def test_output_is_withheld_where_its_secrets_are_not_known(desk: Desk) -> None:
    assert desk.vault.hide(wrote("it is alpha-value"), ["A"]).output_tail == WITHHELD
    assert desk.vault.hide(wrote(""), ["A"]).output_tail == ""


def test_the_end_of_a_value_at_the_beginning_of_a_tail_is_masked(desk: Desk) -> None:
    desk.vault.values(["A"])
    ended = wrote("pha-value\nmore", TAIL_BYTES + 1)
    assert desk.vault.hide(ended, ["A"]).output_tail == "***\nmore"
