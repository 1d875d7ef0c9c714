"""Version 8: which removed jobs may still have a due minute without a row."""

from __future__ import annotations

from dcron_common.db.schema.step import Column, Step

_STATEMENTS = ("CREATE INDEX IF NOT EXISTS `job_unsettled` ON `job` (`unsettled`)",)

STEP = Step(
    8,
    "removed jobs with minutes to be told of",
    _STATEMENTS,
    columns=(Column("job", "unsettled", "BOOLEAN NULL"),),
)
