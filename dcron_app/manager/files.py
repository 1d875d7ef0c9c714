"""Removes objects that nothing names: executables of no job, outputs of no run.

**Executables.** A file that no job names any more may still be needed: by a worker that has not
heard of the change, by a POST that has put it and not yet committed, by a backup of the record that
is put back. So it goes in steps, which are told by the store alone, and each may be repeated:

1. no job names it, and nobody has put it for a day: it is copied to `retired/`;
2. the copy is GRACE old, still no job names it, and nobody has put it meanwhile: the copy is made
   anew and the original goes;
3. a day later, if still no job names it, the copy goes.

At every step, a job that names it again has the copy put back where the original is gone, and the
copy removed. A POST puts its file before it commits: if step 2 comes in between, the file is back
with the next look, minutes later, and workers ask for it until then. The copy stays far longer than
a POST may take.

**Outputs** go with their rows (`retiring`). Strays are those whose row was removed while they
waited for the store: a walk over all outputs, some pages a round, finds them. A row comes before
its output (docs/adr/0021): one that is GRACE old and has no row will never have one.

With store or database away a look ends with their error; the next one goes on.
"""

from __future__ import annotations

import logging

from dcron_app.manager.retention_pace import Done, Pace
from dcron_common.db import old_jobs, old_runs, progress
from dcron_common.db.connection import Database
from dcron_common.errors import ObjectNotFound, ObjectStoreError
from dcron_common.object_store.contract import (
    EXECUTABLES,
    OUTPUTS,
    PAGE,
    RETIRED,
    Listed,
    ObjectStore,
    executable_key,
    retired_key,
)

log = logging.getLogger(__name__)

DAY = 86_400.0
GRACE = 7 * DAY  # a backup of the record that is younger finds its files
PAGES = 20  # of outputs, and of executables, in one round
_EXECUTABLES_PLACE, _OUTPUTS_PLACE = "executables after", "outputs after"


class Files:
    """One round's look. `now`: epoch seconds."""

    def __init__(
        self, database: Database, store: ObjectStore, now: float, pace: Pace, done: Done
    ) -> None:
        self._database = database
        self._store = store
        self._now = now
        self._pace = pace
        self._done = done

    def look(self) -> None:
        """Go on with all three. DatabaseUnavailable, ObjectStoreError."""
        self._go_on_with_retired()
        self._walk(EXECUTABLES, _EXECUTABLES_PLACE)
        self._walk(OUTPUTS, _OUTPUTS_PLACE)

    def _walk(self, prefix: str, place: str) -> None:
        """Some pages of all keys, from where the last round has ended."""
        after = progress.read(self._database, place)
        for _ in range(PAGES):
            if not self._pace.goes_on:
                break
            page = self._store.listed(prefix, after)
            if prefix == EXECUTABLES:
                self._retire([one for one in page if one.modified < self._now - DAY])
            else:
                self._drop_strays([one for one in page if one.modified < self._now - GRACE])
            self._pace.looked()
            after = page[-1].key if len(page) == PAGE else ""
            if not after:
                break
        progress.write(self._database, place, after, self._now)

    # -- executables

    def _retire(self, page: list[Listed]) -> None:
        named = self._named(page)
        for one in page:
            digest = _digest(one)
            # A listing may be behind: what is copied already keeps the age of its copy.
            if digest is None or digest in named or self._store.exists(retired_key(digest)):
                continue
            try:
                data = self._store.get(one.key)
            except ObjectNotFound:
                continue
            self._store.put(retired_key(digest), data)
            log.info("executable=%s no job names it any more", digest)

    def _go_on_with_retired(self) -> None:
        after = ""
        while self._pace.goes_on:
            page = self._store.listed(RETIRED, after)
            named = self._named(page)
            for one in page:
                digest = _digest(one)
                if digest is not None:
                    self._retired(one, digest, digest in named)
            self._pace.looked()
            if len(page) < PAGE:
                return
            after = page[-1].key

    def _retired(self, copy: Listed, digest: str, named: bool) -> None:
        original, age = self._original(digest), self._now - copy.modified
        if named:
            if original is None:
                self._store.put(executable_key(digest), self._store.get(copy.key))
                log.warning("executable=%s is put back: a job names it again", digest)
            self._store.delete(copy.key)
        elif original is not None and original.modified > copy.modified:
            self._store.delete(copy.key)  # put anew: its time begins anew
        elif original is not None and age > GRACE:
            self._remove(copy, original, digest)
        elif original is None and age > DAY:
            self._store.delete(copy.key)

    def _remove(self, copy: Listed, original: Listed, digest: str) -> None:
        data = self._store.get(copy.key)
        self._store.put(copy.key, data)
        self._store.delete(original.key)
        if self._named([original]):
            # The look before may be long ago, if this host stood still.
            self._store.put(original.key, data)
            return
        self._done.files += 1
        self._pace.removed(1)
        log.info("executable=%s removed", digest)

    def _original(self, digest: str) -> Listed | None:
        key = executable_key(digest)
        # Just below it: hexadecimal digits leave nothing between.
        found = self._store.listed(EXECUTABLES, key[:-1], 16)
        return next((one for one in found if one.key == key), None)

    def _named(self, page: list[Listed]) -> set[str]:
        digests = {digest for one in page if (digest := _digest(one)) is not None}
        return old_jobs.named_files(self._database, digests)

    # -- outputs

    def _drop_strays(self, page: list[Listed]) -> None:
        ids = [one.key.rpartition("/")[2] for one in page]
        recorded = old_runs.recorded(self._database, ids)
        for one, run_id in zip(page, ids, strict=True):
            if run_id in recorded:
                continue
            self._store.delete(one.key)
            self._done.strays += 1
            self._pace.removed(1)
            if not self._pace.goes_on:
                return


def _digest(one: Listed) -> str | None:
    """The SHA-256 that a key ends with; None for a key that is not ours."""
    digest = one.key.rpartition("/")[2]
    try:
        executable_key(digest)
    except ObjectStoreError:
        return None
    return digest
