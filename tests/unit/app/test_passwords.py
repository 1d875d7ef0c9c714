import threading

import pytest
from argon2 import PasswordHasher

from dcron_app import passwords
from dcron_app.passwords import MAX_BYTES, Busy, Passwords
from tests.unit.app.api_client import QUICK

GOOD = "correct horse battery"


def test_a_hash_is_argon2id_and_each_time_another() -> None:
    maker = Passwords()
    first = maker.hash(GOOD)
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert first != maker.hash(GOOD)
    assert len(first) <= 255  # the column


def test_only_the_password_matches_its_hash() -> None:
    maker = Passwords(QUICK)
    stored = maker.hash(GOOD)
    assert maker.matches(stored, GOOD)
    assert not maker.matches(stored, GOOD + " ")
    assert not maker.matches("no hash", GOOD)


class Counting(PasswordHasher):
    """Notes against what it checks."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.checked: list[str | bytes] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002
        self.checked.append(hash)
        return super().verify(hash, password)


def test_for_nobody_a_hash_is_computed_too() -> None:
    hasher = Counting()
    assert not Passwords(hasher).matches(None, GOOD)
    assert len(hasher.checked) == 1


def test_nobodys_own_password_opens_nothing() -> None:
    assert not Passwords(QUICK).matches(None, "nobody's password")


def test_a_hash_by_other_parameters_is_outdated() -> None:
    stored = Passwords(QUICK).hash(GOOD)
    assert not Passwords(QUICK).outdated(stored)
    assert Passwords().outdated(stored)
    assert Passwords().matches(stored, GOOD)


def test_no_more_than_the_places_are_in_use_at_a_time() -> None:
    inside, go_on = threading.Event(), threading.Event()

    class Slow(Counting):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            inside.set()
            assert go_on.wait(60)
            return super().hash(password, salt=salt)

    maker = Passwords(Slow(), places=1, patience=0.01)
    thread = threading.Thread(target=maker.hash, args=(GOOD,))
    thread.start()
    assert inside.wait(60)
    with pytest.raises(Busy):
        maker.matches("x", GOOD)
    go_on.set()
    thread.join(60)
    assert maker.matches(maker.hash(GOOD), GOOD)


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("eleven char", "too short"),
        ("x" * (MAX_BYTES + 1), "too long"),
        ("ä" * (MAX_BYTES // 2 + 1), "too long"),
        ("with a\nnewline in it", "control character"),
        ("half a character \ud800", "lone surrogate"),
    ],
)
def test_a_password_that_is_refused_is_not_told(password: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        passwords.acceptable(password)
    assert password not in str(refused.value)


def test_nothing_that_is_too_long_is_hashed() -> None:
    hasher = Counting()
    maker = Passwords(hasher)
    with pytest.raises(ValueError, match="too long"):
        maker.matches(None, "x" * (MAX_BYTES + 1))
    assert hasher.checked == []
