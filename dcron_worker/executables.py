"""Files of jobs on this node: fetched once by SHA-256, checked, kept within a quota.

The cache may be lost at any time: it is then fetched again. A file whose bytes are no longer
those of its name is thrown away, never run. A disk that fails, or a file that somebody removes
meanwhile, fails the launch that wanted it (LaunchError); trouble with other files does not. A
store that does not answer is FileUnavailable: whoever asks may ask again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dcron_common.clock import SYSTEM, Clock
from dcron_common.errors import (
    FileUnavailable,
    LaunchError,
    ObjectNotFound,
    ObjectStoreError,
    ObjectStoreUnavailable,
)
from dcron_common.job import Spec
from dcron_common.object_store.contract import ObjectStore

log = logging.getLogger(__name__)

# Between `path_for` and the moment the process has opened its file; a launch waits no longer.
KEEP_SECONDS = 600.0
_MODE = 0o555


@dataclass(slots=True)
class _Entry:
    """One digest: `lock` lets one thread fetch it; `seen` is the file as it was last checked."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: tuple[int, int, int, int] | None = None
    asked: float = float("-inf")


class Executables:
    """The cache in `directory`, which users who run jobs must be able to traverse."""

    def __init__(
        self,
        store: ObjectStore,
        directory: Path,
        *,
        quota_bytes: int,
        in_use: Callable[[], Collection[str]] = tuple,
        clock: Clock = SYSTEM,
    ) -> None:
        """`in_use` gives the digests whose files must stay, such as those of present runs."""
        self._store = store
        self._directory = directory
        self._quota = quota_bytes
        self._in_use = in_use
        self._clock = clock
        self._guard = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        directory.chmod(0o711)
        for leftover in directory.glob(".fetch-*.part"):
            leftover.unlink(missing_ok=True)

    def path_for(self, spec: Spec) -> Path:
        """The job's file, ready to run. LaunchError says why there is none; for a while after
        this (KEEP_SECONDS) and while `in_use` names it the file is not removed."""
        digest = spec.sha256 or ""
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise LaunchError(f"job {spec.job_id} has no file: its SHA-256 is {digest[:80]!r}")
        path = self._directory / digest
        with self._entry(digest) as entry:
            try:
                self._provide(spec, path, digest, entry)
            except OSError as error:
                raise LaunchError(f"the cached file cannot be used: {error}") from error
        try:
            self._evict()
        except OSError as error:
            log.warning("the cache of executables cannot be read: %s", error)
        return path

    def _provide(self, spec: Spec, path: Path, digest: str, entry: _Entry) -> None:
        if not self._is_sound(path, digest, entry):
            self._fetch(spec, path, digest)
            if not self._is_sound(path, digest, entry):
                raise LaunchError(f"the file {digest} was changed while it was fetched")
        entry.asked = self._clock.boot()
        # For the order of eviction, also where the disk is mounted noatime.
        os.utime(path, ns=(int(self._clock.wall() * 1e9), path.stat().st_mtime_ns))

    @contextmanager
    def _entry(self, digest: str) -> Iterator[_Entry]:
        with self._guard:
            entry = self._entries.setdefault(digest, _Entry())
            # At once, so that no eviction comes between a check and its launch.
            entry.asked = self._clock.boot()
        with entry.lock:
            yield entry

    def _fetch(self, spec: Spec, path: Path, digest: str) -> None:
        try:
            self._store.fetch(spec.executable, path, digest)
            path.chmod(_MODE)
        except ObjectNotFound as error:
            raise LaunchError(
                f"the object store has no {spec.executable}: post the job again"
            ) from error
        except ObjectStoreUnavailable as error:
            raise FileUnavailable(f"the file could not be fetched: {error}") from error
        except (ObjectStoreError, OSError) as error:
            raise LaunchError(f"the file could not be fetched: {error}") from error

    def _is_sound(self, path: Path, digest: str, entry: _Entry) -> bool:
        """Are the bytes those of the digest? Read again only if the file's stat has changed."""
        try:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode):
                raise OSError("is no plain file")
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)
            if seen == entry.seen:
                return True
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != digest:
                raise OSError(f"has SHA-256 {found}")
        except FileNotFoundError:
            return False
        except OSError as error:
            log.warning("cached file %s is thrown away: %s", digest, error)
            path.unlink(missing_ok=True)
            return False
        if stat.S_IMODE(status.st_mode) != _MODE:
            path.chmod(_MODE)
            status = path.lstat()
            seen = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode)
        entry.seen = seen
        return True

    def _evict(self) -> None:
        """Remove what was longest not asked for, until the rest fits the quota."""
        with self._guard:
            files = list(self._files())
            total = sum(status.st_size for _, status in files)
            if total <= self._quota:
                return
            kept = set(self._in_use()) | self._recent()
            for path, status in sorted(files, key=lambda item: item[1].st_atime_ns):
                if total <= self._quota:
                    return
                if path.name in kept:
                    continue
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    log.warning("cached file %s cannot be removed: %s", path.name, error)
                    continue
                self._entries.pop(path.name, None)
                total -= status.st_size
        log.warning("the cache of executables is %d bytes over its quota", total - self._quota)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._directory.iterdir():
            if len(path.name) == 64:
                with suppress(FileNotFoundError):  # it went away since it was listed
                    yield path, path.stat()

    def _recent(self) -> set[str]:
        now = self._clock.boot()
        return {d for d, entry in self._entries.items() if now - entry.asked < KEEP_SECONDS}
