"""What may reach a terminal. Names, labels and outputs are what somebody else wrote: a control
character in them could move the cursor, paint over lines or type for the user. None is passed on;
each shows as Python writes it, `\\x1b`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

# Not printable, by Unicode's word: controls (C0, C1), separators but the blank, and the invisible
# marks that turn the direction of what follows.
_LINES = "\n\t"


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible(text: str, keep: str = "") -> str:
    """`text` with all that cannot be printed made visible, but for the characters in `keep`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escaped(char) for char in text)


def visible_output(pieces: Iterable[bytes]) -> Iterator[str]:
    """A run's output, piece by piece: lines and tabs stay, all else is printable or visible.

    Bytes that are no UTF-8 show as `\\xff`; a character may be spread over two pieces.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for piece in pieces:
        yield visible(decoder.decode(piece), _LINES)
    yield visible(decoder.decode(b"", True), _LINES)


def json_text(value: Any) -> str:
    """One JSON document that means `value` and holds no control character but its own newlines."""
    return unicode_escaped(json.dumps(value, indent=2, ensure_ascii=False))


def unicode_escaped(text: str) -> str:
    """The same JSON or YAML text, where what cannot be printed stands as `\\u…`, which both read
    within double quotes. Surrogate pairs, since JSON knows no longer form."""
    return re.sub(r"[^\n]", lambda found: _unicode(found[0]), text)


def _unicode(char: str) -> str:
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
