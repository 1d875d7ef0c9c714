"""Keeps for every worker what its jobs' secrets are, sealed for that worker alone (P18).

Level-triggered: what shall be sealed follows from assignments, registered keys and the versions of
secrets; what is sealed is read when a manager begins to lead and at every comparison. Differences
are written, one pair of worker and secret each: a look costs time for every pair, a write is made
only for what changed. What no job there needs any more is removed.

With the database away nothing is sealed until it is back; workers go on with what they have kept.
A secret that the ring cannot open, or a worker whose key is none, hinders no other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from dcron_app.manager.view import View
from dcron_common.db import sealed, secrets
from dcron_common.db.connection import Database
from dcron_common.db.sealed import Pair, Seal, Sealed
from dcron_common.errors import SecretError
from dcron_common.sealing.ring import Ring
from dcron_common.sealing.worker_key import seal

log = logging.getLogger(__name__)

LOOK = 3.0  # seconds between two looks for values that were changed
_BATCH = 32  # sealed values in one transaction: below a megabyte


class Sealing:
    """One leader's; called from its thread."""

    def __init__(self, database: Database, ring: Ring) -> None:
        self._database = database
        self._ring = ring
        self._placed = True
        self._needs: set[Pair] = set()
        self._keys: dict[str, str] = {}
        self._there: dict[Pair, Seal] | None = None
        self._troubles: set[tuple[Pair, Seal]] = set()  # told already
        self._look_at = 0.0

    def forget(self) -> None:
        """Others may have written: read again what is sealed."""
        self._there = None
        self._placed = True

    def placed(self) -> None:
        """Jobs or their places may have changed."""
        self._placed = True

    def look(self, view: View, now: float) -> None:
        """Bring what is sealed in line, where there is a reason to look. `now`: boot seconds.
        DatabaseUnavailable: the next pass goes on."""
        keys = {name: seen.public_key for name, seen in view.workers.items()}
        if not self._placed and keys == self._keys and now < self._look_at:
            return
        if self._placed:
            self._needs = _needs(view)
        if self._there is None:
            self._there = sealed.seals(self._database)
        if self._needs or self._there:
            self._bring_in_line(self._there, keys)
        self._placed, self._keys, self._look_at = False, keys, now + LOOK

    def _bring_in_line(self, there: dict[Pair, Seal], keys: Mapping[str, str]) -> None:
        wanted = wanted_seals(self._needs, secrets.versions(self._database), keys, there)
        stale = sorted(pair for pair, seal_ in wanted.items() if there.get(pair) != seal_)
        written = 0
        for start in range(0, len(stale), _BATCH):
            batch = stale[start : start + _BATCH]
            rows = self._sealed({pair: wanted[pair] for pair in batch})
            if rows:
                sealed.save(self._database, rows)
                written += len(rows)
                there.update(
                    {(row.worker, row.secret): Seal(row.version, row.public_key) for row in rows}
                )
        gone = there.keys() - self._needs
        if gone:
            sealed.drop(self._database, gone)
            for pair in gone:
                del there[pair]
        if written or gone:
            log.info("secrets sealed=%d removed=%d", written, len(gone))

    def _sealed(self, batch: Mapping[Pair, Seal]) -> list[Sealed]:
        """Those of the batch that can be; the others' trouble is told once."""
        stored = secrets.encrypted(self._database, sorted({name for _, name in batch}))
        rows = []
        for (worker, name), goal in batch.items():
            if name not in stored:
                continue
            version, text = stored[name]
            try:
                value = self._ring.decrypt(name, text)
                made = seal(goal.public_key, worker, name, value)
            except SecretError as error:
                self._tell_once((worker, name), goal, error)
            else:
                rows.append(Sealed(worker, name, version, goal.public_key, made))
        return rows

    def _tell_once(self, pair: Pair, goal: Seal, error: SecretError) -> None:
        if (pair, goal) not in self._troubles:
            log.error("worker=%s gets no value of a secret: %s", pair[0], error)
        self._troubles = {one for one in self._troubles if one[0] in self._needs}
        self._troubles.add((pair, goal))


def _needs(view: View) -> set[Pair]:
    """Which secrets the jobs that are assigned to each worker name."""
    naming = {job_id: job.spec.secrets for job_id, job in view.jobs.items() if job.spec.secrets}
    if not naming:
        return set()
    return {
        (worker, name)
        for slot, assigned in view.assigned.items()
        if slot.job_id in naming
        for worker, _ in assigned
        for name in naming[slot.job_id]
    }


def wanted_seals(
    needs: Iterable[Pair],
    versions: Mapping[str, str],
    keys: Mapping[str, str],
    there: Mapping[Pair, Seal],
) -> dict[Pair, Seal]:
    """What shall be sealed. A worker that is away is taken to have the key that it had; one that
    announces none gets nothing."""
    wanted: dict[Pair, Seal] = {}
    for pair in needs:
        worker, name = pair
        key = keys[worker] if worker in keys else (there[pair].public_key if pair in there else "")
        if key and name in versions:
            wanted[pair] = Seal(versions[name], key)
    return wanted
