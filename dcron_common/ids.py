"""Names that sort by time and cannot be guessed twice: ULIDs."""

from __future__ import annotations

import hashlib
import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as the ULID spec says
_LENGTH, _TIME = 26, 10  # characters; the first ten are the time
_RANDOM = 80  # bits after those of the time


def ulid(now: float) -> str:
    """26 characters: 48 bits of milliseconds of `now` (epoch seconds), 80 random bits."""
    return _written((int(now * 1000) << _RANDOM) | secrets.randbits(_RANDOM))


def derived(of: str, minute: int) -> str:
    """A ULID for what the run `of` (a ULID) did about `minute` (epoch seconds): of the same
    time, and the same from whoever derives it."""
    bits = hashlib.sha256(f"{of} {minute}".encode()).digest()[: _RANDOM // 8]
    return of[:_TIME] + _written(int.from_bytes(bits))[_TIME:]


def ulid_time(text: str) -> float:
    """The epoch seconds in a ULID; ValueError if it is none."""
    if len(text) != _LENGTH:
        raise ValueError(f"{text!r} is no ULID")
    number = 0
    for character in text[:_TIME]:
        number = number << 5 | _ALPHABET.index(character)
    return number / 1000


def _written(number: int) -> str:
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))
