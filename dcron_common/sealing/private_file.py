"""Files of keys: made once, whole, for their owner alone, and refused where others have a hand in.

ConfigError names the file and the remedy; no message holds what is in a file.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dcron_common.errors import ConfigError

_MOST = 65_536  # bytes of a file of keys


def make(path: Path, text: str) -> None:
    """Write the file (0600) unless it is there; whoever sees it sees all of it."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)  # not rename: another process may have been first
        except FileExistsError:
            return
        finally:
            new.unlink()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {error.strerror}") from error


def read(path: Path, *, group: bool) -> str:
    """The file's text. `group`: its group may read it, as where root owns it for a service."""
    allowed = 0o640 if group else 0o600
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"{path}: is no plain file; put the keys into one")
            if stat.S_IMODE(status.st_mode) & ~allowed:
                mode = stat.S_IMODE(status.st_mode)
                raise ConfigError(f"{path}: has mode {mode:04o}; chmod {allowed:04o} {path}")
            if status.st_uid not in (0, os.geteuid()):
                raise ConfigError(f"{path}: belongs to another user; chown root {path}")
            return file.read(_MOST).decode("ascii")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: holds more than plain ASCII; write keys only") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
