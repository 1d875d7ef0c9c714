"""Who did what: rows that are only ever added, in the transaction of the change itself.

Nothing here changes or removes one, and in the cluster the account of API and manager could not
(roles/mysql), so a row is small whatever a user writes: of a change it has the fields that changed,
and of a long value its beginning, length and digest. No row holds a password or a token.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcron_common.auditing import Action, ObjectType
from dcron_common.db.connection import Database
from dcron_common.db.models import Audit

LONGEST = 2048  # bytes of a value that is kept whole
_BEGINS = 256  # characters that are kept of a longer one


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`at`: epoch seconds. `before`, `after`: what changed, or all of what was made or removed; a
    long value as `in_short` has it."""

    id: int
    at: float
    user: str
    action: str
    object_type: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def page(
    database: Database,
    limit: int,
    exact: Mapping[str, str],
    *,
    before: int | None = None,
    since: float | None = None,
    until: float | None = None,
) -> list[AuditRow]:
    """The newest rows first: at most `limit`, of ids below `before`, of since <= at < until, whose
    columns have the values of `exact`."""
    query: Any = Audit.select().order_by(Audit.id.desc()).limit(limit)
    for name, value in exact.items():
        query = query.where(getattr(Audit, name) == value)
    if before is not None:
        query = query.where(Audit.id < before)
    if since is not None:
        query = query.where(Audit.at >= since)
    if until is not None:
        query = query.where(Audit.at < until)
    return [_row(*values) for values in database.read(lambda: list(query.clone().tuples()))]


def _row(
    number: int,
    at: float,
    user: str,
    action: str,
    kind: str,
    name: str,
    before: str | None,
    after: str | None,
) -> AuditRow:
    then = None if before is None else json.loads(before)
    return AuditRow(
        number, at, user, action, kind, name, then, None if after is None else json.loads(after)
    )


def note(
    database: Database, at: float, user: str, action: Action, job_id: int, after: dict[str, Any]
) -> None:
    """Write what somebody asks for that changes no row, in a transaction of its own. It may be
    written twice where the connection is lost in the commit."""
    database.transaction(
        lambda: add(at, user, action, "job", str(job_id), after=after), idempotent=True
    )


def add(
    at: float,
    user: str,
    action: Action,
    object_type: ObjectType,
    object_id: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write a row; to be called inside a transaction. Of fields that are in both `before` and
    `after` those are kept that differ."""
    if before is not None and after is not None:
        same = {name for name in before.keys() & after.keys() if before[name] == after[name]}
        before, after = (
            {name: one[name] for name in one if name not in same} for one in (before, after)
        )
    Audit.insert(
        at=at,
        user=user,
        action=action,
        object_type=object_type,
        object_id=object_id,
        before=None if before is None else _kept(before),
        after=None if after is None else _kept(after),
    ).execute()


def digested(value: Any) -> dict[str, Any]:
    """`bytes` and `sha256` (hexadecimal) of a text in UTF-8, or of anything else as compact JSON:
    enough to prove what it was to who has it."""
    data = _text(value).encode()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def in_short(value: Any) -> Any:
    """The value; of one that is longer than LONGEST what it `begins` with, `bytes`, `sha256`."""
    digest = digested(value)
    return value if digest["bytes"] <= LONGEST else {"begins": _text(value)[:_BEGINS], **digest}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _kept(fields: Mapping[str, Any]) -> str:
    return json.dumps({name: in_short(one) for name, one in fields.items()}, ensure_ascii=False)
