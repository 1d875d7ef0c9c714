"""What shall be sealed for whom."""

from __future__ import annotations

from dcron_app.manager.sealing import wanted_seals
from dcron_common.db.sealed import Seal

KEYS = {"a": "key-of-a", "b": "key-of-b", "old": ""}
VERSIONS = {"KEY": "1", "OTHER": "2"}


def test_each_worker_gets_what_it_needs_for_its_own_key() -> None:
    needs = {("a", "KEY"), ("b", "KEY"), ("b", "OTHER")}
    assert wanted_seals(needs, VERSIONS, KEYS, {}) == {
        ("a", "KEY"): Seal("1", "key-of-a"),
        ("b", "KEY"): Seal("1", "key-of-b"),
        ("b", "OTHER"): Seal("2", "key-of-b"),
    }


def test_a_worker_without_a_key_gets_nothing() -> None:
    assert wanted_seals({("old", "KEY")}, VERSIONS, KEYS, {}) == {}


def test_a_worker_that_is_away_has_the_key_that_it_had() -> None:
    there = {("away", "KEY"): Seal("0", "key-of-away")}
    assert wanted_seals({("away", "KEY")}, VERSIONS, KEYS, there) == {
        ("away", "KEY"): Seal("1", "key-of-away")
    }
    assert wanted_seals({("away", "OTHER")}, VERSIONS, KEYS, there) == {}


def test_a_secret_that_is_not_there_is_not_wanted() -> None:
    assert wanted_seals({("a", "GONE")}, VERSIONS, KEYS, {}) == {}
