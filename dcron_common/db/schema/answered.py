"""Version 9: what a POST under a key was answered with, where that was no job.

A release that does not know the column settles keys of jobs as before, and takes others for keys
that came with another body: the digest holds the path by now.
"""

from __future__ import annotations

from dcron_common.db.schema.step import Column, Step

STEP = Step(
    9,
    "answers under keys of repeated requests",
    (),
    columns=(Column("idempotency", "answer", "{text} NULL"),),
)
