"""Values of secrets in what a job wrote: `***` stands for them in the tail that its row keeps.

A safety net, not a wall: a job that writes its secret in another form (BASE64, in pieces) is not
noticed, and the whole output, where it is stored, is as the job wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable

MASK = "***"
_LINE = 8  # characters of a line of a value that spans lines, from which on it counts by itself
_LEAST = 4  # characters of a value's end that are noticed where the tail begins in the middle of it
_LOOKS = 64  # places of a value at which that may be, so that no value costs more than a moment


def mask(tail: str, values: Iterable[str], *, cut: bool, most: int) -> str:
    """The tail without these values. `cut`: more was written before it; `most`: characters."""
    for text in sorted(_texts(values), key=len, reverse=True):
        if text in tail:
            tail = tail.replace(text, MASK)
        elif cut:
            tail = _without_end(tail, text)
    return tail[-most:]


def _texts(values: Iterable[str]) -> set[str]:
    """The values, as output shows them, and the long lines of those that span lines."""
    found: set[str] = set()
    for value in values:
        found |= {value, value.strip()}
        if "\n" in value:
            found |= {line.strip() for line in value.splitlines() if len(line.strip()) >= _LINE}
    return found - {""}


def _without_end(tail: str, text: str) -> str:
    """The tail, should it begin with the end of a value."""
    head = tail[:_LEAST]
    at = 0
    for _ in range(_LOOKS):
        at = text.find(head, at) if len(head) == _LEAST else -1
        if at < 0:
            return tail
        if tail.startswith(text[at:]):
            return MASK + tail[len(text) - at :]
        at += 1
    return tail
