"""Names that sort by time and cannot be guessed twice: ULIDs."""

from __future__ import annotations

import secrets

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as the ULID spec says
_LENGTH, _TIME = 26, 10  # characters; the first ten are the time


def ulid(now: float) -> str:
    """26 characters: 48 bits of milliseconds of `now` (epoch seconds), 80 random bits."""
    number = (int(now * 1000) << 80) | secrets.randbits(80)
    return "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -5, -5))


def ulid_time(text: str) -> float:
    """The epoch seconds in a ULID; ValueError if it is none."""
    if len(text) != _LENGTH:
        raise ValueError(f"{text!r} is no ULID")
    number = 0
    for character in text[:_TIME]:
        number = number << 5 | _ALPHABET.index(character)
    return number / 1000
