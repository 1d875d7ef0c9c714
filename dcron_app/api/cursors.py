"""Cursors of lists: where the next page begins. Opaque to clients, who take them from `Link`.

A cursor is BASE64 of a JSON array `[sort, value, id]`. It holds nothing that a client may not see,
so it needs no signature, but it is read as strictly as anything that comes from outside.
"""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from urllib.parse import urlencode

from dcron_common.db.job_lists import Place, Sort

MAX_LENGTH = 1024
_MAX_VALUE = 128  # characters: the longest name
_NOT_OURS = "is no place in a list; take it as it is from the Link header of the page before"


def encode(sort: Sort, place: Place) -> str:
    """The cursor for what comes behind `place`."""
    text = json.dumps([str(sort), place.value, place.id], separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(text: str, sort: Sort) -> Place:
    """The place that a cursor of ours names; ValueError with the remedy."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        values = json.loads(urlsafe_b64decode(padded))
        found, value, job_id = values
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise ValueError(_NOT_OURS) from error
    if found != str(sort):
        if isinstance(found, str) and found.isprintable() and len(found) < _MAX_VALUE:
            raise ValueError(
                f"is a place in a list sorted by {found}: ask for sort={found}, or leave it out to "
                "begin anew"
            )
        raise ValueError(_NOT_OURS)
    place = Place(value, job_id) if _is_place(sort, value, job_id) else None
    if place is None or encode(sort, place) != text:
        raise ValueError(_NOT_OURS)
    return place


def _is_place(sort: Sort, value: object, job_id: object) -> bool:
    if type(job_id) is not int or not 0 < job_id < 2**63:
        return False
    if sort.column == "updated_at":
        return type(value) is float and 0 <= value < 1e12
    if value is None:
        return sort.column in ("id", "name")
    if sort.column == "id" or not isinstance(value, str) or len(value) > _MAX_VALUE:
        return False
    return value.isprintable()  # half a character is not, and no name is so


def link(path: str, query: Iterable[tuple[str, str]], cursor: str) -> dict[str, str]:
    """The header that leads to the next page: the same question, from `cursor` on."""
    kept = [(key, value) for key, value in query if key != "after"]
    return {"Link": f'<{path}?{urlencode([*kept, ("after", cursor)])}>; rel="next"'}
