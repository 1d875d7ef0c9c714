"""PUT takes back what GET gave: what becomes of keys that only an answer has. Pure.

Those that move by themselves (`status`, `worker`, `updated_at`, `next_run_at`, `last_run`) say
nothing of what is wanted, and are passed over. The others name the very job and file that the
client has seen: they may be left out, but must not be wrong.
"""

from __future__ import annotations

from typing import Any

from dcron_app.api.errors import Problem, invalid
from dcron_app.api.etag import etag
from dcron_app.api.fields import READ_ONLY
from dcron_app.api.serialize import instant
from dcron_common.db.jobs import JobRow, NewJob


def without_read_only(row: JobRow, body: dict[str, Any]) -> dict[str, Any]:
    """What the body asks for. Problem 422 where it is another job's."""
    is_this = {"id": str(row.id), "created_at": instant(row.created_at)}
    errors = [
        (name, f"is read-only, and is {value} of this job: leave it out, or give it as GET does")
        for name, value in is_this.items()
        if name in body and body[name] != value
    ]
    if type(body.get("revision", row.revision)) is not int:  # true is no 1
        errors.append(("revision", "must be a whole number, without quotes; or leave it out"))
    if errors:
        raise invalid(*errors)
    return {name: value for name, value in body.items() if name not in READ_ONLY}


def check_digest(row: JobRow, body: dict[str, Any], new: NewJob) -> None:
    """`sha256` may be that of the file before, or of the one that comes. Problem 422."""
    if body.get("sha256") not in (None, row.sha256, new.spec.sha256):
        raise invalid(("sha256", "is not the SHA-256 of this job's file; leave it out"))


def check_revision(row: JobRow, body: dict[str, Any]) -> None:
    """Problem 409 where the client has seen another revision, and would undo what came after."""
    if body.get("revision", row.revision) == row.revision:
        return
    message = (
        f"is not {row.revision}, the job's revision by now: read it again and decide again, or "
        "leave it out to replace the job whatever it is"
    )
    headers = etag(row.revision)
    raise Problem(409, f"revision {message}", errors=[("revision", message)], headers=headers)
