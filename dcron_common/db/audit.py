"""Who did what: rows that are only ever added, in the transaction of the change itself."""

from __future__ import annotations

import json
from typing import Any

from dcron_common.db.models import Audit


def add(
    at: float,
    user: str,
    action: str,
    object_type: str,
    object_id: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write a row; to be called inside a transaction."""
    Audit.insert(
        at=at,
        user=user,
        action=action,
        object_type=object_type,
        object_id=object_id,
        before=None if before is None else json.dumps(before, ensure_ascii=False),
        after=None if after is None else json.dumps(after, ensure_ascii=False),
    ).execute()
