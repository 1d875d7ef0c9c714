"""What people have written of a row, as a tag; and writes that hold only while it is that.

A tag is a hash of columns, not a counter: it tells a change by a release that knows no tags, too.
(Only passwords are counted: their column moves by itself.)
Columns that move by themselves are in none, so that nothing but people makes a tag outdated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from dcron_common.errors import Outdated


def tag_of(row: Any, columns: Sequence[str]) -> str:
    """The tag of a row, which is a model: 32 hexadecimal digits."""
    values = json.dumps([getattr(row, name) for name in columns])
    return hashlib.sha256(values.encode()).hexdigest()[:32]


def while_known(row: Any, columns: Sequence[str], known: Sequence[str] | None) -> list[Any]:
    """Conditions of the statement that is to change a row which was read in the same transaction:
    that it still is as it was read. None of them where `known` is None. Outdated unless its tag is
    one of `known`."""
    if known is None:
        return []
    tag = tag_of(row, columns)
    if tag not in known:
        raise Outdated(tag)
    return [getattr(type(row), name) == getattr(row, name) for name in columns]


def require(changed: int) -> None:
    """Outdated where a statement under such conditions found no row."""
    if not changed:
        raise Outdated
