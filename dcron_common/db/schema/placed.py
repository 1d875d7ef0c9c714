"""Version 11: where a job was to stand, in each span of its history; null: it was not noted."""

from __future__ import annotations

from dcron_common.db.schema.step import Column, Step

STEP = Step(
    11,
    "a job's placement in its history",
    (),
    columns=(Column("job_revision", "placed_on", "VARCHAR(3) NULL"),),
)
