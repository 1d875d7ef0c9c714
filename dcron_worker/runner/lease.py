"""The lease: until when leased runs may live, in a file that the daemon writes each second.

It lies beside the socket, on a real host in the state folder: a launcher that an upgrade left
running must find it where it was. It is overwritten in place and never synced: after the first
time that takes no room on a full disk, and waits for no slow one, nor for a busy launcher. A disk
that takes no writes at all may hold up the daemon's beat: then leased runs end, the safe side.

It holds a double of CLOCK_BOOTTIME seconds and the boot id, by which a lease of an earlier boot
counts as passed. A missing, short or foreign file is a lease that has passed.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

_FORMAT = struct.Struct("<d36s")


def boot_id() -> str:
    """Differs after each boot of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def lease_path(socket_path: Path) -> Path:
    """Where the lease lies that goes with this socket."""
    return socket_path.with_name(socket_path.name + ".lease")


def until_of(data: bytes, boot: str) -> float | None:
    """What a lease's file says: CLOCK_BOOTTIME seconds; None if it is of another boot than `boot`,
    or short."""
    if len(data) < _FORMAT.size:
        return None
    until, written = _FORMAT.unpack_from(data)
    return float(until) if written == boot.encode() else None


class Lease:
    """Both sides' handle. `until` reads, `renew` writes; neither blocks on the other."""

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._boot = boot_id()
        self._fd = -1
        self._open()

    def renew(self, until_boot: float) -> None:
        """Let leased runs live until `until_boot` (CLOCK_BOOTTIME seconds)."""
        self.refresh()
        os.pwrite(self._fd, _FORMAT.pack(until_boot, self._boot.encode()), 0)

    def until(self) -> float:
        """CLOCK_BOOTTIME seconds; 0 if nobody has renewed since boot. Safe after a fork."""
        return until_of(os.pread(self._fd, _FORMAT.size, 0), self._boot) or 0.0

    def refresh(self) -> None:
        """Follow the path if the file was removed and made again. OSError: the file that is
        open stays so; what is in it is renewed by nobody who sees the path."""
        try:
            at_path = os.stat(self.path)
        except FileNotFoundError:
            self._open()
            return
        if at_path.st_ino != os.fstat(self._fd).st_ino:
            self._open()

    def close(self) -> None:
        """Close the file; the lease stays as it is."""
        os.close(self._fd)

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
        new = os.open(self.path, flags, 0o600)
        old, self._fd = self._fd, new  # a failure above leaves the old one of use
        if old >= 0:
            os.close(old)
