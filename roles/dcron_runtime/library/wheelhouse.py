#!/usr/bin/python
"""Make the wheels that a release is installed from, once for each state of the sources."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: wheelhouse
short_description: Pack a project and its pinned dependencies as wheels into one tar file
description:
  - Runs on the control machine. The file is named after the hash of lock file, sources and target
    and is not made again while that hash stays the same.
options:
  project: {description: Folder with setup.py., type: path, required: true}
  packages: {description: Folders of sources below it., type: list, elements: str, required: true}
  lock: {description: Requirements with hashes., type: path, required: true}
  cache: {description: Where the files are kept., type: path, required: true}
  python:
    description: The Python of the control machine that has pip and setuptools 70.1 or later.
    type: path
    required: true
  target: {description: Python version of the hosts., type: str, required: true}
  platforms:
    description: Wheel platforms that the hosts can run.
    type: list
    elements: str
    required: true
  architecture: {description: What the hosts are, as uname says it., type: str, required: true}
  compiler:
    description:
      - The C compiler for the hosts. By default C(cc) where the control machine is of their
        architecture, else C(ARCHITECTURE-linux-gnu-gcc), as Debian names it.
    type: str
    default: ""
author: [The dcron authors]
"""

RETURN = r"""
release: {description: The hash., type: str, returned: always}
path: {description: The tar file., type: str, returned: always}
"""


class Failed(Exception):
    """pip could not do its part."""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "project": {"type": "path", "required": True},
            "packages": {"type": "list", "elements": "str", "required": True},
            "lock": {"type": "path", "required": True},
            "cache": {"type": "path", "required": True},
            "python": {"type": "path", "required": True},
            "target": {"type": "str", "required": True},
            "platforms": {"type": "list", "elements": "str", "required": True},
            "architecture": {"type": "str", "required": True},
            "compiler": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    project, cache = Path(given["project"]), Path(given["cache"])
    try:
        files = sources(project, given["packages"])
        target = [given[name] for name in ("target", "architecture", "compiler")]
        release = digest(project, files, Path(given["lock"]), [*target, *given["platforms"]])
        path = cache / f"{release}.tar"
        changed = not path.exists()
        if changed and not module.check_mode:
            make(given, files, path)
    except (OSError, Failed) as error:
        module.fail_json(msg=f"the wheels of the release cannot be made: {error}")
    module.exit_json(changed=changed, release=release, path=str(path))


def sources(project: Path, packages: list[str]) -> list[Path]:
    """Paths below the project, in a fixed order: what the project's wheel is built from."""
    found = [Path("setup.py"), Path("pyproject.toml")]
    for package in packages:
        below = (project / package).rglob("*")
        found += [p.relative_to(project) for p in below if p.is_file() and not made(p)]
    return sorted(found)


def made(path: Path) -> bool:
    """Whether a build has left it in the sources, for the control machine itself."""
    return path.suffix == ".pyc" or path.name == "dcron-starter"


def digest(project: Path, files: list[Path], lock: Path, target: list[str]) -> str:
    """Sixteen hex digits that change with anything that goes into the release."""
    total = hashlib.sha256()
    for name, content in [
        ("target", "\0".join(target).encode()),
        ("lock", lock.read_bytes()),
        *((str(file), (project / file).read_bytes()) for file in files),
    ]:
        total.update(f"{name}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:16]


def make(given: dict, files: list[Path], path: Path) -> None:
    """Build in a folder of its own, so that nothing of an older build gets in; appear at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=path.parent) as name:
        work = Path(name)
        wheels = work / "wheels"
        wheels.mkdir()
        for file in files:
            (work / "source" / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(given["project"]) / file, work / "source" / file)
        shutil.copy(given["lock"], wheels / "requirements.lock")
        pip = [given["python"], "-m", "pip", "--no-input", "--quiet"]
        run(
            [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), "."],
            work / "source",
            build_environment(given["architecture"], given["compiler"], platform.machine()),
        )
        run(
            [
                *pip,
                "download",
                "--require-hashes",
                "--only-binary=:all:",
                "--dest",
                str(wheels),
                "--implementation",
                "cp",
                "--python-version",
                given["target"],
                *(f"--platform={platform}" for platform in given["platforms"]),
                "--requirement",
                str(wheels / "requirements.lock"),
            ],
            work,
            {},
        )
        packed = work / path.name
        with tarfile.open(packed, "w") as tar:
            for file in sorted(wheels.iterdir()):
                tar.add(file, arcname=file.name)
        packed.replace(path)


def build_environment(architecture: str, compiler: str, own: str) -> dict:
    """What makes a build on an `own` machine one for hosts of `architecture`."""
    native = "cc" if architecture == own else f"{architecture}-linux-gnu-gcc"
    return {"CC": compiler or native, "_PYTHON_HOST_PLATFORM": f"linux-{architecture}"}


def run(command: list[str], folder: Path, environment: dict) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    if done.returncode != 0:
        raise Failed(
            f"{' '.join(command[:4])} says: {(done.stderr or done.stdout).strip()[-2000:]}"
        )


if __name__ == "__main__":
    main()
