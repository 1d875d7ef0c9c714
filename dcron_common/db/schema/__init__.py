"""The schema, a module for each step. Never change a step that was released."""

from __future__ import annotations

from dcron_common.db.schema import (
    accounts,
    answered,
    counter,
    first,
    followed,
    job_lists,
    logins,
    passwords,
    placed,
    retention,
    secret,
    unsettled,
)

STEPS = (
    *(first.STEP, counter.STEP, logins.STEP, job_lists.STEP),
    *(followed.STEP, secret.STEP, retention.STEP, unsettled.STEP),
    *(answered.STEP, accounts.STEP, placed.STEP, passwords.STEP),
)
