"""The OS user that a run runs as."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from dcron_common.errors import LaunchError


@dataclass(frozen=True)
class Account:
    """`change` is false where the run stays the launcher's own user."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    change: bool


def lookup(user: str | None) -> Account:
    """LaunchError if the user is not known, or only root could become that user."""
    own = os.getuid()
    try:
        entry = pwd.getpwuid(own) if user is None else pwd.getpwnam(user)
    except (KeyError, ValueError) as error:
        if user is None:  # a container's numeric user without an entry
            return Account(str(own), own, os.getgid(), (), "/", change=False)
        raise LaunchError(f"user {user!r} does not exist on this host") from error
    if user is None or entry.pw_uid == own:
        return Account(entry.pw_name, own, os.getgid(), (), entry.pw_dir, change=False)
    if os.geteuid() != 0:
        raise LaunchError(f"cannot run as {user!r}: the launcher is not root")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, change=True)
