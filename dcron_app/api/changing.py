"""How a job is changed, whatever asks for it: checked, written, announced, fenced (P15).

The answer comes after the fences, so that no connected worker starts the job as it was. Asked
again, nothing is written but the fences. A dry run stops before the first write.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dcron_app.api.announce import announce, write_fences
from dcron_app.api.errors import Problem, unavailable
from dcron_app.api.etag import check_match
from dcron_app.api.found import changeable_job, check_may_change, job_row
from dcron_app.api.ownership import check_owner
from dcron_app.api.replacing import check_digest, check_revision, without_read_only
from dcron_app.api.services import Services
from dcron_app.api.validation import Accepted, check_change
from dcron_common.db import editing, jobs, planning, secrets
from dcron_common.db.jobs import JobRow
from dcron_common.db.users import Principal
from dcron_common.errors import CoordinatorError

log = logging.getLogger(__name__)

_TRIES = 5  # of a change that others get in before


@dataclass(frozen=True, slots=True)
class Change:
    """What a user asks for. `whole`: the body is all of the job (PUT), else what differs.
    `revisions`: the ETags that the client knows, None: any. `dry`: only say what would be.
    `labels`: only while the job has all of these, by which it was found."""

    user: Principal
    body: dict[str, Any]
    whole: bool = False
    revisions: list[str] | None = None
    dry: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changed:
    """The job as it is then, and as it was."""

    row: JobRow
    before: JobRow

    @property
    def anything(self) -> bool:
        return self.row.revision != self.before.revision


class Changing:
    """Changes and removes jobs; one object for all requests."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def change(self, job_id: str, change: Change) -> Changed:
        """Problem where it cannot be done, or not be told to workers.

        What is written is conditional on the revision that was read, and that the rights were
        looked at for: whoever gets in between has all of it decided again.
        """
        for _ in range(_TRIES):
            before = changeable_job(self._services, job_id, change.user)
            _check_labels(before, change.labels)
            row = self._revised(before, change)
            if row is None:
                continue  # somebody else has changed it meanwhile
            if not change.dry:
                announce(self._services.coordinator, row.id, row.revision)
                self._fence(row, "changed")
            return Changed(row, before)
        raise unavailable("others change this job all the time; ask again")

    def _revised(self, row: JobRow, change: Change) -> JobRow | None:
        services = self._services
        accepted = self._accepted(row, change)
        if not editing.differs(row, accepted.job):
            return row  # whatever revision the client knows: it has what it wants (RFC 9110)
        _check_match(row, change.revisions)
        if change.whole:
            check_revision(row, change.body)
        if change.dry:
            return planning.changed(services.database, row, accepted.job, services.clock.wall())
        if accepted.file is not None:
            services.object_store.put(accepted.job.spec.executable, accepted.file)
        # Not the time of the check: the file may have taken its time, and the first minute of
        # the revision is after the commit.
        now, name = services.clock.wall(), change.user.name
        made = editing.update_job(services.database, row, accepted.job, now, name)
        if made is not None:
            log.info("job changed job=%d revision=%d user=%s", made.id, made.revision, name)
        return made

    def _accepted(self, row: JobRow, change: Change) -> Accepted:
        services = self._services
        address = "" if row.sha256 is None else services.object_store.url(row.executable)
        now, settings = services.clock.wall(), services.settings
        whole = change.whole
        body = without_read_only(row, change.body) if whole else change.body
        known = partial(secrets.get_secrets, services.database)
        accepted = check_change(row, body, change.user, settings, now, address, known, whole=whole)
        check_owner(services.database, accepted.job.owner, str(row.owner), change.user)
        if whole:
            check_digest(row, change.body, accepted.job)
        return accepted

    def remove(
        self, job_id: str, user: Principal, revisions: list[str] | None, *, dry: bool = False
    ) -> Changed:
        """Take a job out of the schedule; again: the same. `dry`: only say what would be.

        The database first: if the fences cannot be written the answer is 503, the leader will
        still remove the job, and the client may ask again. Problem.
        """
        services = self._services
        for _ in range(_TRIES):
            before = job_row(services, job_id)
            check_may_change(before, user)
            if before.removed_at is None:
                _check_match(before, revisions)
            now, known = services.clock.wall(), before.revision  # whose job it is may change
            if dry:
                return Changed(planning.removed(before, now), before)
            row, changed = jobs.remove_job(
                services.database, before.id, now, user.name, revision=known
            )
            if changed:
                log.info("job removed job=%d user=%s", row.id, user.name)
            if row.removed_at is not None:
                announce(services.coordinator, row.id, row.revision)
                self._fence(row, "removed")
                return Changed(row, before)
        raise unavailable("others change this job all the time; ask again")

    def _fence(self, row: JobRow, what: str) -> None:
        """Make the job's fences say what its row does; Problem 503 names what was done to it."""
        try:
            write_fences(self._services.coordinator, row)
        except CoordinatorError as error:
            log.warning("a job that was %s is not fenced job=%d: %r", what, row.id, error)
            raise unavailable(
                f"it is stored that the job is {what}, but workers may not know it yet: "
                "the coordination service does not answer; ask again"
            ) from error


def _check_match(row: JobRow, revisions: list[str] | None) -> None:
    check_match(row.revision, revisions, f"the job is at revision {row.revision}")


def _check_labels(row: JobRow, labels: Mapping[str, str]) -> None:
    if labels.items() <= json.loads(row.labels).items():
        return
    raise Problem(409, f"job {row.id} has lost the labels that it was found by: it stays as it is")
