"""Tags of what may be changed, as ETag, and If-Match (RFC 9110, 8.8.3 and 13.1.1).

A job's is its revision. Those of workers, users and secrets say nothing to people: they change
with whatever people write of them, and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dcron_app.api.errors import Problem, outdated

TAGS = r'(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*'
_TAGS = re.compile(TAGS)
MATCH = {"If-Match": "do it only to what has this ETag, else 412"}


def etag(tag: str | int) -> dict[str, str]:
    """The header that goes with what is shown."""
    return {"ETag": f'"{tag}"'}


def wanted_tags(environ: dict[str, Any]) -> list[str] | None:
    """The tags of If-Match, without their quotes; None where any will do. A weak tag matches
    nothing, as the RFC says, so it is left out. Problem 400."""
    text = environ.get("HTTP_IF_MATCH", "*").strip()
    if text == "*":
        return None
    if _TAGS.fullmatch(text) is None:
        message = 'must be * or a tag in quotes as an ETag has it, such as "3"'
        raise Problem(400, f"If-Match {message}", errors=[("If-Match", message)])
    tags = (tag.strip() for tag in text.split(","))
    return [tag[1:-1] for tag in tags if tag.startswith('"')]


def check_match(tag: str | int, wanted: Sequence[str] | None, what: str = "it was changed") -> None:
    """Problem 412 if the client knows another state than the one of `tag`; `what` it is by now."""
    if wanted is not None and str(tag) not in wanted:
        raise outdated(str(tag), what)


def check_absent(environ: dict[str, Any], what: str) -> None:
    """Problem 412 for any If-Match, `*` too: it is asked of something that is not there."""
    if "HTTP_IF_MATCH" in environ:
        message = f"there is no {what}"
        raise Problem(412, message, errors=[("If-Match", message)])
