#!/usr/bin/python
"""Remove releases that nothing runs and nobody goes back to."""

from __future__ import annotations

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: prune_releases
short_description: Remove releases that no process uses
description:
  - A release stays if it is named in C(keep), if the link C(venv) beside the releases points to it,
    or if a process was started from it (a launcher may run for months).
options:
  directory: {description: "Folder that has C(venv) and C(releases).", type: path, required: true}
  keep: {description: Name of a release that is about to be used., type: str, required: true}
author: [The dcron authors]
"""

RETURN = r"""
removed: {description: Names of the removed releases., type: list, elements: str, returned: always}
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "keep": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    directory = Path(module.params["directory"])
    gone = unused(directory, module.params["keep"], Path("/proc"))
    if not module.check_mode:
        for release in gone:
            shutil.rmtree(release)
    module.exit_json(changed=bool(gone), removed=[release.name for release in gone])


def unused(directory: Path, keep: str, proc: Path) -> list[Path]:
    """Folders below `directory`/releases that may go, by name."""
    releases = sorted((directory / "releases").glob("*/"))
    present = (directory / "venv").resolve()
    commands = running(proc)
    return [
        release
        for release in releases
        if release.name != keep
        and release.resolve() != present
        and not any(f"{release}/".encode() in command for command in commands)
    ]


def running(proc: Path) -> list[bytes]:
    """Command lines of all processes."""
    found = []
    for file in proc.glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended since
    return found


if __name__ == "__main__":
    main()
