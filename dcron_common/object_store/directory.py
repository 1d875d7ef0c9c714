"""Objects as files in one directory: for the embedded mode and for clusters of one host.

A key is a path below the root. Writes are atomic (temporary file, fsync, rename). Anyone who may
write to the directory may change objects: executables are checked against their SHA-256 anyway.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dcron_common.errors import ObjectNotFound, ObjectStoreError, ObjectStoreUnavailable
from dcron_common.object_store.contract import CHUNK, ObjectStore, check_key, sync_directory


@contextmanager
def _mapped(key: str) -> Iterator[None]:
    """Turn the file system's errors into the store's."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ObjectNotFound(key) from error
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ELOOP, errno.EEXIST):
            raise ObjectStoreError(f"{key}: {error.strerror}") from error
        raise ObjectStoreUnavailable(f"{key}: {error.strerror}") from error


class DirectoryStore(ObjectStore):
    """`root` is made, private to this user, when it is not there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> None:
        path = self._path(key)
        try:
            self._make(path.parent)
            self._write(path, data)
        except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
            raise ObjectStoreError(f"{key}: collides with another object's key") from error
        except OSError as error:
            raise ObjectStoreUnavailable(f"{key}: {error.strerror}") from error

    def stream(self, key: str) -> Iterator[bytes]:
        path = self._path(key)
        with _mapped(key):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                while piece := file.read(CHUNK):
                    yield piece

    def size(self, key: str) -> int:
        path = self._path(key)
        with _mapped(key):
            if path.is_dir():
                raise ObjectNotFound(key)
            return path.stat(follow_symlinks=False).st_size

    def exists(self, key: str) -> bool:
        try:
            self.size(key)
        except ObjectNotFound:
            return False
        return True

    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            with _mapped(key):
                path.unlink()
                sync_directory(path.parent)
        except ObjectNotFound:
            return

    def url(self, key: str) -> str:
        return self._path(key).absolute().as_uri()

    def ready(self) -> None:
        try:
            self._make(self._root)
            with tempfile.TemporaryFile(dir=self._root) as file:
                file.write(b"ready")
        except OSError as error:
            raise ObjectStoreUnavailable(
                f"{self._root}: cannot be written ({error.strerror}); "
                "give this user the directory, or free some space"
            ) from error

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*check_key(key).split("/"))

    def _make(self, directory: Path) -> None:
        """Make a directory below the root, durably: a synced file in a lost folder is lost."""
        if directory.is_dir():
            return
        if directory != self._root:
            self._make(directory.parent)
        directory.mkdir(mode=0o700, parents=directory == self._root, exist_ok=True)
        sync_directory(directory.parent)

    def _write(self, path: Path, data: bytes) -> None:
        # A key never starts with a dot, so that a leftover of a crash is nobody's object.
        handle, name = tempfile.mkstemp(prefix=".put-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
