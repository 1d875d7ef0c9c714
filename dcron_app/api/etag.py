"""A job's revision as its ETag, and If-Match (RFC 9110, 8.8.3 and 13.1.1)."""

from __future__ import annotations

import re
from typing import Any

from dcron_app.api.errors import Problem
from dcron_common.db.jobs import JobRow

TAGS = r'(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*'
_TAGS = re.compile(TAGS)


def etag(row: JobRow) -> dict[str, str]:
    """The header that goes with a job."""
    return {"ETag": f'"{row.revision}"'}


def wanted_revisions(environ: dict[str, Any]) -> list[str] | None:
    """The tags of If-Match; None where any revision will do. Problem 400."""
    text = environ.get("HTTP_IF_MATCH", "*").strip()
    if text == "*":
        return None
    if _TAGS.fullmatch(text) is None:
        message = 'must be * or a revision in quotes, such as "3"'
        raise Problem(400, f"If-Match {message}", errors=[("If-Match", message)])
    return [tag.strip() for tag in text.split(",")]


def check_match(row: JobRow, wanted: list[str] | None) -> None:
    """Problem 412 if the job is at another revision than the client knows. A weak tag matches
    nothing, as the RFC says."""
    if wanted is not None and f'"{row.revision}"' not in wanted:
        message = f"the job is at revision {row.revision} by now: read it again and decide again"
        raise Problem(412, message, errors=[("If-Match", message)], headers=etag(row))
