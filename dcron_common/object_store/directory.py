"""Objects as files in one directory: for the embedded mode and for clusters of one host.

A key is a path below the root. Writes are atomic (temporary file, fsync, rename). Anyone who may
write to the directory may change objects: executables are checked against their SHA-256 anyway.

Where API and worker are two users, the worker is root and the directory the API's: what root
writes is given to the directory's owner, and below the root no symbolic link is followed, so that
the owner cannot have root write elsewhere.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from dcron_common.durable import sync_directory
from dcron_common.errors import ObjectNotFound, ObjectStoreError, ObjectStoreUnavailable
from dcron_common.object_store.contract import (
    CHUNK,
    PAGE,
    Listed,
    ObjectStore,
    check_key,
    is_key,
)

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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

    def put(
        self, key: str, data: bytes | BinaryIO, content_type: str = "application/octet-stream"
    ) -> None:
        *folders, name = check_key(key).split("/")
        try:
            folder = self._folder(folders)
            try:
                self._write(folder, name, data)
            finally:
                os.close(folder)
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

    def listed(self, prefix: str, after: str = "", limit: int = PAGE) -> list[Listed]:
        folder = self._path(prefix.removesuffix("/"))
        try:
            with _mapped(prefix):
                return list(islice(_below(folder, prefix, after), limit))
        except ObjectNotFound:
            return []  # nothing was ever put there

    def url(self, key: str) -> str:
        return self._path(key).absolute().as_uri()

    def ready(self) -> None:
        try:
            self._make_root()
            with tempfile.TemporaryFile(dir=self._root) as file:
                file.write(b"ready")
        except OSError as error:
            raise ObjectStoreUnavailable(
                f"{self._root}: cannot be written ({error.strerror}); "
                "give this user the directory, or free some space"
            ) from error

    def _path(self, key: str) -> Path:
        return self._root.joinpath(*check_key(key).split("/"))

    def _make_root(self) -> None:
        """Make the root, durably: a synced file in a lost folder is lost."""
        if not self._root.is_dir():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self._root.parent)

    def _folder(self, names: list[str]) -> int:
        """The descriptor of a folder below the root, made durably where it is missing."""
        self._make_root()
        folder = os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)  # the root may be a link
        try:
            owner = os.fstat(folder)
            for name in names:
                below = self._enter(folder, name, owner)
                os.close(folder)
                folder = below
        except BaseException:
            os.close(folder)
            raise
        return folder

    @staticmethod
    def _enter(folder: int, name: str, owner: os.stat_result) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=folder)
        except FileNotFoundError:
            with suppress(FileExistsError):  # somebody else has just made it
                os.mkdir(name, 0o700, dir_fd=folder)
            below = os.open(name, _FOLDER, dir_fd=folder)
            _give(below, owner)
            os.fsync(folder)
            return below

    @staticmethod
    def _write(folder: int, name: str, data: bytes | BinaryIO) -> None:
        # A key never starts with a dot, so that a leftover of a crash is nobody's object.
        temporary = f".put-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(temporary, flags, 0o600, dir_fd=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                shutil.copyfileobj(io.BytesIO(data) if isinstance(data, bytes) else data, file)
                file.flush()
                _give(file.fileno(), os.fstat(folder))
                os.fsync(file.fileno())
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=folder)
            raise
        os.fsync(folder)


def _below(folder: Path, prefix: str, after: str) -> Iterator[Listed]:
    """Objects below a folder by key. Links are not followed; what has no key's name is none."""
    with os.scandir(folder) as found:
        # A folder's keys go on with a slash, by which it has its place among its neighbours.
        entries = sorted(
            (f"{prefix}{one.name}{'/' if one.is_dir(follow_symlinks=False) else ''}", one.name)
            for one in found
            if is_key(one.name) and not one.is_symlink()
        )
    for key, name in entries:
        with suppress(FileNotFoundError):  # it was removed meanwhile
            if not key.endswith("/"):
                if key > after:
                    yield Listed(key, (folder / name).stat(follow_symlinks=False).st_mtime)
            elif key > after or after.startswith(key):
                yield from _below(folder / name, key, after)


def _give(handle: int, owner: os.stat_result) -> None:
    """What root made belongs to whom the store belongs."""
    if os.geteuid() == 0:
        os.fchown(handle, owner.st_uid, owner.st_gid)
