"""Idempotency-Key: a POST that may be repeated (draft-ietf-httpapi-idempotency-key-header).

The first request with a key makes the job; the same request again is answered with that job, as it
is by then, and `Idempotent-Replayed: true`. A request that failed made nothing, so its key is free.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from dcron_app.api.errors import RETRY_AFTER, Problem, invalid
from dcron_common.db import idempotency
from dcron_common.db.connection import Database
from dcron_common.db.idempotency import Claim, Outcome
from dcron_common.errors import DatabaseError

REPLAYED = {"Idempotent-Replayed": "true"}
QUOTED, BARE = r'"([\x20\x21\x23-\x5b\x5d-\x7e]{1,255})"', r"([\x21\x23-\x5b\x5d-\x7e]{1,255})"
_KEY = re.compile(f"{QUOTED}|{BARE}")


def claim_of(
    environ: dict[str, Any], user: str, body: dict[str, Any], incarnation: str
) -> Claim | None:
    """What the request's key claims; None without a key. Problem 400."""
    text = environ.get("HTTP_IDEMPOTENCY_KEY")
    if text is None:
        return None
    match = _KEY.fullmatch(text.strip())
    if match is None:
        message = "must be 1 to 255 printable characters in quotes, best a UUID"
        raise Problem(400, f"Idempotency-Key {message}", errors=[("Idempotency-Key", message)])
    whole = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return Claim(user, match[1] or match[2], hashlib.sha256(whole).hexdigest(), incarnation)


def job_made_before(database: Database, claim: Claim | None, now: float) -> int | None:
    """The job that this request has made before; None: it is to be made. Problem 409 or 422."""
    if claim is None:
        return None
    outcome, job_id = idempotency.claim(database, claim, now)
    if outcome is Outcome.ANOTHER:
        message = "came with another body before; take a new key for a new job"
        raise invalid(("Idempotency-Key", message))
    if outcome is Outcome.IN_HAND:
        message = "the first request with it is still being served; ask again"
        raise Problem(
            409,
            f"Idempotency-Key: {message}",
            errors=[("Idempotency-Key", message)],
            headers={"Retry-After": RETRY_AFTER},
        )
    return job_id


@contextlib.contextmanager
def released_on_error(database: Database, claim: Claim | None) -> Iterator[None]:
    """Frees the key where no job is made."""
    try:
        yield
    except BaseException:
        if claim is not None:
            with contextlib.suppress(DatabaseError):  # it is let go in time, too
                idempotency.release(database, claim)
        raise
