"""The worker's unit: what has to be there before it fires."""

from __future__ import annotations

from pathlib import Path

UNIT = Path(__file__).parents[3] / "roles/dcron_worker/templates/dcron-worker.service.j2"


def listed(key: str) -> set[str]:
    lines = UNIT.read_text().splitlines()
    (found,) = [line for line in lines if line.startswith(f"{key}=")]
    return set(found.partition("=")[2].split())


def test_the_worker_starts_after_the_clock_was_set() -> None:
    assert "time-sync.target" in listed("After") & listed("Wants")


def test_the_worker_does_not_depend_on_a_time_source() -> None:
    assert "time-sync.target" not in listed("Requires")
