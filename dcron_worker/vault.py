"""The secrets that this worker can open: fetched sealed, opened at a launch, masked in outputs.

Values are never written anywhere. What was last sealed is kept on disk, sealed, for when the
database is away; while that does not answer it is not asked for each launch anew. Where the
database answers it is right: what it does not have sealed is not taken from the disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from dcron_common.clock import Clock
from dcron_common.db.sealed import Sealed
from dcron_common.errors import DatabaseError, SecretError
from dcron_common.run import TAIL_BYTES
from dcron_common.sealing.worker_key import WorkerKey
from dcron_worker.masking import mask
from dcron_worker.runner.model import Ended
from dcron_worker.sealed_cache import SealedCache

log = logging.getLogger(__name__)

AGAIN = 5.0  # seconds until a database that did not answer is asked again, if what is kept will do
WITHHELD = "[what it wrote is withheld: the values of its secrets are not known here any more]\n"
_KEPT = 2  # values of one secret that are masked: of runs that began before a change, too

Fetch = Callable[[Sequence[str]], Mapping[str, Sealed]]


class Vault:
    """Called from the daemon's thread and the pool's. `fetch`: what is sealed for this worker of
    the secrets of these names; DatabaseError."""

    def __init__(
        self, worker: str, key: WorkerKey, cache: SealedCache, fetch: Fetch, clock: Clock
    ) -> None:
        self._worker = worker
        self._key = key
        self._cache = cache
        self._fetch = fetch
        self._clock = clock
        self._ask_at = 0.0
        self._away = False
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[str, ...]] = {}  # newest first

    def values(self, names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """The values by name; and of those that cannot be had now, why."""
        sealed, away = self._sealed(names)
        values: dict[str, str] = {}
        lacking: dict[str, str] = {}
        for name in names:
            if name in sealed:
                try:
                    values[name] = self._key.open(self._worker, name, sealed[name])
                except SecretError as error:
                    lacking[name] = str(error)
            elif away:
                lacking[name] = f"the secret {name} cannot be fetched: the database does not answer"
            else:
                lacking[name] = f"the secret {name} is not there yet, sealed for this worker"
        self._remember(values)
        return values, lacking

    def _sealed(self, names: Sequence[str]) -> tuple[dict[str, str], bool]:
        """What is sealed, and whether the database is away."""
        if self._clock.boot() < self._ask_at:
            kept = self._cache.read(names)
            if len(kept) == len(names):
                return kept, True
        try:
            rows = self._fetch(names)
        except DatabaseError as error:
            if not self._away:
                log.warning("secrets are taken from what is kept here: %s", error)
            self._away = True
            self._ask_at = self._clock.boot() + AGAIN
            return self._cache.read(names), True
        if self._away:
            log.info("secrets come from the database again")
        self._away, self._ask_at = False, 0.0
        found = {name: row.sealed for name, row in rows.items()}
        for name, sealed in found.items():
            try:
                self._cache.write(name, sealed)
            except OSError as error:
                log.warning("secret=%s cannot be kept for an outage: %s", name, error)
        return found, False

    def _remember(self, values: Mapping[str, str]) -> None:
        with self._lock:
            for name, value in values.items():
                known = self._opened.get(name, ())
                if value not in known[:1]:
                    others = tuple(one for one in known if one != value)
                    self._opened[name] = (value, *others)[:_KEPT]

    def hide(self, ended: Ended, names: Collection[str] | None) -> Ended:
        """The end of a run of a job with these secrets, their values masked in what it wrote.
        `names` None: which they are is not known, and all that are known are masked."""
        if names is not None and not names or not ended.output_tail:
            return ended
        known = self._known(names)
        if names is not None and any(name not in known for name in names):
            return replace(ended, output_tail=WITHHELD)
        values = [value for each in known.values() for value in each]
        cut = ended.output_size > TAIL_BYTES
        tail = mask(ended.output_tail, values, cut=cut, most=TAIL_BYTES)
        return replace(ended, output_tail=tail)

    def _known(self, names: Collection[str] | None) -> dict[str, tuple[str, ...]]:
        """Values that were opened in this life of the daemon, else those that are kept."""
        wanted = self._cache.names() if names is None else names
        with self._lock:
            lacking = [name for name in wanted if name not in self._opened]
        kept: dict[str, str] = {}
        for name, sealed in self._cache.read(lacking).items():
            try:
                kept[name] = self._key.open(self._worker, name, sealed)
            except SecretError:
                continue  # of an earlier key
        self._remember(kept)
        with self._lock:
            if names is None:
                return dict(self._opened)
            return {name: self._opened[name] for name in names if name in self._opened}

    def retain(self, names: Collection[str]) -> None:
        """Forget what no job and no run here names any more."""
        with self._lock:
            for name in self._opened.keys() - set(names):
                del self._opened[name]
        try:
            self._cache.retain(names)
        except OSError as error:
            log.warning("secrets that are needed no more stay, sealed: %s", error)
