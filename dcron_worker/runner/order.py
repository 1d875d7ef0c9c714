"""What a starter is told of a run: everything is looked up before it is forked.

A message is four bytes of length, then numbers of four bytes each, big endian (flags, uid, gid, how
many groups, cgroups, arguments and variables there are), the groups, and the strings, each with a
NUL behind it: run id, output, user, home, working directory, cgroups, arguments, variables.
`starter/inbox.c` is the other side.
"""

from __future__ import annotations

import struct

from dcron_common.errors import LaunchError
from dcron_worker.runner.account import Account
from dcron_worker.runner.limits import Group
from dcron_worker.runner.model import Launch

MARK = "DCRON_LAUNCH"
_LEASED, _CHANGE, _DIRECTORY, _BORN = 1, 2, 4, 8


def mark_of(run_id: str, launcher: str) -> str:
    """Run ids are those of a cluster; a host may have the workers of two, each with a launcher."""
    return f"{run_id}@{launcher}"


def encode(launch: Launch, mark: str, user: Account, output: str, group: Group | None) -> bytes:
    """The order to start `launch` as `user`, in the cgroups of `group`, with `mark` in its
    environment and its output in a file that is opened anew. LaunchError if no program could be
    given such arguments."""
    flags = _LEASED if launch.leased else 0
    flags |= _CHANGE if user.change else 0
    flags |= _DIRECTORY if launch.working_directory is not None else 0
    # What has limits would have them before its start is written down, too.
    flags |= _BORN if group and group.v2 and not launch.limited else 0
    cgroups = [str(directory) for directory in (group.directories if group else ())]
    variables = [f"{name}={value}" for name, value in launch.environment.items()]
    variables.append(f"{MARK}={mark}")
    numbers = [flags, user.uid, user.gid]
    numbers += [len(x) for x in (user.groups, cgroups, launch.argv, variables)]
    strings = [launch.run_id, output, user.name, user.home, launch.working_directory or ""]
    strings += [*cgroups, *launch.argv, *variables]
    body = struct.pack(f">{len(numbers) + len(user.groups)}I", *numbers, *user.groups)
    body += _with_ends(strings)
    return struct.pack(">I", len(body)) + body


def _with_ends(strings: list[str]) -> bytes:
    """Bytes that were no UTF-8 are themselves again (surrogateescape)."""
    try:
        text = ("\0".join(strings) + "\0").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise LaunchError(
            f"cannot be started: a lone surrogate ({error.object[error.start]!r}) in an argument, "
            "a variable or a path: no program can be given one"
        ) from error
    if text.count(b"\0") != len(strings):
        raise LaunchError(
            "cannot be started: a NUL byte in an argument, a variable or a path: no program can be "
            "given one"
        )
    return text
